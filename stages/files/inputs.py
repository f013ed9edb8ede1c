"""Where lines come from: a file, a gzip file, a pipe, or `-` for stdin. Read as bytes, and never all at once."""

from __future__ import annotations

import gzip
import hashlib
import os
import select
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from evals.errors import DataError, UsageError

_CHUNK = 1 << 16


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
        raise UsageError(f"{source} is a folder", "Name a file of lines in it.")
    if not os.path.exists(source):
        half = os.path.exists(source + ".part")
        raise UsageError(
            f"there is no file {source}",
            "It is unfinished: run the command that writes it again." if half else "Is the path right?",
        )
    if not os.access(source, os.R_OK):
        raise UsageError(f"{source} is not readable", "Check its permissions.")


def _packed(source: str) -> Iterator[bytes]:
    line = 0
    try:
        with gzip.open(source, "rb") as file:
            for raw in file:
                line += 1
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{source}:{line + 1}: the gzip data are truncated or damaged here ({error})",
            "The lines before it are intact; download or make the file again.",
        ) from error


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
        elif source.endswith(".gz"):
            yield from _packed(source)
        else:
            with open(source, "rb") as file:
                yield from file
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror or error})") from error


@dataclass(frozen=True)
class Fingerprint:
    """What is known of a file before it is read: hash, size, time of change, number of lines (None: compressed)."""

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
    with open(source, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    packed = source.endswith(".gz")
    return Fingerprint(digest.hexdigest(), stamp, None if packed else lines + (last != b"\n"))
