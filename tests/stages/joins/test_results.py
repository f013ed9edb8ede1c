"""What evaluated lines add up to beyond one rate: groups, outcomes, lines without an answer, uneven draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from evals.metrics import combined, mean_interval, wilson
from evals.records import Problem
from stages.joins.results import Report, compare_files, read_results


def line(i: int, *right: bool, **fields: Any) -> Problem:
    paths = [{"id": f"t/{i}#{j}", "source": "eval", "text": "x", "correct": one} for j, one in enumerate(right)]
    return Problem.model_validate(
        {"id": f"t/{i}", "task": "math", "question": "?", "answer": "1", "paths": paths} | fields
    )


def save(file: Path, *problems: Problem) -> str:
    file.write_text("".join(problem.to_json() + "\n" for problem in problems))
    return str(file)


def test_subjects_are_grouped_unasked_with_macro_and_micro_averages(tmp_path: Path) -> None:
    # 1 of 2 in one subject, 1 of 6 in the other: micro 2/8, macro (1/2 + 1/6)/2.
    problems = [line(i, i % 2 == 0, subject="algebra") for i in range(2)]
    problems += [line(i, i == 2, subject="geometry") for i in range(2, 8)]
    report = read_results(save(tmp_path / "r.jsonl", *problems))
    rows = dict(report.rates())
    assert list(rows) == ["accuracy", "algebra", "geometry", "macro average"]
    assert [rows[name]["right"] for name in ("accuracy", "algebra", "geometry")] == [2, 1, 1]  # type: ignore[index]  # all there
    result = report.as_dict()
    assert result["micro"] == result["accuracy"]
    assert result["macro"]["rate"] == pytest.approx((1 / 2 + 1 / 6) / 2)
    parts = [(1 / 2, wilson(1, 2)), (1 / 6, wilson(1, 6))]
    ends = combined(1 / 3, parts, lambda rates: sum(rates) / 2)
    assert (result["macro"]["low"], result["macro"]["high"]) == pytest.approx(ends)
    # Only where every line has one: half of the lines in groups would read as if it were all.
    assert read_results(save(tmp_path / "r.jsonl", *problems, line(9, True))).groups == {}


def test_how_checks_ended_is_counted_over_all_answers() -> None:
    report = Report((1,))
    problem = line(0, True, False, False)
    for path, outcome in zip(problem.paths, ("passed", "wrong", "timeout"), strict=True):
        path.outcome = outcome  # type: ignore[assignment]  # one of the literals
    report.add(problem, None)
    other = line(1, False)
    other.paths[0].outcome = "wrong"
    report.add(other, None)
    assert report.as_dict()["outcomes"] == {"wrong": 2, "passed": 1, "timeout": 1}
    assert "majority" not in report.as_dict(), "programs are not voted on"


def test_a_line_without_an_answer_is_in_no_rate_and_told(tmp_path: Path) -> None:
    report = read_results(save(tmp_path / "r.jsonl", line(0, True), line(1), line(2, False), line(3)))
    result = report.as_dict()
    assert (result["accuracy"]["right"], result["accuracy"]["n"]) == (1, 2)
    assert result["without an answer"] == {"n": 2, "ids": ["t/1", "t/3"]}
    assert report.ids == {"t/0", "t/1", "t/2", "t/3"}
    other = save(tmp_path / "o.jsonl", line(0, True), line(1, True), line(2, True))
    assert compare_files(str(tmp_path / "r.jsonl"), other)["n"] == 2
    with pytest.raises(DataError, match="no evaluated problem"):
        read_results(save(tmp_path / "none.jsonl", line(0))).as_dict()


def test_pass_at_k_is_not_told_where_one_problem_has_fewer_draws() -> None:
    report = Report((1, 2, 3))
    for problem in (line(0, True, False, False), line(1, False, True)):
        report.add(problem, None)
    result = report.as_dict()["pass"]
    assert result["pass@1"]["rate"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert result["pass@2"]["rate"] == pytest.approx((2 / 3 + 1) / 2)
    assert (result["pass@2"]["low"], result["pass@2"]["high"]) == mean_interval([2 / 3, 1.0])
    assert result["pass@3"] is None
    assert dict(report.rates())["pass@3"] is None
