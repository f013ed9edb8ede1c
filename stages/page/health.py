"""The section on the health of the rounds, from the lines that `sipf health` keeps in RUN/health.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from stages.page.accuracy import interval, p_value, percent
from stages.page.blocks import Block, Charts, Group, Section, Text
from stages.page.charts import Axis, Chart, Point, Series, Table, anchor, number
from stages.page.made import json_lines

HEALTH = "health.jsonl"
SHOWN = {"round", "accuracy", "interval", "gain", "p", "signs", "best", "policy", "model", "stop"}
"""What has a column of its own in the first table; all else stands in the last."""
CURVES = (
    ("reward-model", "Reward model on held-out steps", "share", {
        "accuracy": "reward_model.accuracy",
        "always the more frequent verdict": "reward_model.majority_accuracy",
        "within a question": "reward_model.pair_accuracy",
        "calibration error": "reward_model.calibration_error",
    }, "Below the more frequent verdict it has learnt nothing; 0.5 within a question is chance."),
    ("diversity", "Diversity of the paths that were drawn", "share", {
        "distinct paths per draw": "drawn.distinct_per_draw",
        "overlap of two paths' steps": "drawn.overlap",
        "cut off at the longest length": "drawn.cut_off",
    }, ""),
    ("length", "Length of the paths that were drawn", "tokens", {"tokens per path": "drawn.tokens"}, ""),
    ("likelihood", "Log-probability at the end of training", "nats per token", {
        "chosen paths": "training.chosen_logps.last", "rejected paths": "training.rejected_logps.last",
    }, "Chosen paths should not become less likely from round to round."),
)  # fmt: skip
"""What is drawn over the rounds: name, title, y axis, the series with their place in a line, and how to read it."""


def health(folders: Mapping[str, Path]) -> Section | None:
    """The section, or None where no loop has such a file."""
    section = Section("health", "Health of the rounds")
    for name, folder in folders.items():
        if not (folder / HEALTH).is_file():
            continue
        rows, faults = json_lines(folder / HEALTH)
        blocks: list[Block] = [Text(fault, notice=True) for fault in faults]
        if rows:
            blocks += _blocks(name, rows)
        section.blocks += [Group(f"Loop {name}", blocks)] if len(folders) > 1 else blocks
    return section if section.blocks else None


def _blocks(loop: str, rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    found: list[Block] = [Table(("round", "accuracy %", "95 % interval", "gain, points", "p", "signs"), [
        (
            row.get("round"), *_rate(row), _points(row.get("gain")),
            p_value(row["p"]) if _numeric(row.get("p")) else None,
            ", ".join(sign for sign, *_ in _signs(row)) or "none",
        )
        for row in rows
    ], "Accuracy and signs by round")]  # fmt: skip
    found += _advice(rows)
    details = [dict(_flat("", {key: row[key] for key in row if key not in SHOWN})) for row in rows]
    if charts := _charts(loop, rows, details):
        found.append(Charts(tuple(charts)))
    names = list(dict.fromkeys(name for one in details for name in one))
    if names:
        columns = ("", *(f"round {_said(row.get('round'))}" for row in rows))
        every = Table(columns, [(name, *(one.get(name) for one in details)) for name in names], "Figures by round")
        found.append(Group("All figures", [every], folded=True))
    return found


def _advice(rows: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """A paragraph for each sign and what to do about it: the rounds that show it, and why."""
    seen: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for sign, why, advice in _signs(row):
            said = f"Round {_said(row.get('round'))}"
            seen.setdefault((sign, advice), []).append(f"{said}: {why}." if why else f"{said}.")
    for (sign, advice), rounds in seen.items():
        yield Text(f"{sign[:1].upper()}{sign[1:]}. {' '.join(rounds)} {advice}", notice=True)


def _charts(loop: str, rows: Sequence[Mapping[str, Any]], details: Sequence[Mapping[str, object]]) -> list[Chart]:
    """The figures of a loop that are worth a curve, from its second round on."""
    if len(rows) < 2:
        return []
    rounds = Axis("round", tuple(_said(row.get("round")) for row in rows))
    charts = []
    for what, title, unit, places, note in CURVES:
        series = [
            Series(said, tuple(Point(x, value) for x, one in enumerate(details) if _numeric(value := one.get(key))))
            for said, key in places.items()
        ]
        drawn = tuple(one for one in series if one.points)
        if drawn:
            y = Axis(unit, low=0.0 if unit == "tokens" else None)
            charts.append(Chart(f"{what}-{anchor(loop)}", title, rounds, y, drawn, note=note))
    return charts


def _rate(row: Mapping[str, Any]) -> tuple[object, object]:
    """Accuracy and its interval; both forms are read, a number beside `interval` and a rate that holds its own."""
    accuracy, ends = row.get("accuracy"), row.get("interval")
    if isinstance(accuracy, Mapping) and all(_numeric(accuracy.get(key)) for key in ("rate", "low", "high")):
        return percent(accuracy["rate"]), interval(accuracy)
    if isinstance(accuracy, bool) or not isinstance(accuracy, int | float):
        return None, None
    told = isinstance(ends, list) and len(ends) == 2 and all(map(_numeric, ends))
    return percent(accuracy), interval({"low": ends[0], "high": ends[1]}) if told and ends is not None else None


def _signs(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Each sign of a round, what it rests on, and what to do."""
    found = row.get("signs")
    return [
        (str(sign.get("sign", "?")), str(sign.get("why", "")), str(sign.get("advice", "")))
        for sign in (found if isinstance(found, list) else [])
        if isinstance(sign, Mapping)
    ]


def _points(gain: Any) -> str | None:
    return f"{100 * gain:+.1f}" if _numeric(gain) else None


def _numeric(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return number(value) if _numeric(value) else str(value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), part)
    elif isinstance(value, list):
        yield name, ", ".join(_said(part) for part in value)
    else:
        yield name, value if value is None or isinstance(value, bool | int | float | str) else str(value)
