"""The section on the health of the rounds, from the lines that `sipf health` keeps in RUN/health.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.page.accuracy import interval, p_value, percent
from stages.page.blocks import Block, Group, Section, Text
from stages.page.charts import Table, number
from stages.page.made import json_lines

HEALTH = "health.jsonl"
SHOWN = {"round", "accuracy", "interval", "gain", "p", "signs", "best", "policy", "model", "stop"}
"""What has a column of its own in the first table; all else stands in the second."""


def health(folders: Mapping[str, Path]) -> Section | None:
    """The section, or None where no loop has such a file."""
    section = Section("health", "Health of the rounds")
    for name, folder in folders.items():
        if not (folder / HEALTH).is_file():
            continue
        rows, faults = json_lines(folder / HEALTH)
        blocks: list[Block] = [Text(fault, notice=True) for fault in faults]
        if rows:
            blocks += _blocks(rows)
        section.blocks += [Group(f"Loop {name}", blocks)] if len(folders) > 1 else blocks
    return section if section.blocks else None


def _blocks(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    named = [(row.get("round"), *sign) for row in rows for sign in _signs(row)]
    best = rows[-1].get("best")
    said = [] if best is None else [Text(f"Best round so far: {_said(best)}.")]
    found: list[Block] = [*said, Table(("round", "accuracy %", "95 % interval", "gain, points", "p", "signs"), [
        (
            row.get("round"), *_rate(row), _points(row.get("gain")),
            p_value(row["p"]) if _numeric(row.get("p")) else None, ", ".join(sign for sign, _ in _signs(row)) or "none",
        )
        for row in rows
    ], "Accuracy and signs by round")]  # fmt: skip
    if named:
        found.append(Table(("round", "sign", "what to do"), named, "What the signs advise"))
    details = [dict(_flat("", {key: row[key] for key in row if key not in SHOWN})) for row in rows]
    names = list(dict.fromkeys(name for one in details for name in one))
    if names:
        columns = ("", *(f"round {_said(row.get('round'))}" for row in rows))
        every = Table(columns, [(name, *(one.get(name) for one in details)) for name in names], "Figures by round")
        found.append(Group("All figures", [every], folded=True))
    return found


def _rate(row: Mapping[str, Any]) -> tuple[object, object]:
    """Accuracy and its interval; both forms are read, a number beside `interval` and a rate that holds its own."""
    accuracy, ends = row.get("accuracy"), row.get("interval")
    if isinstance(accuracy, Mapping) and all(_numeric(accuracy.get(key)) for key in ("rate", "low", "high")):
        return percent(accuracy["rate"]), interval(accuracy)
    if isinstance(accuracy, bool) or not isinstance(accuracy, int | float):
        return None, None
    told = isinstance(ends, list) and len(ends) == 2 and all(map(_numeric, ends))
    return percent(accuracy), interval({"low": ends[0], "high": ends[1]}) if told and ends is not None else None


def _signs(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = row.get("signs")
    return [
        (str(sign.get("sign", "?")), str(sign.get("advice", "")))
        for sign in (found if isinstance(found, list) else [])
        if isinstance(sign, Mapping)
    ]


def _points(gain: Any) -> str | None:
    return f"{100 * gain:+.1f}" if _numeric(gain) else None


def _numeric(value: Any) -> bool:
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
