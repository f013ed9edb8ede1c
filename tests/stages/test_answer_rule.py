"""The answer rule through the stages that judge: what `correct`, labels and gold paths follow, and what is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from evals.errors import DataError
from evals.records import Problem
from evals.rules import AnswerRule
from stages.eval import Evaluation, Judging
from stages.sample import Sampler
from stages.settings.evaluation import EvalSettings
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from tests.stages.fakes import InOrder, Written, chain_problem, path, work

HASHES = "40-15=25\n#### 76"
WORDS = "40-15=25\nThe answer is 76"
CUT = "then\nThe answer is 76 years old, so her sister, who is twice as"


def stages(rule: AnswerRule, *texts: str) -> list[Any]:
    return [
        Sampler(InOrder(*texts), SampleSettings(n=len(texts), answer_rule=rule, keep_duplicates=True)),
        Evaluation(InOrder(*texts), EvalSettings(n=len(texts), answer_rule=rule)),
    ]


@pytest.mark.parametrize(
    ("rule", "right"),
    [("robust", [True, True]), ("strict", [True, False]), ("flexible", [True, True]), ("paper", [False, True])],
)
def test_correct_follows_the_rule_in_sample_and_eval(rule: AnswerRule, right: list[bool]) -> None:
    sampler, evaluation = stages(rule, HASHES, WORDS)
    made, _ = work(evaluation, chain_problem())
    assert [one.correct for one in made.paths] == right
    again, _ = work(Judging("x", rule=rule), made)
    assert [one.correct for one in again.paths] == right, "answers from a file are judged alike"
    kept, counts = work(sampler, chain_problem())
    readable = [one for one, ok in zip(right, right, strict=True) if ok or rule in ("robust", "flexible")]
    assert [one.correct for one in kept.paths] == readable
    assert counts["dropped: no answer"] == 2 - len(readable), "a path whose answer the rule cannot read is dropped"
    for stage in (sampler, evaluation, Judging("x", rule=rule)):
        assert stage.options()["answer_rule"] == rule, "it stands in the manifest's options"


@pytest.mark.parametrize("rule", ["strict", "paper"])
def test_labels_follow_the_rule_and_gold_paths_stay_right(rule: AnswerRule) -> None:
    writes = {"strict": "#### 76", "paper": "The answer is 76"}
    for text, hit in ((writes[rule], True), ("Answer: 76", False)):
        engine = Written(lambda request, draw, text=text: text)  # type: ignore[misc]  # bound here
        stage = Simulation(engine, SimulateSettings(k=2, answer_rule=rule))
        made, _ = work(stage, chain_problem(paths=[path(0, "40-15=25")]))
        sampled, gold = made.paths
        assert [label.hard for label in sampled.labels or []] == [hit]
        assert gold.correct, "gold is right, however it is worded"
        assert stage.options()["answer_rule"] == rule


@pytest.mark.parametrize("strategy", ["exact", "brute", "first-error", "binary", "mcts"])
def test_a_rollout_that_was_cut_off_is_no_hit(strategy: Any) -> None:
    def label(finish: str, **how: Any) -> tuple[Problem, Any]:
        engine = Written(lambda request, draw: (CUT, finish))
        settings = SimulateSettings(strategy=strategy, k=2, gold=False, **how)
        return work(Simulation(engine, settings), chain_problem(paths=[path(0, "40-15=25", correct=False)]))

    made, counts = label("length")
    (found,) = made.paths[0].labels or []
    assert (found.hard, found.hits, [one.correct for one in found.rollouts]) == (False, 0, [False, False])
    assert [(one.answer, one.finish) for one in found.rollouts] == [("76", "length")] * 2, "what it said is kept"
    assert counts["rollouts that would be right, but were cut off"] == 2
    assert all(one.correct is False for one in made.paths), "and the paths that a tree makes of it are wrong"
    for made, counts in (label("stop"), label("length", count_unfinished=True)):
        assert [one.hard for one in made.paths[0].labels or []] == [True]
        assert counts["rollouts that would be right, but were cut off"] == 0


def test_a_problem_whose_answer_is_no_number_is_refused_under_the_papers_rule() -> None:
    problem = chain_problem(answer="1/2")
    for stage in (
        *stages("paper", WORDS),
        Judging("x", rule="paper"),
        Simulation(InOrder(), SimulateSettings(answer_rule="paper")),
    ):
        with pytest.raises(DataError, match="no plain number"):
            stage.check(problem)
    for stage in (*stages("robust", WORDS), Judging("x"), Simulation(InOrder(), SimulateSettings())):
        stage.check(problem)
