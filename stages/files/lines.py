"""Lines of text, one after the other: numbered from 0, each with a digest. A bad one does not stop the next.

for line in TextLines("problems.jsonl.gz"): ...      # TextLine(n=16, start=8123, digest="9f...", text='{"id": ...}')

Blank lines are skipped but numbered, so line numbers are an editor's minus one. A byte order mark at the start and
Windows line ends are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from evals.errors import DataError
from stages.files.inputs import is_file, raw_lines

_BOM = b"\xef\xbb\xbf"


class TextLine(NamedTuple):
    """One line: its number from 0, the byte it starts at (uncompressed), its digest (8 bytes of blake2b in hex, over
    its content), its text without the line end, and the bytes of that. `fault` says why it is not text."""

    n: int
    start: int
    digest: str
    text: str = ""
    bare: bytes = b""
    fault: DataError | None = None


class TextLines:
    """The lines of a file, a gzip file, a pipe or `-`, read once and in bounded memory.

    Args:
        wait: block while a pipe has nothing; if False, yield None instead.
    """

    def __init__(self, source: str, *, wait: bool = True) -> None:
        self.source, self.wait = source, wait
        self.count = 0
        """Lines read so far, blank and bad ones included."""
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of the bytes read so far. Only for a pipe: a file is hashed before it is read."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[TextLine | None]:
        """Every line, blank ones with the text "", and None where a pipe has nothing yet (never with `wait`).

        Raises:
            UsageError: there is no such file.
            DataError: `file:line: ...` if the rest cannot be read, such as truncated gzip data.
        """
        hashed, start = not is_file(self.source), 0
        for raw in raw_lines(self.source, wait=self.wait):
            if raw is None:
                yield None
                continue
            if hashed:
                self._hash.update(raw)
            n, self.count = self.count, self.count + 1
            yield text_line(raw, n, start)
            start += len(raw)


def text_line(raw: bytes, n: int, start: int) -> TextLine:
    """The bytes of a line, line end included, as text."""
    bare = (raw if start else raw.removeprefix(_BOM)).rstrip(b"\r\n")
    digest = hashlib.blake2b(bare, digest_size=8).hexdigest()
    try:
        text = bare.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = DataError(f"is not UTF-8 text ({error.reason} at byte {error.start})")
        return TextLine(n, start, digest, fault=fault)
    return TextLine(n, start, digest, "" if not bare or bare.isspace() else text, bare)
