"""Scoring: alone and in batches, across problems, and what is refused."""

from __future__ import annotations

import asyncio
import math
import random
from pathlib import Path
from typing import Any

import pytest

from evals.errors import ModelError, UsageError
from evals.records import Problem, StepScores
from stages.score import Scoring
from stages.scorers.base import Unscored
from stages.scorers.hf import Scorer
from stages.scorers.opening import describe_scorer
from stages.scorers.reward import aggregate_for
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings
from stages.settings.training import TrainSettings
from stages.train_prm import run_train_prm
from tests.lines import labelled_problem
from tests.models import build_model
from tests.stages.fakes import work

PROBLEMS = [labelled_problem(i * 37) for i in range(12)]
PATHS = [(problem, path) for problem in PROBLEMS for path in problem.paths]


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("score")
    base = build_model(folder / "base", "qwen2", bos=False)
    options = TrainSettings(epochs=2, batch=4, lr=1e-3, device="cpu")
    run_train_prm(PROBLEMS, model=base, out=str(folder / "prm"), options=options)
    return str(folder / "prm")


def test_scores_are_the_same_alone_in_batches_and_in_any_order(reward_model: str) -> None:
    together = Scorer(reward_model).score_paths(PATHS)
    alone = Scorer(reward_model)
    assert [alone.score_paths([item])[0] for item in PATHS] == together
    order = random.Random(1).sample(range(len(PATHS)), len(PATHS))
    mixed = Scorer(reward_model).score_paths([PATHS[i] for i in order])
    assert [mixed[order.index(i)] for i in range(len(PATHS))] == together
    other = Scorer(reward_model, ScorerSettings(batch_tokens=100)).score_paths(PATHS)
    for a, b in zip(together, other, strict=True):
        assert a == pytest.approx(b, abs=1e-6)


def test_problems_in_flight_are_scored_together_and_as_alone(reward_model: str) -> None:
    scorer = Scorer(reward_model)
    calls = []
    forward = scorer.model.forward
    scorer.model.forward = lambda **inputs: calls.append(inputs["input_ids"].shape) or forward(**inputs)

    async def late(problem: Problem, turns: int) -> list[StepScores | Unscored]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await scorer.score(problem)

    async def everything() -> list[list[StepScores | Unscored]]:
        return list(await asyncio.gather(*(late(problem, i % 2) for i, problem in enumerate(PROBLEMS))))

    done = asyncio.run(everything())
    expected = iter(Scorer(reward_model).score_paths(PATHS))
    for found in done:
        for scores in found:
            steps = next(expected)
            assert isinstance(scores, StepScores)
            assert steps is not None
            assert scores.steps == steps
            assert scores.mean == pytest.approx(sum(steps) / len(steps))
            assert (scores.min, scores.last) == (min(steps), steps[-1])
            assert scores.product == pytest.approx(math.prod(steps))
    assert len(calls) < len(PROBLEMS), "problems must share batches"


def test_scores_of_several_models_stand_side_by_side(reward_model: str) -> None:
    once, _ = work(Scoring(Scorer(reward_model), ScoreSettings(name="prm")), PROBLEMS[0])
    twice, _ = work(Scoring(Scorer(reward_model), ScoreSettings(name="orm")), once)
    assert [sorted(path.scores or {}) for path in twice.paths] == [["orm", "prm"]] * 2
    assert '"scores":{"prm":{"steps":[' in twice.to_json()


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"labels": "hard"}, "last"),
        ({"labels": "soft"}, "last"),
        ({"labels": "threshold:0.5"}, "last"),
        ({"labels": "progress:0.8"}, "min"),
        ({"labels": "advantage"}, "mean"),
        ({"labels": "progress:0.8", "outcome": True}, "last"),
    ],
)
def test_the_aggregate_follows_the_labels_of_the_card(card: dict[str, Any], expected: str) -> None:
    assert aggregate_for(card) == expected


def test_the_aggregate_is_written_with_the_scores_and_can_be_told(reward_model: str) -> None:
    followed, _ = work(Scoring(Scorer(reward_model), ScoreSettings()), PROBLEMS[0])
    told, _ = work(Scoring(Scorer(reward_model), ScoreSettings(aggregate="mean")), PROBLEMS[0])
    assert [path.scores["prm"].aggregate for path in followed.paths if path.scores] == ["last"] * 2
    assert [path.scores["prm"].aggregate for path in told.paths if path.scores] == ["mean"] * 2


def test_a_path_that_is_too_long_says_so_and_is_counted(reward_model: str) -> None:
    scorer = Scorer(reward_model)
    scorer.max_length = len(scorer.prompter(PROBLEMS[0]).prompt_ids(PROBLEMS[0])) + 12
    problem, _ = work(Scoring(scorer, ScoreSettings()), PROBLEMS[0])
    assert problem.paths[0].scores is None
    assert (problem.paths[0].unscored or {})["prm"].startswith("too long")
    assert '"unscored"' in problem.to_json()
    assert scorer.counts["too long"] == 2


def test_what_was_done_is_tallied_with_the_problem(reward_model: str) -> None:
    scorer = Scorer(reward_model)
    problem, counts = work(Scoring(scorer, ScoreSettings()), PROBLEMS[0])
    assert counts == {"paths scored": 2, "steps scored": 3}
    assert scorer.spent()["paths"] == 2
    bare = problem.model_copy(
        update={"paths": [problem.paths[0].model_copy(update={"steps": [], "labels": [], "scores": None})]}
    )
    problem, counts = work(Scoring(scorer, ScoreSettings()), bare)
    assert counts["paths left unscored: no steps"] == 1


def test_an_error_in_a_batch_reaches_everybody_who_waits_for_it(reward_model: str) -> None:
    scorer = Scorer(reward_model)

    def broken(**_: object) -> None:
        raise ModelError("the model is gone")

    scorer.model.forward = broken

    async def both() -> list[object]:
        return await asyncio.gather(*(scorer.score(problem) for problem in PROBLEMS[:2]), return_exceptions=True)

    assert [str(error) for error in asyncio.run(both())] == ["the model is gone"] * 2


def test_a_scorer_is_described_without_loading_it(reward_model: str) -> None:
    facts = describe_scorer(reward_model, ScorerSettings())
    assert facts["model_sha256"].startswith("sha256:")
    assert facts["trained_on"]["labels"] == "hard"


def test_a_policy_is_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no reward model"):
        Scorer(build_model(tmp_path / "m", "llama"))


def test_another_template_than_the_trained_one_is_refused(reward_model: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("{question} = ?")
    with pytest.raises(UsageError, match="was trained with the template"):
        Scorer(reward_model, ScorerSettings(template=str(tmp_path / "t.txt"))).score_paths(PATHS[:1])
