"""Lines of problems, pairs and reasons of whichever stage, told apart by their keys and read one at a time.

    file = EntryFile("labels.jsonl", BadLines())
    next(file.entries())        # Entry(line=1, place="labels.jsonl:1", id="chain/train/0/0", kind="problem", ...)
    [Item.of(entries) for entries in file.problems()]

A line is parsed when it is met; it becomes a record when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

from evals.datasets import step_labels
from evals.datasets.pairs import pair
from evals.errors import DataError, UsageError
from evals.forms import refusal
from evals.records import Problem
from stages.files.inputs import bare_name, is_file, raw_lines
from stages.files.reading import BadLines
from stages.files.records import Place, RecordReader

_SIDES = {"chosen", "rejected"}


class Entry(NamedTuple):
    """A line as it was read: its number from 1, its place, its id, its problem's, and what kind of line it is."""

    line: int
    place: str
    id: str
    problem: str
    kind: Literal["problem", "pair", "reason"]
    row: dict[str, Any]

    def record(self) -> Problem:
        """The problem that the line holds.

        Raises:
            DataError: `file:line: field: what is wrong`.
        """
        try:
            if step_labels.is_foreign(self.row):
                return step_labels.problem(self.row, self.id)
            return Problem.from_row(self.row)
        except DataError as error:
            raise refusal(self.row, error, "sipf show").at(self.place) from error

    def pair(self) -> dict[str, Any]:
        """The pair that the line holds, in the form of `sipf pairs`.

        Raises:
            DataError: `file:line: field: what is wrong`.
        """
        try:
            return pair(self.row)
        except DataError as error:
            raise error.at(self.place) from error


@dataclass
class Item:
    """What is shown of one problem: its line, or its pairs, or both.

    Args:
        places: `file:line` of each line.
        paths: the ids of the paths to show; None: all.
        missing: why pairs are missing, as lines of `OUT.reasons.jsonl`.
    """

    id: str
    places: list[str] = field(default_factory=list)
    problem: Problem | None = None
    paths: set[str] | None = None
    pairs: list[dict[str, Any]] = field(default_factory=list)
    missing: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry], paths: set[str] | None = None) -> Item:
        """The item of a problem's lines.

        Raises:
            DataError: one of them is none after all.
        """
        item = cls("", paths=paths)
        for entry in entries:
            item.id = entry.problem
            item.places.append(entry.place)
            if entry.kind == "problem":
                item.problem = entry.record()
            elif entry.kind == "pair":
                item.pairs.append(entry.pair())
            else:
                item.missing.append(entry.row)
        return item

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        problem = None if self.problem is None else self.problem.model_dump(mode="json", exclude_unset=True)
        return {"id": self.id, "places": self.places, "problem": problem, "pairs": self.pairs, "missing": self.missing}


class EntryFile:
    """The lines of a file, read once; `bad` receives the bad ones. With `only` lines without that text are skipped."""

    def __init__(self, source: str, bad: BadLines, only: str = "") -> None:
        self.source, self.bad = source, bad
        self._stem = PurePath(bare_name(source)).stem
        has = (lambda text: only in text) if only else None
        self._reader: RecordReader[Entry] = RecordReader(source, self._parse, only=has)
        self._rest = iter(self._reader)

    def line(self, number: int) -> Entry:
        """The line of that number, from 1.

        Raises:
            UsageError: there is none, or it is blank.
            DataError: it is bad.
        """
        if number < 1:
            raise UsageError("lines are counted from 1", "Name the first one as :1.")
        for line in self._rest:
            assert line is not None, "a reader that waits gets lines only"
            if line.n + 1 == number and line.fault is not None:
                raise line.fault
            if line.n + 1 == number and line.record is not None:
                return line.record
            if line.n + 1 >= number:
                raise UsageError(f"line {number} of {self.source} is blank", "Name another line, or an id.")
        raise UsageError(f"there is no line {number} in {self.source}: it has {self.lines:,}")

    def entries(self) -> Iterator[Entry]:
        """Every good line that has not been read yet."""
        return self.bad.good(self._rest)

    def problems(self) -> Iterator[list[Entry]]:
        """The lines of each problem; those of one problem that do not follow one another count as two."""
        for _, entries in groupby(self.entries(), key=lambda entry: entry.problem):
            yield list(entries)

    @property
    def lines(self) -> int:
        """Lines read so far."""
        return self._reader.lines

    def count(self) -> int:
        """How many lines there are, blank ones left out; a file of lines is not parsed for it."""
        if is_file(self.source) and not self._reader.listed:
            return sum(bool(raw and raw.strip()) for raw in raw_lines(self.source))
        for _ in self._rest:
            pass
        return self._reader.lines

    def refuse_nothing(self) -> None:
        """Say why there is nothing to show.

        Raises:
            DataError: the first bad line's fault, or that there is no line.
        """
        raise self.bad.first or DataError(f"{self.source} holds no line")

    def _parse(self, row: dict[str, Any], place: Place) -> Entry:
        own = row.get("id")
        identity = own if isinstance(own, str) and own else f"{self._stem}/{place.line}"
        whose = row.get("problem")
        if row.keys() & {"rejected_response", "rejected_messages"} or row.keys() >= _SIDES:
            problem = whose if isinstance(whose, str) else identity.partition("#")[0]
            return Entry(place.line + 1, place.words, identity, problem, "pair", row)
        if isinstance(whose, str) and "reason" in row:
            return Entry(place.line + 1, place.words, str(row.get("path", whose)), whose, "reason", row)
        return Entry(place.line + 1, place.words, identity, identity, "problem", row)
