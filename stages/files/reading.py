"""What happens to bad lines: they are reported, skipped and counted; with `strict` the first one stops everything.

bad = BadLines(tell=print)
for pair in bad.good(RecordReader("pairs.jsonl", parse_pair)): ...
bad.count                                                            # 3

pairs, faults = read_all(RecordReader("pairs.jsonl", parse_pair))    # whole files, for the stages that train
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from evals.errors import DataError
from stages.files.records import Line, RecordReader

T = TypeVar("T")


def _silent(_: DataError) -> None:
    pass


class BadLines:
    """Counts bad lines and reports the fault of each; the good ones pass through.

    Args:
        strict: raise the first fault instead.
        tell: called with each fault.
    """

    def __init__(self, *, strict: bool = False, tell: Callable[[DataError], None] = _silent) -> None:
        self.strict, self._tell = strict, tell
        self.count = 0
        self.first: DataError | None = None

    def add(self, fault: DataError) -> None:
        """Count and report a bad line.

        Raises:
            DataError: the fault itself, with `strict`.
        """
        if self.strict:
            raise fault
        self.count += 1
        self.first = self.first or fault
        self._tell(fault)

    def refuse_nothing(self, left: object) -> None:
        """Raise the first fault if nothing is left.

        Raises:
            DataError: the first bad line's.
        """
        if not left and self.first is not None:
            raise self.first

    def good(self, lines: Iterable[Line[T] | None]) -> Iterator[T]:
        """The records of the good lines.

        Raises:
            DataError: a bad line, with `strict`; or the rest cannot be read.
        """
        for line in lines:
            assert line is not None, "a reader that waits gets lines only"
            if line.fault is not None:
                self.add(line.fault)
            elif line.record is not None:
                yield line.record


class Located(list[T]):
    """The records of a file in their order; `places` says where each stands, in words (`file:line`)."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []


def located(lines: Iterable[T]) -> list[tuple[str, T]]:
    """Each record with its place in words; those that were not read from a file are numbered from 1 ("line 1")."""
    if isinstance(lines, Located):
        return list(zip(lines.places, lines, strict=True))
    return [(f"line {number}", line) for number, line in enumerate(lines, 1)]


def read_all(reader: RecordReader[T], *, strict: bool = False) -> tuple[Located[T], list[DataError]]:
    """Every good record of a file, and the faults of its bad lines.

    Args:
        strict: raise the first fault instead of collecting it.

    Raises:
        UsageError: there is no such file.
        DataError: no line is good.
    """
    faults: list[DataError] = []
    bad = BadLines(strict=strict, tell=faults.append)
    records: Located[T] = Located()
    for line in reader:
        assert line is not None, "a reader that waits gets lines only"
        if line.fault is not None:
            bad.add(line.fault)
        elif line.record is not None:
            records.append(line.record)
            records.places.append(reader.place_of(line))
    if not records:
        raise faults[0] if faults else DataError(f"{reader.source} holds no line")
    return records, faults
