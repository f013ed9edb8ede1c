"""Scores by likelihood and by ratio: against one forward pass per step without batches, and what is refused."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evals.errors import ModelError, UsageError
from evals.records import Path as Written
from evals.records import Problem, StepScores
from evals.tasks import task_of
from stages.models.loading import Loaded, load_policy
from stages.models.templates import make_prompter
from stages.score import Scoring
from stages.scorers.hf import HFLikelihood
from stages.scorers.opening import describe_scorer, open_scorer
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings
from tests.lines import labelled_problem
from tests.models import build_model
from tests.stages.fakes import chain_problem, path, work

ON_CPU = ScorerSettings(device="cpu", dtype="float32")
PROBLEMS = [labelled_problem(i * 37) for i in range(6)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two random models of other families, with other tokenizers."""
    folder = tmp_path_factory.mktemp("likely")
    return build_model(folder / "a", "llama"), build_model(folder / "b", "gemma2", seed=4)


@cache
def policy(name: str) -> Loaded:
    return load_policy(name, "cpu", "float32")


def cumulative(name: str, problem: Problem, text: str, ends: list[int]) -> tuple[list[float], list[int]]:
    """log p(text up to each end | prompt), each by a forward pass of its own, and how many tokens that is."""
    import torch

    loaded = policy(name)
    prompter = make_prompter(loaded.tokenizer, task_of(problem).templates)
    sums, lengths = [0.0], [0]
    for end in ends:
        encoded = prompter.encode(problem, text[:end], end=False)
        with torch.no_grad():
            logs = loaded.model(torch.tensor([encoded.ids])).logits[0].double().log_softmax(-1)
        first = len(encoded.prompt_ids)
        sums.append(sum(float(logs[i - 1, encoded.ids[i]]) for i in range(first, len(encoded.ids))))
        lengths.append(len(encoded.completion_ids))
    return sums, lengths


def steps_of(name: str, problem: Problem, written: Written) -> tuple[list[float], list[int]]:
    """Log-probability and number of tokens of each step, its line break included."""
    ends, at = [], 0
    for step in written.steps:
        at = written.text.index(step, at) + len(step)
        while at < len(written.text) and written.text[at] == "\n":
            at += 1
        ends.append(at)
    sums, lengths = cumulative(name, problem, written.text, ends)
    return [b - a for a, b in pairwise(sums)], [b - a for a, b in pairwise(lengths)]


def score(model: str, problem: Problem, **how: Any) -> list[Any]:
    async def go() -> list[Any]:
        scorer = open_scorer(model, ON_CPU, ScoreSettings(**how))
        try:
            return list(await scorer.score(problem))
        finally:
            await scorer.close()

    return asyncio.run(go())


@pytest.mark.parametrize("number", [0, 1])
def test_a_score_is_the_probability_of_the_step_or_its_mean_per_token(models: tuple[str, str], number: int) -> None:
    problem = PROBLEMS[number]
    whole = score(models[number], problem, by="likelihood")
    mean = score(models[number], problem, by="likelihood", per="token")
    for one, per_token, written in zip(whole, mean, problem.paths, strict=True):
        logs, lengths = steps_of(models[number], problem, written)
        assert [math.log(p) for p in one.steps] == pytest.approx(logs, rel=1e-5)
        averages = [log / n for log, n in zip(logs, lengths, strict=True)]
        assert [math.log(p) for p in per_token.steps] == pytest.approx(averages, rel=1e-5)
        assert (one.by, one.min, one.last) == ("likelihood", min(one.steps), one.steps[-1])
        assert one.product == pytest.approx(math.exp(sum(logs)), rel=1e-4)


def test_a_ratio_compares_two_models_whatever_their_tokenizers(models: tuple[str, str]) -> None:
    problem = PROBLEMS[0]
    found = score(models[0], problem, by="ratio", reference=models[1], beta=0.2)
    for one, written in zip(found, problem.paths, strict=True):
        mine, _ = steps_of(models[0], problem, written)
        theirs, _ = steps_of(models[1], problem, written)
        expected = [1 / (1 + math.exp(-0.2 * (a - b))) for a, b in zip(mine, theirs, strict=True)]
        assert one.steps == pytest.approx(expected, rel=1e-4)
        assert one.by == "ratio"
    same = score(models[0], problem, by="ratio", reference=models[0])
    assert [step for one in same for step in one.steps] == pytest.approx(
        [0.5] * sum(len(p.steps) for p in problem.paths)
    )


def test_scores_are_the_same_alone_and_in_batches_of_any_size(models: tuple[str, str]) -> None:
    paths = [(problem, written) for problem in PROBLEMS for written in problem.paths]
    together = HFLikelihood(models[0], ON_CPU).compute(paths)
    alone = HFLikelihood(models[0], ON_CPU)
    assert [alone.compute([item])[0] for item in paths] == together
    small = HFLikelihood(models[0], ScorerSettings(device="cpu", dtype="float32", batch_tokens=100)).compute(paths)
    for a, b in zip(small, together, strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_the_embedded_base_finds_a_step_that_begins_elsewhere_unlikely() -> None:
    sound, odd = path(0, "40-15=25", correct=True), path(1, "97*3=41", answer="41")
    problem = chain_problem(paths=[sound, odd, path(2)])
    made = open_scorer("chain-base", ON_CPU, ScoreSettings(by="likelihood"))
    scored, counts = work(Scoring(made, ScoreSettings(by="likelihood")), problem)
    first, second = (one.scores["likelihood"].steps[0] for one in scored.paths[:2] if one.scores)
    assert 0 < 10 * second < first < 1
    assert counts == {"paths scored": 2, "steps scored": 2, "paths left unscored: no steps": 1}
    assert '"by":"likelihood"' in scored.to_json()
    kept = scored.paths[0].scores
    assert kept
    assert isinstance(StepScores.model_validate(kept["likelihood"].model_dump()), StepScores)


def test_a_path_too_long_for_either_model_has_no_ratio(models: tuple[str, str], tmp_path: Path) -> None:
    short = build_model(tmp_path / "short", "llama", positions=8)
    for pair in ((models[0], short), (short, models[0])):
        found = score(pair[0], PROBLEMS[0], by="ratio", reference=pair[1])
        assert [str(one).partition(":")[0] for one in found] == ["too long"] * len(PROBLEMS[0].paths)


def test_both_models_are_named_in_the_facts_and_counted(models: tuple[str, str]) -> None:
    how = ScoreSettings(by="ratio", reference=models[1])
    facts = describe_scorer(models[0], ON_CPU, how)
    assert facts["model_sha256"] != facts["reference_sha256"]
    assert (
        facts["reference_sha256"] == describe_scorer(models[1], ON_CPU, ScoreSettings(by="likelihood"))["model_sha256"]
    )
    scorer = open_scorer(models[0], ON_CPU, how)
    work(Scoring(scorer, how), PROBLEMS[0])
    spent = scorer.spent()
    assert (spent["paths"], spent["reference paths"]) == (2, 2)
    assert spent["reference tokens"] > 0


def test_what_does_not_go_together_is_refused(models: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="compares two models"):
        ScoreSettings(by="ratio")
    with pytest.raises(UsageError, match="takes no --reference"):
        ScoreSettings(by="likelihood", reference="m0")
    with pytest.raises(ModelError, match="no reward model") as caught:
        describe_scorer(models[0], ON_CPU)
    assert "--by likelihood" in caught.value.advice
    assert [ScoreSettings().key, ScoreSettings(by="likelihood").key, ScoreSettings("mine").key] == [
        "prm", "likelihood", "mine",
    ]  # fmt: skip
