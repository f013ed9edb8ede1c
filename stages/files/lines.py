"""How lines are read: streamed, numbered from 0, one bad line never in the way of the next.

for n, problem in read_problems("problems.jsonl.gz", on_bad=print): ...

`.jsonl`, `.jsonl.gz`, a pipe, or `-` for stdin. Blank lines are passed over but numbered, so that line numbers are
those of an editor minus one; a byte order mark at the start and Windows line ends are taken as they are meant.
A line is bad if it is no problem, if its id stood in an earlier good line, or if it could not be written back.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from evals.errors import DataError
from evals.records import Problem, parse_json, parse_problem
from stages.files.ids import SeenIds
from stages.files.inputs import check_source, is_file, raw_lines
from stages.files.shards import Shard

__all__ = ["Line", "ProblemReader", "check_source", "is_file", "raw_lines", "read_lines", "read_problems"]

_BOM = b"\xef\xbb\xbf"
_SUSPECT = re.compile(r"\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}|\d{309}")
"""Half a surrogate pair, or a number beyond a double: Python reads them, JSON writers cannot write them back."""
_MAX_DEPTH = 200
"""The JSON writer gives up at about 250 levels."""


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
