"""Lines that are made now and written later: kept in a temporary file, so that memory does not grow with them.

with Spool() as spool:
    spool.add(7, '{"problem": "chain/train/0/7", "reason": "no right path"}')
    list(spool)                                              # [(7, '{"problem": ...}')]
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from evals.errors import Interrupted

_BUFFER = 1 << 16


class Spool:
    """Lines of text without line ends, each with a number, given back in the order in which they were added."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", buffering=_BUFFER)  # noqa: SIM115 (closed on exit)

    def add(self, number: int, line: str) -> None:
        """Keep a line.

        Raises:
            Interrupted: the disk for temporary files is full.
        """
        try:
            self._file.write(f"{number}\t{line}\n")
        except OSError as error:
            raise Interrupted(
                f"lines cannot be kept in the folder for temporary files ({error.strerror or error})",
                "Make room there or set TMPDIR to another folder, then run the same command again.",
            ) from error

    def __iter__(self) -> Iterator[tuple[int, str]]:
        self._file.seek(0)
        for line in self._file:
            number, _, text = line.partition("\t")
            yield int(number), text[:-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
