"""Charts as data: their tables, their numbers as people write them, and the names of their files."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from stages.page.charts import Axis, Chart, Point, Series, Table, anchor, number, tick_numbers, ticks


def test_the_table_of_a_chart_has_every_number_of_every_series_and_none_of_a_reference() -> None:
    chart = Chart(
        "c", "Title", Axis("policy", ("sft", "round 1", "round 2")), Axis("right, %"),
        (
            Series("a", (Point(0, 37.4, 34.5, 40.4), Point(2, 41.0))),
            Series("b", (Point(1, 0.5),)),
            Series("even", (Point(0, 1), Point(2, 1)), reference=True),
        ),
    )  # fmt: skip
    table = chart.table()
    assert table.columns == ("policy", "a", "b")
    assert table.rows == [("sft", "37.4 (34.5 to 40.4)", None), ("round 1", None, "0.5"), ("round 2", "41", None)]
    assert "right, % by policy, for a, b." in chart.described()


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (12, "12"), (41.63, "41.6"), (1234.5, "1,234"), (0.01234, "0.0123"), (0.5, "0.5"), (2.1e-6, "2.1e-06"),
     (-3.14159, "-3.14"), (99.95, "100")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_one_reads(value: float, said: str) -> None:
    assert number(value).removesuffix(".0") == said


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (20.3, 47.9), (-0.2, 0.1), (0.0, 12008.0), (1e-9, 3e-9), (5.0, 5.5)]
)
def test_ticks_are_few_round_numbers_within_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    steps = {round(b - a, 12) for a, b in pairwise(found)}
    assert len(steps) == 1


def test_no_two_numbers_at_an_axis_look_the_same() -> None:
    assert tick_numbers([37.2, 37.25, 37.3, 37.35]) == ["37.20", "37.25", "37.30", "37.35"]
    assert tick_numbers([1_000.5, 1_001.0, 1_001.5]) == ["1,000.5", "1,001.0", "1,001.5"]
    assert tick_numbers([0.0, 0.5, 1.0]) == ["0", "0.5", "1"]


def test_whole_ticks_are_whole_and_a_point_has_one() -> None:
    assert ticks(0.5, 5.2, 7, whole=True) == [1, 2, 3, 4, 5]
    assert ticks(3.0, 3.0) == [3.0]


def test_columns_of_numbers_and_intervals_are_told_from_text() -> None:
    rows = [("a", 1, "41.6", "36.3 to 42.4", "+1.9", "0.5 (0.1 to 0.9)", "83.5 %", None, "p", True)]
    assert Table(tuple("abcdefghij"), rows).numeric() == [False, *[True] * 6, False, False, False]


def test_two_names_never_become_one_anchor() -> None:
    names = ["test", "Test", "te st", "te-st", "te_st", "", "ü", "ö", "../x", "a" * 300, "a" * 301, "test-", "\ud800"]
    found = [anchor(name) for name in names]
    assert len(set(found)) == len(names)
    assert anchor("round-1") == "round-1"
    assert all(re.fullmatch("[a-z0-9-]{1,60}", part) for part in found)
