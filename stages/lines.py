"""How lines are read: streamed, numbered from 0, one bad line never in the way of the next.

for n, problem in read_problems("problems.jsonl.gz", on_bad=print): ...

`.jsonl`, `.jsonl.gz`, a pipe, or `-` for stdin. Blank lines are passed over but numbered, so that line numbers are
those of an editor minus one; a byte order mark at the start and Windows line ends are taken as they are meant.
A line is bad if it is no problem, if its id stood in an earlier good line, or if it could not be written back.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import select
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from evals.errors import DataError, UsageError
from evals.records import Problem, parse_json, parse_problem
from stages.seen import SeenIds
from stages.shards import Shard

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 16
_SUSPECT = re.compile(r"\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}|\d{309}")
"""Half a surrogate pair, or a number beyond a double: Python reads them, JSON writers cannot write them back."""
_MAX_DEPTH = 200
"""The JSON writer gives up at about 250 levels."""


def is_file(source: str) -> bool:
    """Whether the source is a regular file, which can be hashed and read again, rather than a pipe."""
    return source != "-" and os.path.isfile(source)


def check_source(source: str) -> None:
    """Refuse an input that cannot be opened.

    Raises:
        UsageError: it does not exist, is a folder, or may not be read.
    """
    if source == "-":
        return
    if os.path.isdir(source):
        raise UsageError(f"{source} is a folder", "Name a file of lines in it.")
    if not os.path.exists(source):
        half = os.path.exists(source + ".part")
        raise UsageError(
            f"there is no file {source}",
            "It is only half made: run the command that writes it again." if half else "Is the path right?",
        )
    if not os.access(source, os.R_OK):
        raise UsageError(f"{source} may not be read", "Look at its permissions.")


def _packed(source: str) -> Iterator[bytes]:
    line = 0
    try:
        with gzip.open(source, "rb") as file:
            for raw in file:
                line += 1
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{source}:{line + 1}: the gzip data are torn or damaged here ({error})",
            "The lines before are whole; get or make the file again.",
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
    except (OSError, ValueError, AttributeError):  # replaced by something that is no file
        return sys.stdin.buffer


def raw_lines(source: str, *, wait: bool = True) -> Iterator[bytes | None]:
    """The lines as bytes, line ends included.

    With `wait=False` a None says that a pipe has nothing yet, instead of blocking whoever reads.

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


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _bare(raw: bytes, n: int) -> bytes:
    return raw.removeprefix(_BOM).rstrip(b"\r\n") if n == 0 else raw.rstrip(b"\r\n")


def read_lines(source: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, as (line number from 0, text without line end).

    Raises:
        UsageError: there is no such file.
        DataError: `file:line: ...` for torn gzip data, and for a line that is not UTF-8.
    """
    for n, raw in enumerate(raw_lines(source)):
        assert raw is not None, "a reader that waits gets lines only"
        text = _decode(_bare(raw, n), f"{source}:{n + 1}")
        if text.strip():
            yield n, text


def _field(path: tuple[Any, ...]) -> str:
    shown = ".".join(str(part) for part in path[:4])
    return (shown + "..." if len(path) > 4 else shown).encode("utf-8", "backslashreplace").decode()


def _fault_in(value: Any) -> str | None:
    """The first thing in a parsed line that could not be written back as JSON."""
    rest: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while rest:
        path, part = rest.pop()
        if len(path) > _MAX_DEPTH:
            return f"{_field(path)}: nested more than {_MAX_DEPTH} levels deep"
        if isinstance(part, dict):
            rest += [((*path, key), item) for key, item in part.items()]
            rest += [((*path, key), key) for key in part]
        elif isinstance(part, list):
            rest += [((*path, i), item) for i, item in enumerate(part)]
        elif isinstance(part, float) and math.isinf(part):
            return f"{_field(path)}: the number is too large for JSON readers"
        elif isinstance(part, str) and any("\ud800" <= letter <= "\udfff" for letter in part):
            return f"{_field(path)}: holds half a surrogate pair, which is no text"
    return None


def _writable(text: str, where: str) -> None:
    suspect = _SUSPECT.search(text) is not None
    if not suspect and text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    try:
        fault = _fault_in(parse_json(text))
    except (ValueError, RecursionError):
        return  # parse_problem says what is wrong
    if fault is not None:
        raise DataError(f"{where}: {fault}")


class Line(NamedTuple):
    """One line of the input: a problem, a fault, or neither if it is blank. `digest` is 8 bytes of blake2b in hex."""

    n: int
    digest: str
    problem: Problem | None = None
    fault: DataError | None = None


@dataclass
class ProblemReader:
    """Reads a file of problems once, line by line, in bounded memory.

    Of a shard only its own lines come out, but every line is read: an id that stands twice is a bad line in whichever
    shard it falls, so that shards put together again equal the whole.
    """

    source: str
    shard: Shard | None = None
    check: Callable[[Problem], None] | None = None
    wait: bool = True

    def __post_init__(self) -> None:
        self.lines = 0
        """Lines read so far, blank and bad ones included."""
        self.good = 0
        """Good lines read so far, those of other shards included."""
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of the bytes read so far (unpacked ones)."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Line | None]:
        """Every line of the shard, and None where a pipe has nothing yet (never with `wait`).

        Raises:
            UsageError, DataError: as `raw_lines` does.
        """
        hashed = not is_file(self.source)  # a file's hash was taken before
        with SeenIds() as seen:
            for raw in raw_lines(self.source, wait=self.wait):
                if raw is None:
                    yield None
                    continue
                if hashed:
                    self._hash.update(raw)
                n, self.lines = self.lines, self.lines + 1
                line = self._read(n, _bare(raw, n), seen)
                self.good += line.problem is not None
                if self.shard is None or self.shard.holds(n):
                    yield line

    def _read(self, n: int, raw: bytes, seen: SeenIds) -> Line:
        digest = hashlib.blake2b(raw, digest_size=8).hexdigest()
        if not raw.strip():
            return Line(n, digest)
        where = f"{self.source}:{n + 1}"
        try:
            text = _decode(raw, where)
            _writable(text, where)
            problem = parse_problem(text, where)
            self._check(problem, where)
        except DataError as fault:
            return Line(n, digest, fault=fault)
        before = seen.first(problem.id, n)
        if before is not None:
            said = f"{where}: id: {problem.id!r} stands in line {before + 1} already"
            return Line(n, digest, fault=DataError(said, "Give every problem an id of its own."))
        return Line(n, digest, problem)

    def _check(self, problem: Problem, where: str) -> None:
        if self.check is None:
            return
        try:
            self.check(problem)
        except DataError as error:
            raise DataError(f"{where}: {error.message}", error.advice) from error


def read_problems(
    source: str,
    *,
    shard: Shard | None = None,
    on_bad: Callable[[DataError], None],
    check: Callable[[Problem], None] | None = None,
) -> Iterator[tuple[int, Problem]]:
    """The good lines as (line number from 0, problem); each bad one goes to `on_bad` as `file:line: field: ...`.

    Args:
        shard: take only its lines.
        on_bad: what to do with a bad line; raise to stop there.
        check: the task's own check of a problem.

    Raises:
        UsageError: there is no such file.
        DataError: the rest of the file cannot be read.
    """
    for line in ProblemReader(source, shard, check):
        assert line is not None, "a reader that waits gets lines only"
        if line.fault is not None:
            on_bad(line.fault)
        elif line.problem is not None:
            yield line.n, line.problem


@dataclass(frozen=True)
class Fingerprint:
    """What a file is before it is read: its hash, its size and time of change, its lines (None: packed)."""

    sha256: str
    stamp: tuple[int, int]
    lines: int | None


def stamp_of(source: str) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds: cheap to compare."""
    status = os.stat(source)
    return status.st_size, status.st_mtime_ns


def fingerprint(source: str) -> Fingerprint | None:
    """Hash a file and count its lines in one pass; None for a pipe."""
    if not is_file(source) or not stat.S_ISREG(os.stat(source).st_mode):
        return None
    digest, lines, last, stamp = hashlib.sha256(), 0, b"\n", stamp_of(source)
    with open(source, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    packed = source.endswith(".gz")
    return Fingerprint(digest.hexdigest(), stamp, None if packed else lines + (last != b"\n"))
