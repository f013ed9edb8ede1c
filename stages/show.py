"""show: find problems in a file of lines, of whichever stage, to show them. How they look is in `sipf_cli.show`.

    show("labels.jsonl", "chain/train/0/7#3", ShowSettings(), BadLines()).items
    # [Item("chain/train/0/7", ["labels.jsonl:8"], problem=Problem(...), paths={"chain/train/0/7#3"}, pairs=[], ...)]

A file is read once and line by line; only the lines that are shown are made records. Of a file of pairs an item is a
problem with all its pairs, and so it is of a file of reasons (`OUT.reasons.jsonl`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import groupby, islice
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
from stages.pairing.reasons import ENDING
from stages.seeds import lot
from stages.settings.show import ShowSettings
from stages.shown import PathView

OTHERS = 5
"""How many other ids are named below what is shown."""
NEAR = 3
"""How many ids are named that resemble one that is not there."""
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


@dataclass
class Shown:
    """What is shown, and what else is there.

    Args:
        lines: how many lines the file has; None where the reading ended before its end.
        matching: with `where`, how many problems match.
        others: the ids of some that follow.
        seed: what drew them, with `random`.
    """

    items: list[Item]
    lines: int | None = None
    matching: int | None = None
    others: list[str] = field(default_factory=list)
    seed: int | None = None


def show(source: str, wanted: str | None, settings: ShowSettings, bad: BadLines) -> Shown:
    """Find what is to be shown.

    Args:
        source: lines of problems, of pairs or of reasons; a file of any kind that is read elsewhere, or `-`.
        bad: receives the bad lines that are met.
        wanted: the id of a problem, of a path or of a pair, or the number of a line (`:12` or `line:12`); None: the
            first problems, or those that `settings` chooses.

    Raises:
        UsageError: there is no such file, id or line.
        DataError: the line cannot be read, or none can.
    """
    file = _File(source, bad)
    if wanted is None:
        shown = _chosen(file, settings, _condition(settings, bad))
    elif (number := wanted.removeprefix("line").removeprefix(":")) != wanted and number.isdecimal():
        shown = Shown([Item.of([file.line(int(number))])])
    else:
        # most lines need not be parsed to see that they are others; if none is it, the ids are written in another way
        quick = _named(_File(source, BadLines(), wanted.partition("#")[0]), wanted) if is_file(source) else []
        found = quick or _named(file, wanted, _Near(wanted))
        shown = Shown([Item.of(found, None if found[0].kind != "problem" else _paths(found[0], wanted))])
    if settings.pairs is not None:
        _add_pairs(shown.items, str(settings.pairs), bad)
    return shown


class _File:
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


def _named(file: _File, wanted: str, near: _Near | None = None) -> list[Entry]:
    """The lines that an id names: a problem, of which a path may be meant, or its pairs, or some of them.

    Raises:
        UsageError: there is none; only with `near`, which says what resembles it.
    """
    problem, _, path = wanted.rpartition("#")
    found = []
    for entry in file.entries():
        if entry.kind == "problem" and entry.id in (wanted, problem):
            return [entry]
        if entry.kind != "problem" and (wanted in (entry.id, entry.problem) or _in_pair(entry, problem, path)):
            found.append(entry)
        if near is not None:
            near.add(entry.problem)
    if found or near is None:
        return found
    if not near.seen:
        file.refuse_nothing()
    raise UsageError(f"there is no {wanted!r} in {file.source}, which has {file.lines:,} lines", near.advice())


def _paths(entry: Entry, wanted: str) -> set[str] | None:
    """The ids of the paths that `ID#3`, or of a pair `ID#3>1`, means; None: all.

    Raises:
        UsageError: the problem has no such path.
    """
    if wanted == entry.id:
        return None
    there = [path.id for path in entry.record().paths]
    named = {f"{entry.id}#{number}" for number in wanted.rpartition("#")[2].split(">")}
    if named <= set(there):
        return named
    missing = min(named - set(there))
    has = ", ".join(path.removeprefix(entry.id) for path in there[:20]) or "none"
    raise UsageError(f"there is no path {missing!r} in {entry.place}", f"The paths of this problem: {has}.")


def _in_pair(entry: Entry, problem: str, path: str) -> bool:
    """Whether a path is a side of a pair, or what a reason speaks of."""
    sides = entry.id.removeprefix(f"{entry.problem}#").split(">")
    return bool(problem) and entry.problem == problem and path in sides


class _Near:
    """The ids that are most like one that is looked for."""

    def __init__(self, wanted: str) -> None:
        from rapidfuzz import fuzz

        self.seen = 0
        self._wanted, self._likeness = wanted, fuzz.ratio
        self._best: list[tuple[float, int, str]] = []
        self._last = ""

    def add(self, identity: str) -> None:
        """Consider an id; the first of equally similar ones are kept."""
        if identity == self._last:
            return
        self.seen, self._last = self.seen + 1, identity
        same_end = identity.endswith(f"/{self._wanted}")
        likeness = 100.0 if same_end else self._likeness(identity, self._wanted)
        if len(self._best) < NEAR or likeness > -self._best[-1][0]:
            self._best = sorted([*self._best, (-likeness, self.seen, identity)])[:NEAR]

    def advice(self) -> str:
        """What to say of them."""
        return f"The nearest: {', '.join(identity for _, _, identity in self._best)}."


Condition = Callable[[Item], bool]


def _chosen(file: _File, settings: ShowSettings, matches: Condition | None) -> Shown:
    """The first problems of a file, those that match, or some drawn at random."""
    shown = Shown([], matching=None if matches is None else 0)

    def those() -> Iterator[Item]:
        for entries in file.problems():
            try:
                item = Item.of(entries)
            except DataError as fault:
                file.bad.add(fault)
                continue
            if shown.matching is None or matches is None:
                yield item
            elif matches(item):
                shown.matching += 1
                yield item

    if settings.random:
        shown.seed = seed = secrets.randbelow(1_000_000) if settings.seed is None else settings.seed
        numbered = enumerate(those())
        drawn = nsmallest(settings.n, numbered, key=lambda each: lot(each[1].id, seed))
        shown.items = [item for _, item in sorted(drawn, key=lambda each: each[0])]
    else:
        found = those()
        shown.items = list(islice(found, settings.n))
        shown.others = [item.id for item in islice(found, OTHERS)]
        for _ in found if matches is not None else ():
            pass  # until all are counted
    if not shown.items and not shown.matching and file.bad.count == file.lines:
        file.refuse_nothing()
    shown.lines = file.count()
    return shown


def _condition(settings: ShowSettings, bad: BadLines) -> Condition | None:
    """Whether a problem is one that `where` asks for."""
    if settings.where is None:
        return None
    if settings.where == "no-pair":
        paired = {entry.problem for entry in _File(str(settings.pairs), bad).entries() if entry.kind == "pair"}
        return lambda item: item.id not in paired

    def odd(item: Item) -> bool:
        if item.problem is None:
            raise UsageError(
                f"--where {settings.where} looks at paths, and {item.places[0]} has none",
                "Name a file that sipf sample, simulate or score wrote.",
            )
        views = (PathView.of(path, settings.pass_score) for path in item.problem.paths)
        return any(view.wrong_step if settings.where == "wrong-step" else view.disagree for view in views)

    return odd


def _add_pairs(items: list[Item], source: str, bad: BadLines) -> None:
    """Add the pairs of a file to the problems they belong to, and the reasons for those that are missing."""
    by_id = {item.id: item for item in items}
    for entry in _File(source, bad).entries():
        if entry.kind == "pair" and (item := by_id.get(entry.problem)) is not None:
            item.pairs.append(entry.pair())
    if source != "-" and is_file(source + ENDING):
        for entry in _File(source + ENDING, bad).entries():
            if entry.kind == "reason" and (item := by_id.get(entry.problem)) is not None:
                item.missing.append(entry.row)
