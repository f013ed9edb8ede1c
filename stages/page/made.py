"""What a run's folder holds: every output that is complete, with its manifest, and what is not finished.

for made in outputs(Path("runs/chain")):
    made.name, made.stage, made.counts        # "r0/labels.jsonl", "simulate", {"problems": 1600, ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.files.manifest import MODEL_MANIFEST, manifest_path, read_manifest, read_model_manifest

ENDING = manifest_path("")


@dataclass(frozen=True, slots=True)
class Made:
    """A complete file of lines, or a trained model: its place in the run's folder and its manifest."""

    name: str
    manifest: Mapping[str, Any]

    @property
    def stage(self) -> str:
        """The command that made it."""
        return str(self.manifest.get("stage", "?"))

    @property
    def counts(self) -> dict[str, int]:
        """What was done and dropped."""
        found = self.manifest.get("counts")
        return {str(name): n for name, n in found.items() if _counted(n)} if isinstance(found, Mapping) else {}

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        found = self.manifest.get("seconds")
        return float(found) if isinstance(found, int | float) else None

    @property
    def tokens(self) -> int | None:
        """Tokens that were generated for it."""
        usage = self.manifest.get("usage")
        found = usage.get("tokens") if isinstance(usage, Mapping) else None
        return found if _counted(found) else None


def _counted(n: Any) -> bool:
    return isinstance(n, int) and not isinstance(n, bool)


def outputs(folder: Path) -> list[Made]:
    """Everything complete in a run's folder: data, then models, rounds and results by number.

    Raises:
        DataError: a manifest cannot be read.
    """
    files = [path for part in ("data", "r*", "eval") for path in folder.glob(f"{part}/*{ENDING}")]
    found = [_lines(folder, path) for path in files]
    models = [path.parent for part in ("m*", "r*/prm") for path in folder.glob(f"{part}/{MODEL_MANIFEST}")]
    found += [Made(_name(folder, model), read_model_manifest(model) or {}) for model in models]
    return sorted(found, key=_order)


def _lines(folder: Path, path: Path) -> Made:
    output = str(path)[: -len(ENDING)]
    manifest = read_manifest(output)
    assert manifest is not None, "it was found by its name"
    return Made(_name(folder, Path(output)), manifest)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


STAGES = ("data", "sft", "sample", "simulate", "relabel", "train-prm", "score", "pairs", "orpo", "dpo", "eval")


def _order(made: Made) -> tuple[int, int, str]:
    """By round, then in the order of the loop. The model m1 and the results round1 belong to round 0, r0."""
    first, _, rest = made.name.partition("/")
    digits = "".join(letter for letter in (rest if first == "eval" else first) if letter.isdigit())
    number = int(digits) if digits and len(digits) < 9 else -1
    if first == "data":
        number = -1
    elif (first == "eval" or first.startswith("m")) and number >= 0:
        number -= 1
    place = STAGES.index(made.stage) if made.stage in STAGES else len(STAGES)
    return number, place, made.name


def when(stamp: str) -> str:
    """A time of a manifest as a person writes it: "2026-11-29 08:43 UTC"; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(stamp).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return stamp


def unfinished(folder: Path) -> Iterator[str]:
    """A sentence about each output that was begun and is not complete."""
    for part in sorted(path for place in ("r*", "eval", "data") for path in folder.glob(f"{place}/*.part")):
        name = _name(folder, part).removesuffix(".part")
        if not Path(manifest_path(str(folder / name))).exists():
            yield f"{name} is not finished: it is being written, or was stopped. It is not on this page."
    for model in sorted(path for place in ("m*", "r*/prm") for path in folder.glob(place) if path.is_dir()):
        if not (model / MODEL_MANIFEST).exists():
            yield f"{_name(folder, model)} is not finished: the model is being trained, or training was stopped."


def json_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects of a short file that another process may be writing, and a sentence about each line that is none."""
    rows, faults = [], []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                faults.append(
                    f"{path.parent.name}/{path.name}:{number} is no JSON object, or is being written; it is left out."
                )
    return rows, faults
