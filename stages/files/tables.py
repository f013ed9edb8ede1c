"""Tables as lines of JSON: Parquet, Arrow (a file or a stream, as `datasets` saves them), and CSV with a header.

    for line in table_lines("train.parquet", "parquet"): ...     # b'{"question": "1+1?", "answer": "2"}\\n'
    parquet_of(b'{"question": "1+1?", "answer": "2"}\\n')          # the bytes of a Parquet file

A null in a table is a field that is missing: columns are there for every row, so it cannot mean more than that. A CSV
file's cells are texts, an empty one is missing, and a row counts as the line that it begins on.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from evals.errors import DataError

_BATCH = 1024
_LONGEST_CELL = 1 << 30
"""Characters: the csv module would refuse a cell of more than 131,072, and solutions may be that long."""


def table_lines(source: str, kind: Literal["parquet", "arrow", "arrow stream"]) -> Iterator[bytes]:
    """The rows of a Parquet or an Arrow file, each as one line of JSON.

    Raises:
        DataError: `file:row: ...` if the rest cannot be read.
    """
    import pyarrow

    row = 0
    try:
        for batch in _batches(source, kind):
            for value in batch.to_pylist():
                yield _line(value)
                row += 1
    except (pyarrow.ArrowException, OSError, EOFError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{source}:{row + 1}: the {kind} data cannot be read here ({said})") from error


def parquet_of(lines: bytes) -> bytes:
    """Lines of JSON as a Parquet file with a column for every key; a key that a line lacks is null there.

    Raises:
        DataError: a key has values of several types, which no column holds.
    """
    import pyarrow
    from pyarrow import parquet

    rows = [json.loads(line) for line in lines.splitlines()]
    sink = pyarrow.BufferOutputStream()
    try:
        parquet.write_table(pyarrow.Table.from_struct_array(pyarrow.array(rows)), sink)
    except (pyarrow.ArrowException, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"the lines are no table ({said})", "Write them as lines: -o FILE.jsonl.") from error
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _batches(source: str, kind: str) -> Iterator[Any]:
    import pyarrow
    from pyarrow import ipc, parquet

    if kind == "parquet":
        with parquet.ParquetFile(source) as file:
            yield from file.iter_batches(batch_size=_BATCH)
        return
    with pyarrow.memory_map(source) as memory:
        if kind == "arrow":
            with ipc.open_file(memory) as reader:
                yield from map(reader.get_batch, range(reader.num_record_batches))
        else:
            with ipc.open_stream(memory) as reader:
                yield from reader


def csv_lines(source: str, lines: Iterable[bytes], delimiter: str) -> Iterator[bytes]:
    """The rows of a CSV file, each as one line of JSON; blank lines stand for the header, and for the further lines of
    a row, so that a row's number is that of the line where it begins.

    Raises:
        DataError: `file:line: ...`: not UTF-8 text, not CSV, or no header of different names.
    """
    csv.field_size_limit(_LONGEST_CELL)
    rows = csv.reader(_texts(source, lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    before = 0
    try:
        for row in rows:
            taken, before = rows.line_num - before, rows.line_num
            if not header and row:
                header = _header(source, row, rows.line_num)
                row = []  # noqa: PLW2901  # it stands for no record
            yield _csv_line(header, row) if row else b"\n"
            yield from [b"\n"] * (taken - 1)
    except csv.Error as error:
        raise DataError(f"{source}:{before + 1}: cannot be read as CSV ({error})") from error


def _header(source: str, row: list[str], line: int) -> list[str]:
    names = [name.strip() for name in row]
    if not all(names) or len(set(names)) != len(names):
        raise DataError(f"{source}:{line}: a CSV file begins with the names of its columns, each once")
    return names


def _csv_line(header: list[str], row: list[str]) -> bytes:
    if len(row) > len(header):
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"  # a bad line: a list where an object belongs
    return _line({name: cell for name, cell in zip(header, row, strict=False) if cell})


def _texts(source: str, lines: Iterable[bytes]) -> Iterator[str]:
    for n, raw in enumerate(lines, 1):
        try:
            yield raw.decode("utf-8-sig" if n == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{source}:{n}: is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(_without_nulls(row), ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass") + b"\n"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """A value that JSON has no type for, as the text that people write it as."""
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__}, which is neither text nor number")
