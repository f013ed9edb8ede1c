"""The section on how everything was made: settings, versions and inputs, from the manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.page.blocks import Block, Group, Section, Text
from stages.page.charts import Table
from stages.page.made import Made, when

PARTS = ("options", "facts", "model", "template", "versions", "platform", "usage", "result", "eval")
"""What of a manifest is shown key by key, in this order; counts stand elsewhere."""
LEFT = {*PARTS, "counts", "identity", "parents", "bad_lines", "gaps", "failed", "pairs", "stage", "complete"}
LONGEST = 300
"""Letters of a value that are shown."""


def provenance(loops: Mapping[str, Sequence[Made]]) -> Section:
    """The section: a table of all outputs, and a fold with one fold per output."""
    section = Section("settings", "Settings, versions and inputs")
    section.blocks.append(Text("From the manifest of each output, in the order of the loop."))
    for name, made in loops.items():
        each = [Group(f"{one.name}: {one.stage}", [_everything(one)], folded=True) for one in made]
        blocks: list[Block] = [_overview(made), Group("Every setting of every output", each, folded=True)]
        section.blocks += [Group(f"Loop {name}", blocks)] if len(loops) > 1 else blocks
    return section


def _overview(made: Sequence[Made]) -> Table:
    rows = []
    for one in made:
        manifest = one.manifest
        source = _part(manifest, "input") or _part(_part(manifest, "identity"), "input")
        model = _part(manifest, "model").get("name") or _part(manifest, "facts").get("model")
        versions = {**_part(manifest, "platform"), **_part(manifest, "versions")}
        rows.append(
            (
                one.name, one.stage, model, source.get("path"), str(source.get("sha256", ""))[:12] or None,
                manifest.get("sipf"), versions.get("torch"),
                when(str(manifest["finished"])) if "finished" in manifest else None,
            )
        )  # fmt: skip
    columns = ("output", "command", "model", "input", "input's sha256", "sipf", "torch", "finished")
    return Table(columns, rows, "What was made of what; a trained model's input is the rows it learnt from")


def _part(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = manifest.get(name)
    return found if isinstance(found, Mapping) else {}


def _everything(one: Made) -> Table:
    rows = [row for name in PARTS for row in _flat(name, one.manifest.get(name))]
    rest = {name: value for name, value in one.manifest.items() if name not in LEFT}
    return Table(("key", "value"), [*rows, *(row for name, value in rest.items() for row in _flat(name, value))])


def _flat(name: str, value: Any) -> Iterator[tuple[object, ...]]:
    if value is None and name in PARTS:
        return
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}", part)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield name, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
