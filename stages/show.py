"""show: find problems in a file of lines, of whichever stage, to show them. How they look is in `sipf_cli.show`.

    show("labels.jsonl", "chain/train/0/7#3", ShowSettings(), BadLines()).items
    # [Item("chain/train/0/7", ["labels.jsonl:8"], problem=Problem(...), paths={"chain/train/0/7#3"}, pairs=[], ...)]

A file is read once and line by line; only the lines that are shown are made records. Of a file of pairs an item is a
problem with all its pairs, and so it is of a file of reasons (`OUT.reasons.jsonl`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice

from evals.errors import DataError, UsageError
from stages.files.inputs import is_file
from stages.files.reading import BadLines
from stages.joins.entries import Entry, EntryFile, Item
from stages.pairing.reasons import ENDING
from stages.seeds import lot
from stages.settings.show import ShowSettings
from stages.shown import PathView

OTHERS = 5
"""How many other ids are named below what is shown."""
NEAR = 3
"""How many ids are named that resemble one that is not there."""


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
    file = EntryFile(source, bad)
    if wanted is None:
        shown = _chosen(file, settings, _condition(settings, bad))
    elif (number := wanted.removeprefix("line").removeprefix(":")) != wanted and number.isdecimal():
        shown = Shown([Item.of([file.line(int(number))])])
    else:
        # most lines need not be parsed to see that they are others; if none is it, the ids are written in another way
        quick = _named(EntryFile(source, BadLines(), wanted.partition("#")[0]), wanted) if is_file(source) else []
        found = quick or _named(file, wanted, _Near(wanted))
        shown = Shown([Item.of(found, None if found[0].kind != "problem" else _paths(found[0], wanted))])
    if settings.pairs is not None:
        _add_pairs(shown.items, str(settings.pairs), bad)
    return shown


def _named(file: EntryFile, wanted: str, near: _Near | None = None) -> list[Entry]:
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


def _chosen(file: EntryFile, settings: ShowSettings, matches: Condition | None) -> Shown:
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
        paired = {entry.problem for entry in EntryFile(str(settings.pairs), bad).entries() if entry.kind == "pair"}
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
    for entry in EntryFile(source, bad).entries():
        if entry.kind == "pair" and (item := by_id.get(entry.problem)) is not None:
            item.pairs.append(entry.pair())
    if source != "-" and is_file(source + ENDING):
        for entry in EntryFile(source + ENDING, bad).entries():
            if entry.kind == "reason" and (item := by_id.get(entry.problem)) is not None:
                item.missing.append(entry.row)
