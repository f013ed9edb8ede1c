"""eval: rates, pass@k and maj@k of hand-made lines, groups, and the paired comparison."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from evals.metrics import wilson
from evals.records import Path as Written
from evals.records import Problem
from stages.eval import Evaluation
from stages.joins.results import Results, compare, compare_files, eval_paths, group_of, read_results
from stages.seeds import seed_of
from stages.settings.evaluation import EvalSettings
from tests.stages.fakes import InOrder, chain_problem, work


def answered(i: int, *answers: str | None, gold: str = "1", source: str = "eval", **fields: Any) -> Problem:
    """A problem with the answer 1, answered as given."""
    paths = [
        {
            "id": f"t/{i}#{j}", "source": source, "text": "x", "answer": answer, "correct": answer == gold,
            "match": {"strict": False, "flexible": answer == gold, "robust": answer == gold},
        }
        for j, answer in enumerate(answers)
    ]  # fmt: skip
    return Problem.model_validate(
        {"id": f"t/{i}", "task": "chain", "question": "?", "answer": gold, "paths": paths, **fields}
    )


def save(file: Path, *problems: Problem) -> str:
    file.write_text("".join(problem.to_json() + "\n" for problem in problems))
    return str(file)


def test_answers_replace_the_paths_and_are_judged() -> None:
    engine = InOrder("1+1=2\nThe answer is 76", ("75+", "length"), "nothing")
    stage = Evaluation(engine, EvalSettings(n=3, temperature=0.6, top_p=0.9, max_tokens=11, seed=4))
    problem, counts = work(stage, chain_problem(paths=[{"id": "c#0", "text": "old", "steps": []}]))
    assert [(one.id, one.source, one.correct) for one in problem.paths] == [
        ("c#0", "eval", True), ("c#1", "eval", False), ("c#2", "eval", False),
    ]  # fmt: skip
    assert [one.seed for one in problem.paths] == [seed_of("eval", "c", 4, i) for i in range(3)]
    (request,) = engine.asked
    assert (request.prefix, request.top_p, request.max_tokens) == ("", 0.9, 11)
    assert set(engine.temperatures.values()) == {0.6}
    assert counts == {"answers": 3, "tokens": 7, "unfinished answers": 1, "answers that could not be read": 1}
    assert [one.answer for one in problem.paths] == ["76", "75", None]
    assert EvalSettings().temperature == 0.0, "greedy unless told otherwise"


def test_rates_pass_and_majority_by_hand() -> None:
    results = Results(ks=(1, 2, 3, 4))
    results.add(answered(0, "1", "2", "1"))  # first right, 2 of 3, majority right
    results.add(answered(1, "2", "1", "2"))  # first wrong, 1 of 3, majority wrong
    results.add(answered(2, "3", "1", "1.0", gold="1"))  # "1.0" votes with "1"
    results.add(answered(3, None, None, None))
    summary = results.summary()
    assert (summary["n"], summary["draws"]) == (4, 12)
    low, high = wilson(1, 4)
    assert summary["accuracy"] == {"right": 1, "n": 4, "rate": 0.25, "low": low, "high": high}
    assert summary["rules"]["strict"]["right"] == 0
    assert summary["rules"]["robust"]["right"] == 1
    # Right draws: 2, 1, 1, 0 of 3 each.
    assert summary["pass"]["pass@1"]["rate"] == pytest.approx((2 / 3 + 1 / 3 + 1 / 3 + 0) / 4)
    pass_2 = [1 - math.comb(3 - c, 2) / math.comb(3, 2) for c in (2, 1, 1, 0)]
    assert summary["pass"]["pass@2"]["rate"] == pytest.approx(sum(pass_2) / 4)
    assert summary["pass"]["pass@3"]["rate"] == pytest.approx(3 / 4)
    assert summary["pass"]["pass@4"] is None, "fewer draws than k"
    assert summary["majority"]["maj@3"]["right"] == 2
    single = Results()
    single.add(answered(0, "1"))
    assert "majority" not in single.summary()


def test_without_a_result_there_is_no_rate() -> None:
    with pytest.raises(DataError, match="there is no evaluated problem"):
        Results().summary()
    with pytest.raises(DataError, match="not evaluated"):
        Results().add(answered(0, "1").model_copy(update={"paths": [Written(id="t/0#0", text="x")]}))


def test_a_sampled_file_can_be_judged_but_eval_paths_come_first() -> None:
    sampled, evaluated = answered(0, "2", "1", source="sample"), answered(0, "1")
    assert [one.correct for one in eval_paths(sampled)] == [False, True]
    sampled.paths = [*sampled.paths, evaluated.paths[0].model_copy(update={"id": "e"})]
    assert [one.id for one in eval_paths(sampled)] == ["e"]


def test_groups_have_rates_of_their_own(tmp_path: Path) -> None:
    problems = [answered(i, "1" if i % 3 == 0 else "2", level="hard" if i % 2 else "easy") for i in range(12)]
    report = read_results(save(tmp_path / "r.jsonl", *problems), (1,), "level")
    rows = dict(report.rates())
    assert (rows["accuracy"]["right"], rows["accuracy"]["n"]) == (4, 12)
    assert (rows["easy"]["right"], rows["easy"]["n"]) == (2, 6)
    assert (rows["hard"]["right"], rows["hard"]["n"]) == (2, 6)
    assert set(report.as_dict()["groups"]) == {"easy", "hard"}
    assert group_of(problems[0], "id") == "t"
    with pytest.raises(DataError, match="colour: missing"):
        read_results(save(tmp_path / "r.jsonl", *problems), (1,), "colour")
    (tmp_path / "r.jsonl").write_text(problems[0].to_json() + "\n{\n")
    with pytest.raises(DataError, match=":2: "):
        read_results(str(tmp_path / "r.jsonl"))


def test_a_comparison_is_paired_on_the_shared_problems(tmp_path: Path) -> None:
    # 3 both right, 1 only the first, 6 only the second, 2 both wrong; one problem in each file alone.
    first = {f"p{i}": i < 4 for i in range(12)} | {"mine": True}
    second = {f"p{i}": i < 3 or 4 <= i < 10 for i in range(12)} | {"yours": False}
    result = compare(first, second)
    assert (result["n"], result["first"]["right"], result["second"]["right"]) == (12, 4, 9)
    assert result["gain"] == pytest.approx(5 / 12)
    assert [result[key] for key in ("both right", "only first right", "only second right", "both wrong")] == [
        3,
        1,
        6,
        2,
    ]
    assert (result["only in first"], result["only in second"]) == (1, 1)
    # Two-sided exact binomial: 2 * (C(7,0) + C(7,1)) / 2**7.
    assert result["p"] == pytest.approx(2 * (1 + 7) / 128)
    mirrored = compare(second, first)
    assert (mirrored["gain"], mirrored["p"]) == (-result["gain"], result["p"])
    assert compare(first, first)["p"] == 1.0
    with pytest.raises(DataError, match="share no problem"):
        compare({"a": True}, {"b": True})
    files = [
        save(tmp_path / f"{name}.jsonl", *(answered(i, "1" if right[f"p{i}"] else "2", "1") for i in range(12)))
        for name, right in (("a", first), ("b", second))
    ]
    from_files = compare_files(*files)
    assert from_files["p"] == result["p"], "the first answer of each problem counts"
