"""The one reader of all JSON input: problems, pairs, earlier paths, saved answers, published and private rows.

    reader = RecordReader("pairs.jsonl", parse_pair)
    for line in reader: ...        # Line(n=6, record=None, fault=DataError("pairs.jsonl:7: chosen: must be text"))

A line is bad if it is not a JSON object, if it could not be written back, if `parse` refuses it, or if an earlier good
line has its id. A bad line never stops the reader from reading the next; the caller decides what happens to bad lines
(stages.files.reading).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Generic, NamedTuple, TypeVar

from evals.errors import DataError
from evals.records import parse_json
from stages.files.ids import SeenIds
from stages.files.lines import TextLine, TextLines, text_line
from stages.files.shards import Shard

T = TypeVar("T")

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NOT_JSON = re.compile(rb"NaN|Infinity")
_NUMBERS = bytes(ord("0" if chr(byte) in "0123456789" else "e" if chr(byte) in "eE" else " ") for byte in range(256))
"""Translates every digit to 0, every E to e and the rest to spaces; a plus is to be left out."""
_POWER, _LONG = b"e000", b"0" * 309
"""What a number that is too large for a double has in it then."""
_MAX_DEPTH = 200
"""The JSON writer gives up at about 250 levels."""


class Place(NamedTuple):
    """Where a record comes from: the place in words (`file:line`), its number from 0 with and without the blank lines
    before it, and the unit of that number (line or item)."""

    words: str
    line: int
    row: int
    unit: str = "line"


Parse = Callable[[Any, Place], T | None]
"""Turns a parsed JSON object (or another kind of row) into a record, or into None to skip it.

Raises:
    DataError: `field: what is wrong`; the reader puts the place before it.
"""


class Line(NamedTuple, Generic[T]):
    """One line of the input: a record, a fault, or neither if it is skipped. `n` counts from 0. For a line of text,
    `start` is the offset of its first byte (uncompressed), and `digest` is the digest of its content."""

    n: int
    digest: str = ""
    record: T | None = None
    fault: DataError | None = None
    start: int = 0


class RecordReader(Generic[T]):
    """Reads a source (lines of JSON, packed or not, a pipe, `-`, or a table) once, line by line, in bounded memory; one
    JSON list of objects is read as well, and held in memory.

    A shard yields only its own lines, but every line is read: a repeated id is a bad line in whichever shard it falls,
    so the merged shards equal the whole.

    Args:
        parse: see `Parse`.
        direct: makes a record of a line's bytes at once, without a row; None for a line that `parse` must decide about.
            It is not asked about a line with a number that may be too large, or with NaN.
        id_of: gives the id, which must be unique, or None for a record without one; without `id_of` nothing is checked.
        shard: yield only its lines.
        wait: see `TextLines`.
        only: tells by a line's text whether it is parsed; the others are skipped. It is not asked of a JSON list.
    """

    def __init__(
        self,
        source: str,
        parse: Parse[T],
        *,
        direct: Callable[[bytes], T | None] | None = None,
        id_of: Callable[[T], str | None] | None = None,
        shard: Shard | None = None,
        wait: bool = True,
        only: Callable[[str], bool] | None = None,
    ) -> None:
        self.source, self.shard = source, shard
        self.good = 0
        """Good lines read so far, those of other shards included."""
        self.listed = False
        """Whether the source has turned out to be one JSON list."""
        self._items = 0
        self._parse, self._direct, self._id_of, self._only = parse, direct, id_of, only
        self._text = TextLines(source, wait=wait)

    @property
    def lines(self) -> int:
        """Lines (items, if `listed`) read so far, blank and bad ones included."""
        return self._items if self.listed else self._text.count

    @property
    def sha256(self) -> str:
        """See `TextLines`."""
        return self._text.sha256

    def __iter__(self) -> Iterator[Line[T] | None]:
        """Every line of the shard, and None where a pipe has nothing yet (never with `wait`).

        Raises:
            UsageError, DataError: as `TextLines`; a list that cannot be read is also a DataError.
        """
        with _Records(self._parse, self._id_of, self._direct) as records:
            for line in self._lines(records):
                if line is None:
                    yield None
                    continue
                self.good += line.record is not None
                if self.shard is None or self.shard.holds(line.n):
                    yield line

    def place_of(self, line: Line[T]) -> str:
        """Where a line that was just read stands, in words."""
        return f"{self.source}: item {line.n + 1}" if self.listed else f"{self.source}:{line.n + 1}"

    def reread(self, raw: bytes, start: int) -> Line[T]:
        """A line that was read before, from the byte it starts at; its id is not checked again."""
        with _Records(self._parse, None, self._direct) as records:
            return records.of_text(text_line(raw, start, start), Place(self.source, 0, 0))

    def _lines(self, records: _Records[T]) -> Iterator[Line[T] | None]:
        text, row = iter(self._text), 0
        for line in text:
            if line is None:
                yield None
            elif not line.text and line.fault is None:
                yield Line(line.n, line.digest, start=line.start)
            elif row == 0 and line.text.lstrip().startswith("["):
                yield from self._begun_like_a_list(line, text, records)
                return
            elif self._only is not None and not self._only(line.text):
                yield Line(line.n, line.digest, start=line.start)
                row += 1
            else:
                yield records.of_text(line, Place(f"{self.source}:{line.n + 1}", line.n, row))
                row += 1

    def _begun_like_a_list(
        self, first: TextLine, rest: Iterator[TextLine | None], records: _Records[T]
    ) -> Iterator[Line[T]]:
        """The objects of a source that is one JSON list, or lines of which the first is a list and no object."""
        lines = [first, *(line for line in rest if line is not None)]
        try:
            items: list[Any] = parse_json("\n".join(line.text for line in lines))
        except (ValueError, RecursionError) as error:
            if any(_is_object(line.text) for line in lines[1:]):
                full = (line for line in lines if line.text or line.fault is not None)
                for row, line in enumerate(full):
                    yield records.of_text(line, Place(f"{self.source}:{line.n + 1}", line.n, row))
                return
            raise DataError(f"{self.source}: begins like a JSON list but is not one ({error})") from error
        self.listed = True
        for line in lines:
            if line.fault is not None:
                raise line.fault.at(f"{self.source}:{line.n + 1}")
        for n, item in enumerate(items):
            self._items += 1
            digest = hashlib.blake2b(repr(item).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
            yield records.of_value(item, Place(f"{self.source}: item {n + 1}", n, n, "item"), Line(n, digest))


class _Records(Generic[T]):
    """Turns lines and values into records, and remembers the ids of the good ones while it is open."""

    def __init__(
        self,
        parse: Parse[T],
        id_of: Callable[[T], str | None] | None,
        direct: Callable[[bytes], T | None] | None = None,
    ) -> None:
        self._parse, self._id_of, self._direct = parse, id_of, direct
        self._open = ExitStack()

    def __enter__(self) -> _Records[T]:
        self._seen = None if self._id_of is None else self._open.enter_context(SeenIds())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def of_text(self, line: TextLine, place: Place) -> Line[T]:
        """The record of a line of text that is not blank."""
        if line.fault is not None:
            return Line(line.n, line.digest, fault=line.fault.at(place.words), start=line.start)
        try:
            record = None
            if self._direct is not None and not (_NOT_JSON.search(line.bare) or _too_large(line.bare)):
                record = self._direct(line.bare)
            if record is None:
                record = self._parse(_value(line), place)
        except DataError as fault:
            return Line(line.n, line.digest, fault=fault.at(place.words), start=line.start)
        return self._once(record, place, Line(line.n, line.digest, record, start=line.start))

    def of_value(self, value: Any, place: Place, bare: Line[T], *, safe: bool = False) -> Line[T]:
        """The record of a parsed row; `safe` if it is known to be an object that can be written back."""
        try:
            if not safe:
                _check_value(value)
            record = self._parse(value, place)
        except DataError as fault:
            return bare._replace(fault=fault.at(place.words))
        return self._once(record, place, bare._replace(record=record))

    def _once(self, record: T | None, place: Place, line: Line[T]) -> Line[T]:
        """The record's line, or a fault if an earlier one has its id."""
        identity = None if record is None or self._seen is None or self._id_of is None else self._id_of(record)
        before = None if identity is None or self._seen is None else self._seen.first(identity, place.line)
        if before is None:
            return line
        said = f"{place.words}: id: {identity!r} is already used in {place.unit} {before + 1}"
        return line._replace(record=None, fault=DataError(said, "Give every problem its own id."))


def records_of(rows: Iterable[tuple[str, Any]], parse: Parse[T]) -> Iterator[Line[T]]:
    """Rows that were parsed elsewhere (a dataset of the hub, a CSV file), treated like those of a file.

    Args:
        rows: each with its place in words.
    """
    with _Records(parse, None) as records:
        for n, (words, row) in enumerate(rows):
            yield records.of_value(row, Place(words, n, n), Line(n), safe=True)


def _is_object(text: str) -> bool:
    """Whether a line is an object by itself, as no line of a list that is written over several lines is."""
    try:
        return isinstance(parse_json(text), dict)
    except (ValueError, RecursionError):
        return False


def _value(line: TextLine) -> dict[str, Any]:
    """The object in a line. Raises DataError without a place."""
    try:
        value = parse_json(line.text)
    except ValueError as error:
        raise DataError(f"not a line of JSON ({error})") from error
    except RecursionError as error:
        raise DataError("nested too deeply") from error
    if not isinstance(value, dict):
        raise DataError(f"a line must be a JSON object, this one is {type(value).__name__}")
    deep = line.bare.count(b"[") + line.bare.count(b"{") > _MAX_DEPTH
    if deep or _HALF.search(line.bare) or _too_large(line.bare):
        _check_value(value)
    return value


def _too_large(bare: bytes) -> bool:
    """Whether a number may be too large for a double, or a text looks like one: Python reads it, JSON writers cannot
    write it back. Two searches in translated bytes take a tenth of the time of one for a pattern of digits."""
    numbers = bare.translate(_NUMBERS, b"+")
    return _POWER in numbers or _LONG in numbers


def _check_value(value: Any) -> None:
    """Refuse anything that is not an object or could not be written back as JSON."""
    if not isinstance(value, dict):
        raise DataError(f"must be a JSON object, this one is {type(value).__name__}")
    fault = _fault_in(value)
    if fault is not None:
        raise DataError(fault)


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
            return f"{_field(path)}: holds half a surrogate pair, which is not text"
    return None


def _field(path: tuple[Any, ...]) -> str:
    shown = ".".join(str(part) for part in path[:4])
    return (shown + "..." if len(path) > 4 else shown).encode("utf-8", "backslashreplace").decode()
