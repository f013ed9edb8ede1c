"""Tables and packed files are read like lines of JSON, and written where the name asks for a table."""

from __future__ import annotations

import bz2
import csv
import datetime
import decimal
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from evals.errors import DataError, UsageError
from stages.files.indexed import RecordIndex
from stages.files.inputs import file_fingerprint
from stages.files.outputs import atomic_lines
from stages.files.reading import read_all
from stages.files.records import RecordReader

ROWS: list[dict[str, Any]] = [
    {"question": "1+1?", "answer": "2", "steps": [True, None]},
    {"question": "two\nlines, \"quoted\"", "steps": [False]},
    {"question": "\u00bd caf\u00e9", "answer": "6", "steps": []},
]  # fmt: skip
FLAT = [{key: value for key, value in row.items() if key != "steps"} for row in ROWS]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def arrow(path: Path, start: Callable[..., Any]) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, start(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def zstd(path: Path) -> None:
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(lines(ROWS))


def table(delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["question", "answer"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(FLAT)
    return text.getvalue().encode()


WRITTEN: dict[str, Callable[[Path], object]] = {
    "in.parquet": lambda path: parquet.write_table(pa.Table.from_pylist(ROWS), path),
    "in.arrow": lambda path: arrow(path, pa.ipc.new_file),
    "data-00000-of-00001.arrow": lambda path: arrow(path, pa.ipc.new_stream),
    "in.jsonl.zst": zstd,
    "named.jsonl": zstd,
    "in.json": lambda path: path.write_text(json.dumps(ROWS)),
    "pretty.json": lambda path: path.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=1).encode()),
    "in.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + table()),
    "in.tsv": lambda path: path.write_bytes(table("\t")),
    "in.csv.gz": lambda path: path.write_bytes(gzip.compress(table())),
}


def reader(path: Path) -> RecordReader[dict[str, Any]]:
    return RecordReader(str(path), lambda row, _: row)


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_are_read_from_every_kind_of_file(tmp_path: Path, name: str) -> None:
    WRITTEN[name](tmp_path / name)
    flat = ".csv" in name or ".tsv" in name
    source = reader(tmp_path / name)
    rows, faults = read_all(source)
    assert (rows, faults) == (FLAT if flat else ROWS, [])
    print_ = file_fingerprint(str(tmp_path / name))
    assert print_ is not None
    assert print_.lines is None, "the number of rows is not that of the file's line ends"
    with pytest.raises(UsageError, match="not a file of lines"):
        RecordIndex(str(tmp_path / name), lambda row, _: row, lambda row: str(row["question"])).read()


@pytest.mark.parametrize(("name", "place"), [("in.parquet", ":2"), ("in.csv", ":3"), ("in.json", ": item 2")])
def test_a_bad_row_is_told_by_its_place_and_skipped(tmp_path: Path, name: str, place: str) -> None:
    WRITTEN[name](tmp_path / name)

    def parse(row: Any, _: object) -> Any:
        if "answer" not in row:
            raise DataError("answer: missing")
        return row["question"]

    rows, faults = read_all(RecordReader(str(tmp_path / name), parse))
    assert list(rows) == [FLAT[0]["question"], FLAT[2]["question"]]
    assert [str(fault) for fault in faults] == [f"{tmp_path / name}{place}: answer: missing"]
    last = {":2": ":3", ":3": ":5", ": item 2": ": item 3"}[place]
    assert rows.places[1] == f"{tmp_path / name}{last}", "a quoted line break counts as a line of the file"


def test_values_that_json_lacks_are_written_as_people_write_them(tmp_path: Path) -> None:
    row = {"day": datetime.date(2020, 1, 2), "price": decimal.Decimal("1.50"), "none": None, "map": {"a": None, "b": 1}}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "in.parquet")
    assert list(read_all(reader(tmp_path / "in.parquet"))[0]) == [
        {"day": "2020-01-02", "price": "1.50", "map": {"b": 1}}
    ]
    parquet.write_table(pa.Table.from_pylist([{"image": b"\x00"}]), tmp_path / "bytes.parquet")
    with pytest.raises(DataError, match=r"bytes\.parquet:1: .*a value of type bytes"):
        read_all(reader(tmp_path / "bytes.parquet"))


@pytest.mark.parametrize("name", ["in.parquet", "in.arrow", "in.jsonl.zst", "in.csv"])
def test_damaged_data_are_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    WRITTEN[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole + b'"open' if name == "in.csv" else whole[:-9])
    with pytest.raises(DataError, match=rf"{name}:\d+: "):
        read_all(reader(tmp_path / name))


@pytest.mark.parametrize("text", ["a,a\n1,2\n", "a,\n1,2\n"])
def test_a_csv_file_needs_a_name_for_every_column(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(DataError, match=r"in\.csv:1: a CSV file begins with the names"):
        read_all(reader(tmp_path / "in.csv"))


def test_a_csv_row_with_too_many_cells_is_a_bad_line(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n1,2,3\n\n4\n")
    rows, faults = read_all(reader(tmp_path / "in.csv"))
    assert list(rows) == [{"a": "1", "b": "2"}, {"a": "4"}]
    assert [str(fault) for fault in faults] == [
        f"{tmp_path / 'in.csv'}:3: a line must be a JSON object, this one is list"
    ]


def test_a_first_line_that_is_a_list_is_a_bad_line_where_objects_follow(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"[1]\n\n" + lines(ROWS[:1]))
    rows, faults = read_all(reader(tmp_path / "in.jsonl"))
    assert (list(rows), rows.places) == (ROWS[:1], [f"{tmp_path / 'in.jsonl'}:3"])
    assert str(faults[0]) == f"{tmp_path / 'in.jsonl'}:1: a line must be a JSON object, this one is list"


def test_a_folder_of_tables_says_which_file_to_name(tmp_path: Path) -> None:
    (tmp_path / "data-00000-of-00001.arrow").touch()
    with pytest.raises(UsageError) as caught:
        read_all(reader(tmp_path))
    assert caught.value.advice.endswith("such as data-00000-of-00001.arrow.")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_lines(path) as out:
        for row in rows:
            out.write(row)


def test_an_output_named_parquet_is_a_table_that_reads_back(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    with atomic_lines(output, identity={"stage": "export"}) as out:
        for row in ROWS:
            out.write(row)
        out.extra["counts"] = {}
    assert out.facts()["lines"] == len(ROWS)
    assert parquet.read_table(output).column_names == ["question", "answer", "steps"]
    assert list(read_all(reader(output))[0]) == ROWS
    with pytest.raises(DataError, match="the lines are no table"):
        write(tmp_path / "mixed.parquet", [{"a": 1}, {"a": "text"}])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.parquet", "out.parquet.manifest.json"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04\x14\x00", "a zip archive"),
        (bz2.compress(b"{}"), "packed by bzip2"),
        (lzma.compress(b"{}"), "packed by xz"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16 text"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=rf"in\.jsonl: is {what}") as caught:
        read_all(reader(tmp_path / "in.jsonl"))
    assert caught.value.advice


def test_bytes_that_only_begin_like_a_table_are_bad_lines(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\xff" * 12 + b"\n" + b'{"a": 1}\n')
    rows, faults = read_all(reader(tmp_path / "in.jsonl"))
    assert (list(rows), len(faults)) == ([{"a": 1}], 1)
