"""eval --from: answers that were written before are judged as a model's are, and none is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from evals.records import Problem
from evals.tasks.prompts import PromptChoice
from stages.eval import Evaluation, Judging
from stages.files.reading import BadLines
from stages.joins.saved_answers import SavedAnswers, is_samples
from stages.settings.evaluation import EvalSettings
from tests.stages.fakes import InOrder, Written, chain_problem, path, work

FORGED = {"answer": "76", "correct": True, "match": {"strict": True, "flexible": True, "robust": True}}


def mmlu(**fields: Any) -> Problem:
    line = {
        "id": "m", "task": "mmlu_math", "question": "2+3?", "choices": ["4", "5", "6", "7"], "answer": "B",
        "mode": "loglikelihood", "subject": "abstract_algebra",
        "shots": [{"id": f"dev/{n}", "question": "q", "answer": "A"} for n in range(5)],
    }  # fmt: skip
    return Problem.model_validate({**line, **fields})


class Likely(Written):
    """An engine that finds the continuations as likely as it is told, and remembers how the problem was prompted."""

    def __init__(self, *likelihoods: float) -> None:
        super().__init__(lambda request, draw: "")
        self.likelihoods = list(likelihoods)
        self.shots = -1

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        assert problem.prompting is not None
        self.shots = len(problem.prompting.shots)
        self.continuations = list(continuations)
        return self.likelihoods


def test_a_verdict_that_was_brought_along_is_not_believed() -> None:
    brought = [
        path(0, "40-15=25", answer="76", correct=False),
        path(1, "1+1=2", **FORGED) | {"text": "1+1=2\nThe answer is 2"},
        {"id": "c#2", "text": "40-15=25\nThe answer is 76"},
        {"id": "c#gold", "source": "gold", "text": "x", "correct": True},
    ]
    problem, counts = work(Judging("answers.jsonl"), chain_problem(paths=brought))
    assert [(p.id, p.source, p.answer, p.correct) for p in problem.paths] == [
        ("c#0", "eval", "76", True), ("c#1", "eval", "2", False), ("c#2", "eval", "76", True),
    ]  # fmt: skip
    assert problem.paths[2].steps == ["40-15=25"], "cut where the file had no steps"
    assert [p.match.flexible for p in problem.paths if p.match] == [True, False, True]
    assert +counts == {"gold paths left out": 1, "answers": 3}


def test_what_else_a_path_carries_stays() -> None:
    scores = {"prm": {"steps": [0.5], "mean": 0.5, "min": 0.5, "product": 0.5, "last": 0.5}}
    given = {**path(0, "40-15=25", mine="x"), "scores": scores, "seed": 4}
    problem, _ = work(Judging("answers.jsonl"), chain_problem(paths=[given]))
    made = json.loads(problem.to_json())["paths"][0]
    assert (made["scores"], made["mine"], made["seed"]) == (scores, "x", 4)


def test_a_problem_without_an_answer_stays_and_is_counted() -> None:
    problem, counts = work(Judging("answers.jsonl"), chain_problem())
    assert problem.paths == []
    assert counts["problems without an answer"] == 1


def test_samples_are_joined_to_their_problems_in_file_order(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    rows = [("c", "The answer is 76"), ("other", "?"), ("c", "The answer is 7"), ("c", "76")]
    file.write_text("".join(json.dumps({"task_id": i, "completion": text}) + "\n" for i, text in rows))
    saved = SavedAnswers(str(file), BadLines())
    saved.open()
    old = chain_problem(paths=[path(9, "40-15=25")])
    problem, _ = work(Judging(str(file), saved), old)
    assert [(p.id, p.text, p.correct) for p in problem.paths] == [
        ("c#0", "The answer is 76", True), ("c#1", "The answer is 7", False), ("c#2", "76", True),
    ]  # fmt: skip
    assert saved.ids() == {"c", "other"}
    assert is_samples(str(file))
    assert saved.facts()["samples_sha256"]
    file.write_text(chain_problem().to_json())
    assert not is_samples(str(file))


@pytest.mark.parametrize(
    "row",
    [{"task_id": "c"}, {"task_id": 3.5, "completion": "x"}, {"completion": "x"}, {"task_id": "c", "completion": None}],
)
def test_a_sample_of_another_shape_is_skipped_and_counted(tmp_path: Path, row: dict[str, Any]) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps({"task_id": "c", "completion": ""}) + "\n" + json.dumps(row) + "\n")
    bad = BadLines()
    assert SavedAnswers(str(file), bad).ids() == {"c"}, "the others are judged"
    assert bad.count == 1
    with pytest.raises(DataError, match=r"samples\.jsonl:2: (task_id|completion): must be a text"):
        SavedAnswers(str(file), BadLines(strict=True)).open()
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"samples\.jsonl:1: (task_id|completion): must be a text"):
        SavedAnswers(str(file), BadLines()).open()


def test_the_likeliest_choice_is_the_answer_after_the_line_s_own_examples() -> None:
    engine = Likely(-3.0, -1.0, -2.0, -9.0)
    problem, counts = work(Evaluation(engine, EvalSettings()), mmlu())
    (made,) = problem.paths
    assert engine.continuations == [" A", " B", " C", " D"]
    assert engine.shots == 5
    assert (made.text, made.answer, made.correct, made.source) == (" B", "B", True, "eval")
    assert made.match is None, "nothing was written that rules could read differently"
    assert json.loads(problem.to_json())["paths"][0]["loglikelihoods"] == {"A": -3.0, "B": -1.0, "C": -2.0, "D": -9.0}
    assert counts == {"answers": 1, "choices compared": 4}
    again, _ = work(Judging("answers.jsonl"), problem)
    assert again.paths[0].correct, "and it can be judged again from the file"
    tied, _ = work(Evaluation(Likely(-1.0, -1.0, -1.0, -1.0), EvalSettings()), mmlu())
    assert tied.paths[0].answer == "A", "the first of equals"


def test_a_named_prompt_brings_its_stop_strings_and_none_is_written_on_the_line() -> None:
    engine = InOrder("5+5=10\nThe answer is 10", "The answer is 76")
    line = chain_problem(task="gsm8k")
    problem, _ = work(Evaluation(engine, EvalSettings(), PromptChoice("lm-eval", 2)), line)
    asked = engine.asked[0]
    assert asked.stop == ("Question:",)
    assert asked.problem.prompting is not None
    assert [shot.id for shot in asked.problem.prompting.shots] == ["gsm8k/train/0", "gsm8k/train/1"]
    assert "shots" not in problem.to_json()
    assert "prompting" not in problem.to_json()
    work(Evaluation(engine, EvalSettings()), chain_problem(task="gsm8k"))
    assert engine.asked[1].stop == ("Question:", "\nQ:", "### Question"), "the task's own otherwise"
    assert engine.asked[1].problem.prompting is None
