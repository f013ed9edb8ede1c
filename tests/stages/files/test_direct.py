"""A line that is read straight into a record gives what a line that is parsed first gives: records and faults alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.records import Problem
from stages.files.problems import problem_reader

HEAD = '{{"id": "a", "task": "chain", "question": "q"'
PATH = HEAD + ', "paths": [{{"id": "a#0", "text": "t", '
PLACES = {
    "an unknown key": HEAD + ', "mine": {}}}',
    "an unknown key of a path": PATH + '"mine": {}}}]}}',
    "tests": HEAD + ', "tests": {{"deep": [{}]}}}}',
    "a text": '{{"id": "a", "task": "chain", "question": {}}}',
    "a whole number": PATH + '"seed": {}}}]}}',
    "a score": PATH
    + '"steps": ["s"], "scores": {{"x": {{"steps": [{}], "mean": 1, "min": 1, "product": 1, "last": 1}}}}}}]}}',
    "a list": HEAD + ', "paths": {}}}',
    "a key": HEAD + ", {}: 1}}",
    "the line": "{}",
}
FIRST = '{"id": "first", "task": "chain", "question": "q"}'
ODD = (
    "NaN", "-Infinity", "Infinity", '"NaN"', "1e999", "-1E+999", "1e-999", '"1e999"', "9" * 308, "9" * 309,
    "-" + "9" * 400, "9" * 400 + ".0", "9" * 5000, "12345678901234567890123", "18446744073709551617",
    "9007199254740993", "1e5", "1E5", "-0", "-0.0", "5e-324", "2.2250738585072011e-308", "0.1234567890123456789",
    "01", "1.", ".5", "+1", "1e", "0x1", "1_0", '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"',
    '"\\u00e9"', '"\u00e9 \U0001f600"', '"a\tb"', '"\\x"', "[" * 190 + "]" * 190, "[" * 199 + "]" * 199,
    "[" * 201 + "]" * 201, '{"a":' * 201 + "1" + "}" * 201, "[1,]", "{,}", '{"a": 1, "b": 2, "a": 3}', "true",
    "false", "null", "True", "'q'", '""', '"q" "r"', "", "[]", "{}", "[[{}]]", '"id": "b", "id"',
    '"question": "r", "mine": [], "mine"', '"_prepared"', '"model_extra"',
)  # fmt: skip


def read(file: Path, *, direct: bool) -> list[Any]:
    """What the reader makes of each line, with and without reading straight into records."""
    reader = problem_reader(str(file))
    if not direct:
        reader._direct = None
    found: list[Any] = []
    for line in reader:
        assert line is not None
        record = line.record
        made = None if record is None else (record.to_json(), record.model_fields_set, repr(record))
        found.append((line.n, line.digest, made, None if line.fault is None else line.fault.message))
    return found


def same_either_way(file: Path, lines: list[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert read(file, direct=True) == read(file, direct=False)


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_are_read_or_refused_alike_in_every_place(odd: str, tmp_path: Path) -> None:
    for shape in PLACES.values():
        same_either_way(tmp_path / "lines.jsonl", [FIRST, shape.format(odd)])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


rows_of_values = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c"]) | json_values,
        "task": st.just("chain"),
        "question": st.text(min_size=1),
    },
    optional={
        "answer": st.text() | json_values,
        "solution": st.lists(st.text()),
        "root": json_values,
        "mine": json_values,
        "drawn": st.integers() | json_values,
        "tests": st.dictionaries(st.text(), json_values),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(rows_of_values), st.booleans())
def test_any_values_are_read_or_refused_alike(tmp_path: Path, rows: list[dict[str, Any]], ascii: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii).encode("utf-8", "replace").decode() for row in rows]
    same_either_way(tmp_path / "lines.jsonl", [FIRST, *lines])


@given(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-10, 10, places=25) | st.integers())
def test_numbers_are_the_same_to_the_last_bit(number: Any) -> None:
    row = f'{{"id": "a", "task": "chain", "question": "q", "number": {number}}}'.replace("E", "e")
    record = Problem.from_line(row.encode())
    assert record is not None
    assert repr((record.model_extra or {})["number"]) == repr(json.loads(row)["number"])


def test_a_good_line_is_read_directly(tmp_path: Path) -> None:
    """Or the tests above would compare one way with itself."""
    file = tmp_path / "lines.jsonl"
    file.write_text('{"id": "a", "task": "chain", "question": "q", "n": 1.5e3}\n')
    reader = problem_reader(str(file))
    reader._parse = None  # type: ignore[assignment]  # it must not be asked
    (line,) = reader
    assert line is not None
    assert line.record is not None
    assert line.record.id == "a"
