"""The section on training: the curves of each model's history, the rounds of a loop in one chart per quantity."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.page.blocks import Block, Charts, Group, Section, Text
from stages.page.charts import Axis, Chart, Point, Series, anchor
from stages.page.made import json_lines

MOST = 200
"""Points of a curve; of a longer history every second, third, ... logged step is shown, and the last."""
CURVES = (
    (("loss",), "Training loss", "loss", "As logged: the mean since the step logged before."),
    (("held_out_loss",), "Loss on held-out problems", "loss", "Measured after each epoch, where a share was held out."),
    (("chosen_logps", "rejected_logps"), "Log-probability of chosen and rejected", "nats per token", ""),
    (("log_odds_ratio",), "Log odds ratio of chosen against rejected", "log odds ratio", "0: both equally likely."),
    (("margin",), "Reward margin of chosen over rejected", "margin", ""),
    (("nll_loss",), "Loss of the chosen paths alone", "loss", ""),
)
"""Keys of a history's lines, the title of their chart, its y axis, and how to read it."""
SAID = {"chosen_logps": " chosen", "rejected_logps": " rejected"}


def training(folders: Mapping[str, Path]) -> Section | None:
    """The section, or None where no model has a history.

    Args:
        folders: the loops by their names.
    """
    section = Section("training", "Training")
    for name, folder in folders.items():
        blocks = _loop(name, folder)
        section.blocks += [Group(f"Loop {name}", blocks)] if len(folders) > 1 and blocks else blocks
    return section if section.blocks else None


def _loop(name: str, folder: Path) -> list[Block]:
    policies: dict[str, list[dict[str, Any]]] = {}
    others: dict[str, list[dict[str, Any]]] = {}
    notices: list[Block] = []
    models = [path.parent for place in ("m*", "r*/prm") for path in folder.glob(f"{place}/history.jsonl")]
    for own in sorted((model.relative_to(folder).as_posix() for model in models), key=_natural):
        rows, faults = json_lines(folder / own / "history.jsonl")
        notices += [Text(fault, notice=True) for fault in faults]
        kind = policies if own.startswith("m") and own != "m0" else others
        kind[own] = rows
    charts = [
        *_charts(f"{name}-policies", "policies", policies),
        *_charts(f"{name}-others", "M0 and reward models", others),
    ]
    return [*notices, *([Charts(tuple(charts))] if charts else [])]


def _natural(name: str) -> list[int | str]:
    """Sorts m2 before m10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _charts(slug: str, who: str, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Chart]:
    """One chart per quantity that a history has, a line per model, which looks the same in each of them."""
    charts = []
    for keys, title, unit, note in CURVES:
        series = tuple(
            Series(f"{model}{SAID.get(key, '')}", points, marks=len(points) <= 12, style=n * len(keys) + side)
            for n, (model, rows) in enumerate(histories.items())
            for side, key in enumerate(keys)
            if (points := _points(rows, key))
        )
        if series:
            charts.append(
                Chart(
                    f"{keys[0].replace('_', '-')}-{anchor(slug)}", f"{title}, {who}", Axis("update", low=0.0),
                    Axis(unit), series, note=note,
                )
            )  # fmt: skip
    return charts


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[Point, ...]:
    found = [
        Point(float(row["step"]), float(row[key])) for row in rows if _finite(row.get("step")) and _finite(row.get(key))
    ]
    every = max(1, math.ceil(len(found) / MOST))
    kept = found[::every]
    return (*kept, found[-1]) if found and kept[-1] != found[-1] else tuple(kept)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
