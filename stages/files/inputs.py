"""Where lines come from: a file (packed or not), a table, a pipe, or `-` for stdin. Read as bytes, never all at once.

A file is told by its first bytes (gzip, Zstandard, Parquet, Arrow), only CSV by its name. A row of a table is read as
the line of JSON that it would be (`stages.files.tables`).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import select
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from evals.errors import DataError, UsageError

_CHUNK = 1 << 16
Kind = Literal["lines", "gzip", "zstd", "parquet", "arrow", "arrow stream"]
_FIRST_BYTES: dict[bytes, Kind] = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
}
_STREAM = b"\xff\xff\xff\xff"
"""What an Arrow stream begins with, before the length of its first message."""
_NOT_READ = {
    b"PK\x03\x04": ("a zip archive (or .xlsx)", "Unpack it, or save the table as CSV."),
    b"BZh91AY&": ("packed by bzip2", "Unpack it; gzip and Zstandard are read."),
    b"\xfd7zXZ\x00": ("packed by xz", "Unpack it; gzip and Zstandard are read."),
    b"\xff\xfe{\x00": ("UTF-16 text", "Save it as UTF-8."),
    b"\xff\xfe[\x00": ("UTF-16 text", "Save it as UTF-8."),
}
"""First bytes of what is named rather than read."""
_PACKED = (".gz", ".zst")
_MARK = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the first letter of a text: a byte order mark, white space."""


def is_file(source: str) -> bool:
    """Whether the source is a regular file, which can be hashed and read again, rather than a pipe."""
    return source != "-" and os.path.isfile(source)


def check_source(source: str) -> None:
    """Refuse an input that cannot be opened.

    Raises:
        UsageError: it does not exist, is a folder, or is not readable.
    """
    if source == "-":
        return
    if os.path.isdir(source):
        saved = sorted(name for name in os.listdir(source) if name.endswith((".arrow", ".parquet")))
        raise UsageError(f"{source} is a folder", f"Name a file in it{', such as ' + saved[0] if saved else ''}.")
    if not os.path.exists(source):
        half = os.path.exists(source + ".part")
        raise UsageError(
            f"there is no file {source}",
            "It is unfinished: run the command that writes it again." if half else "Is the path right?",
        )
    if not os.access(source, os.R_OK):
        raise UsageError(f"{source} is not readable", "Check its permissions.")


def kind_of(source: str) -> Kind:
    """What a file holds, by its first bytes.

    Raises:
        DataError: something that is not read.
    """
    with open(source, "rb") as file:
        first = file.read(8)
    for magic, (what, advice) in _NOT_READ.items():
        if first.startswith(magic):
            raise DataError(f"{source}: is {what}, no lines", advice)
    length = int.from_bytes(first[4:], "little")
    if first.startswith(_STREAM) and 0 < length < _CHUNK**2 >> 4 and length % 8 == 0:
        return "arrow stream"
    return next((kind for magic, kind in _FIRST_BYTES.items() if first.startswith(magic)), "lines")


def bare_name(source: str) -> str:
    """The file's name without .gz or .zst."""
    name = os.path.basename(source)
    return name.removesuffix(next((ending for ending in _PACKED if name.endswith(ending)), ""))


def seekable(source: str) -> bool:
    """Whether a line can be read again from the byte it starts at: a file of lines, packed by gzip or not at all."""
    return is_file(source) and kind_of(source) in ("lines", "gzip") and not _is_csv(source)


def _is_csv(source: str) -> bool:
    return bare_name(source).endswith((".csv", ".tsv"))


def _packed(source: str, kind: Kind) -> Iterator[bytes]:
    line = 0
    name = "gzip" if kind == "gzip" else "Zstandard"
    try:
        for raw in _gunzipped(source) if kind == "gzip" else _split(_unzstd(source)):
            line += 1
            yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{source}:{line + 1}: the {name} data are truncated or damaged here ({error})",
            "The lines before it are intact; download or make the file again.",
        ) from error


def _gunzipped(source: str) -> Iterator[bytes]:
    with gzip.open(source, "rb") as file:
        yield from file


def _unzstd(source: str) -> Iterator[bytes]:
    """The unpacked bytes, in chunks."""
    import pyarrow

    with pyarrow.input_stream(source, compression="zstd") as file:
        while True:
            try:
                chunk: bytes = file.read(_CHUNK)
            except OSError as error:  # arrow's own for whatever is wrong with the frames
                raise EOFError(error) from error
            if not chunk:
                return
            yield chunk


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks cut into lines, line ends included."""
    tail = b""
    for chunk in chunks:
        *lines, tail = (tail + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if tail:
        yield tail


def _piped(fd: int, wait: bool) -> Iterator[bytes | None]:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    tail = b""
    while True:
        if not poll.poll(None if wait else 0):
            yield None
            continue
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            break
        *lines, tail = (tail + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if tail:
        yield tail


def _stdin() -> int | BinaryIO:
    try:
        return sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):  # replaced by something that is not a file
        return sys.stdin.buffer


def raw_lines(source: str, *, wait: bool = True) -> Iterator[bytes | None]:
    """The lines as bytes, line ends included.

    With `wait=False`, None means that a pipe has nothing yet; otherwise reading blocks.

    Raises:
        UsageError: there is no such file.
        DataError: it cannot be read to its end.
    """
    check_source(source)
    try:
        if source == "-":
            stdin = _stdin()
            yield from _piped(stdin, wait) if isinstance(stdin, int) else stdin
        elif not is_file(source):
            fd = os.open(source, os.O_RDONLY)
            try:
                yield from _piped(fd, wait)
            finally:
                os.close(fd)
        else:
            yield from _file_lines(source)
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error})") from error


def _file_lines(source: str) -> Iterator[bytes]:
    kind = kind_of(source)
    if kind == "lines" and source.endswith(".gz"):
        kind = "gzip"  # its own reader says what is wrong with it
    if kind in ("parquet", "arrow", "arrow stream"):
        from stages.files.tables import table_lines

        yield from table_lines(source, kind)
        return
    lines = _packed(source, kind) if kind in ("gzip", "zstd") else _plain(source)
    if _is_csv(source):
        from stages.files.tables import csv_lines

        lines = csv_lines(source, lines, "\t" if bare_name(source).endswith(".tsv") else ",")
    yield from lines


def _plain(source: str) -> Iterator[bytes]:
    with open(source, "rb") as file:
        yield from file


@dataclass(frozen=True)
class Fingerprint:
    """What is known of a file before it is read: hash, size, time of change, number of lines (None: packed, a table,
    or one JSON list)."""

    sha256: str
    stamp: tuple[int, int]
    lines: int | None


def stamp_of(source: str) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds: cheap to compare."""
    status = os.stat(source)
    return status.st_size, status.st_mtime_ns


def file_fingerprint(source: str) -> Fingerprint | None:
    """Hash a file and count its lines in one pass; None for a pipe."""
    if not is_file(source):
        return None
    digest, lines, last, stamp = hashlib.sha256(), 0, b"\n", stamp_of(source)
    counted = kind_of(source) == "lines" and not _is_csv(source)
    with open(source, "rb") as file:
        while chunk := file.read(1 << 20):
            counted = counted and (lines > 0 or not chunk.lstrip(_MARK).startswith(b"["))
            digest.update(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return Fingerprint(digest.hexdigest(), stamp, lines + (last != b"\n") if counted else None)
