"""The verdicts of a complete result file, read for sums: one small record per line, nothing of the line is kept.

    for found in judged("run/eval/round1.jsonl"):
        found.identity, found.split, found.right, found.sound      # "chain/test/17", "test", [True], False

A file with a manifest was written, and so checked, by `sipf`; its lines are parsed here and not validated again, which
is ten times as fast. A line that is not what it should be all the same is an error: a rate must not leave anything out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from evals.errors import DataError
from evals.records import Problem
from evals.worlds.truth import sound
from stages.files.inputs import raw_lines
from stages.joins.traces import sound_steps


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluated line: its problem, and of each answer whether it is right and what it says.

    There is no answer where no sample was given for the problem, which is then in no rate. `sound` is whether the first
    answer is right by right steps, or None where steps cannot be checked.
    """

    identity: str
    split: str
    right: list[bool]
    answers: list[str | None]
    sound: bool | None


def parsed_lines(source: str) -> Iterator[tuple[str, Any]]:
    """Each line of a complete file that is not blank: its place (`file:line`) and what it holds.

    Raises:
        DataError: a line is not an object of JSON.
    """
    for number, raw in enumerate(raw_lines(source), 1):
        if raw is None or raw.isspace():
            continue
        place = f"{source}:{number}"
        try:
            row = from_json(raw, allow_inf_nan=False)
        except ValueError as error:
            raise DataError(f"{place}: not a line of JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{place}: a line must be a JSON object, this one is {type(row).__name__}")
        yield place, row


def judged(source: str) -> Iterator[Judged]:
    """The verdicts of a result file, line by line.

    Raises:
        DataError: a line has no judged path, or is not what `sipf eval` writes.
    """
    for place, row in parsed_lines(source):
        try:
            found = _judged(row)
        except DataError as error:
            raise error.at(place) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{place}: not a line that sipf eval writes ({error!r})", "Run sipf eval again.") from error
        yield found


def _judged(row: Mapping[str, Any]) -> Judged:
    split = str(row.get("split", row["task"]))
    if not row.get("paths"):
        return Judged(str(row["id"]), split, [], [], None)
    paths = [path for path in row["paths"] if path.get("source", "sample") == "eval"] or row["paths"]
    if any(path.get("correct") is None for path in paths):
        raise DataError("paths: not evaluated", "Run sipf eval on the file first.")
    right = [bool(path["correct"]) for path in paths]
    return Judged(
        str(row["id"]),
        split,
        right,
        [path.get("answer") for path in paths],
        _sound(row, paths[0], right[0]),
    )


def _sound(row: Mapping[str, Any], path: Mapping[str, Any], right: bool) -> bool | None:
    """What `stages.joins.results.right_trace` says. Only few kinds of lines have to be made records for it, and the
    steps of a wrong answer need not be looked at."""
    world = row.get("world")
    if row["task"] == "chain" and isinstance(world, Mapping) and "operations" in world:
        return right and sound(world, path.get("steps", []))
    if row["task"] == "gsm8k":
        problem = Problem.from_row({**row, "paths": [path]})
        return right and sound_steps(problem, problem.paths[0])
    return None
