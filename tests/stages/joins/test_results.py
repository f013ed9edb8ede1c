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


def told(i: int, right: bool, *steps: str, **fields: Any) -> Problem:
    """A chain problem, 40 - 15 + 9 = 34, with one evaluated path."""
    text = "\n".join([*steps, f"The answer is {34 if right else 35}"])
    path = {"id": f"t/{i}#0", "source": "eval", "text": text, "steps": list(steps), "correct": right}
    world = {"start": 40, "operations": [["-", 15, 1], ["+", 9, 1]], "states": [25, 34]}
    line = {"id": f"t/{i}", "task": "chain", "question": "?", "answer": "34", "paths": [path], "world": world}
    return Problem.model_validate(line | fields)


def test_trace_accuracy_counts_right_answers_by_right_steps() -> None:
    report = Report((1,))
    lines = [
        told(0, True, "40-15=25", "25+9=34"),
        told(1, True, "40+9=49", "49-15=34"),
        told(2, True, "40-6=34"),
        told(3, True, "40-15=25"),
        told(4, False, "40-15=25", "25+9=34"),
        told(5, True, "40-6=34", world={"states": [25, 34]}),
    ]
    for one in lines:
        report.add(one, "task")
    result = report.as_dict()
    assert result["accuracy"]["right"] == 5
    assert (result["trace"]["right"], result["trace"]["n"]) == (2, 5), "the last line's steps cannot be checked"
    assert (result["trace"]["low"], result["trace"]["high"]) == wilson(2, 5)
    assert [name for name, _ in report.rates()][:2] == ["accuracy", "trace accuracy"]
    assert result["groups"]["chain"]["trace"] == result["trace"]


def test_on_gsm8k_a_trace_is_right_unless_an_annotated_equation_is_false() -> None:
    def gsm8k(i: int, text: str) -> Problem:
        path = {"id": f"g/{i}#0", "source": "eval", "text": text, "correct": True}
        return Problem.model_validate(
            {"id": f"g/{i}", "task": "gsm8k", "question": "?", "answer": "7", "paths": [path]}
        )

    report = Report((1,))
    for i, equation in enumerate(("3+4=7", "3+3=7", "3*4=12")):
        report.add(gsm8k(i, f"It is <<{equation}>>.\nThe answer is 7"), None)
    assert (report.as_dict()["trace"]["right"], report.as_dict()["trace"]["n"]) == (2, 3)
    other = Report((1,))
    other.add(line(0, True), None)
    assert "trace" not in other.as_dict(), "steps of other tasks cannot be checked"


def test_a_world_that_cannot_be_read_is_an_error_that_names_the_line() -> None:
    with pytest.raises(DataError, match=r"t/0: world: not what sipf data chain writes"):
        Report((1,)).add(told(0, True, "40-15=25", world={"start": 40, "operations": [["-"]]}), None)
