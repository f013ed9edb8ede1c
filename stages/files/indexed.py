"""A file whose records are looked up by id. Only the start of each line is kept, so it may be larger than the memory.

with RecordIndex("r0/labelled.jsonl", parse, lambda problem: problem.id) as index:
    index.get("gsm8k/train/17")
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

from evals.errors import UsageError
from stages.files.inputs import check_source, kind_of, seekable
from stages.files.records import Parse, RecordReader

T = TypeVar("T")


class RecordIndex(Generic[T]):
    """The records of a file by id. A bad line or a repeated id is an error: a lookup must not miss a record.

    As a context manager it reads the file on entry and closes it on exit.
    """

    def __init__(self, source: str, parse: Parse[T], id_of: Callable[[T], str]) -> None:
        self.source = source
        self._id_of = id_of
        self._reader = RecordReader(source, parse, id_of=id_of)
        self._starts: dict[str, int] = {}
        self._file: IO[bytes] | None = None

    def read(self) -> None:
        """Find where each line begins.

        Raises:
            UsageError: there is no such file, or it is a pipe, a table or one JSON list.
            DataError: a bad line.
        """
        check_source(self.source)
        if not seekable(self.source):
            raise self._no_lines()
        for line in self._reader:
            assert line is not None, "a reader that waits gets lines only"
            if line.fault is not None:
                raise line.fault
            if line.record is not None:
                self._starts[self._id_of(line.record)] = line.start
        if self._reader.listed:
            raise self._no_lines()

    def _no_lines(self) -> UsageError:
        return UsageError(
            f"{self.source} is not a file of lines, and they must be read in any order", "Name a .jsonl or .jsonl.gz."
        )

    def close(self) -> None:
        """Close the file; the ids are kept."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        self.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ids(self) -> set[str]:
        """All ids."""
        return set(self._starts)

    def get(self, identity: str) -> T | None:
        """The record with this id, read from the file again; None if there is none.

        Raises:
            DataError: the line has changed.
        """
        start = self._starts.get(identity)
        if start is None:
            return None
        if self._file is None:
            opener: Any = gzip.open if kind_of(self.source) == "gzip" else open
            self._file = opener(self.source, "rb")
        self._file.seek(start)
        line = self._reader.reread(self._file.readline(), start)
        if line.fault is not None:
            raise line.fault
        return line.record
