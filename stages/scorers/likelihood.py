"""Scores without a trained reward model: how likely a causal model finds each step, in one forward pass.

    score = exp(log p(step | question, steps before))                              by likelihood
    score = sigmoid(beta * (log p(step | ...) - log p_reference(step | ...)))      by ratio

The log-probability of a step is the sum over its tokens, the line break behind it included: it says where a number
ends. The answer line is not scored. Both forms lie in [0, 1] and rise with the log-probability, so mean, min, product
and last mean what they mean for a reward model; the product of the likelihoods is that of all steps. Long steps are
unlikely whatever they say: where steps are sentences, `--per token` takes the mean over the tokens instead of the sum,
and the score is the geometric mean of their probabilities.

The ratio is the implicit process reward of arXiv 2412.01981 (and PRIME, 2502.01456): for a model trained on outcomes
from the reference, beta * log(p / p_reference) of a step is how much the step has raised the expected outcome. A
teacher against the policy, or a policy against the base that it was trained from, are the usual two.
"""

from __future__ import annotations

import math
from itertools import pairwise

from evals.records import Path, Problem, StepScores
from evals.split import line_breaks
from evals.tasks import task_of
from evals.tasks.base import step_ends
from stages.models.naming import policy_card
from stages.models.prompts import Prompter
from stages.models.templates import Prompters, chat_arguments
from stages.scorers.base import Job, PathScorer, Unscored, to_scores
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings


class LikelihoodScorer(PathScorer):
    """Scores paths by the likelihood of their steps.

    Args:
        name: any causal language model, or an adapter of one.
        settings: how it runs.
        how: `per` step or token.

    Raises:
        ModelError: a reward model.
    """

    def __init__(self, name: str, settings: ScorerSettings, how: ScoreSettings) -> None:
        card = policy_card(name)
        super().__init__(name, settings)
        self.per = how.per
        told = chat_arguments(settings.chat_arg, card)
        self._prompters = Prompters(self.tokenizer, settings.template, card.get("template"), told)

    def prompter(self, problem: Problem) -> Prompter:
        """The prompts under which the model writes text, too."""
        return self._prompters.of(problem)

    def ends(self, problem: Problem, path: Path) -> list[int]:
        """See `PathScorer.ends`: up to where the next line begins."""
        ends = step_ends(task_of(problem), path)
        return [end + len(line_breaks(path.text, end)) for end in ends]

    def to_scores(self, found: list[float]) -> StepScores:
        """See `PathScorer.to_scores`: from log-probabilities to probabilities; a path is as sound as its least likely
        step, however many it has."""
        return to_scores([math.exp(min(0.0, one)) for one in found], "likelihood", "min")

    def steps(self, job: Job, tokens: list[float]) -> list[float]:
        """The log-probability of each step, as `per` says.

        Args:
            tokens: the log-probabilities of the tokens from `job.start` to the last step's last one, in nats.
        """
        bounds = [job.start - 1, *job.positions]
        steps = [tokens[a - job.start + 1 : b - job.start + 1] for a, b in pairwise(bounds)]
        return [math.fsum(step) / (len(step) or 1 if self.per == "token" else 1) for step in steps]


class RatioScorer:
    """Scores paths by the ratio of two models' likelihoods; see `StepScorer`.

    Args:
        model, reference: they may have different tokenizers, as whole steps are compared.
        how: `beta`, the factor of the log-ratio.
    """

    def __init__(self, model: LikelihoodScorer, reference: LikelihoodScorer, how: ScoreSettings) -> None:
        self.model, self.reference, self.beta = model, reference, how.beta

    async def score(self, problem: Problem) -> list[StepScores | Unscored]:
        """The scores of each path; none for one that is too long for either model."""
        mine = await self.model.read(problem)
        theirs = await self.reference.read(problem)
        return [self._compared(a, b) for a, b in zip(mine, theirs, strict=True)]

    def _compared(self, mine: list[float] | Unscored, theirs: list[float] | Unscored) -> StepScores | Unscored:
        if isinstance(mine, Unscored):
            return mine
        if isinstance(theirs, Unscored):
            return theirs
        return to_scores([sigmoid(self.beta * (a - b)) for a, b in zip(mine, theirs, strict=True)], "ratio")

    def spent(self) -> dict[str, int]:
        """What both have read."""
        theirs = {f"reference {name}": n for name, n in self.reference.spent().items()}
        return {**self.model.spent(), **theirs}

    def hungry(self) -> bool:
        """True while both want more problems."""
        return self.model.hungry() and self.reference.hungry()

    async def close(self) -> None:
        """Let go of both models."""
        try:
            await self.model.close()
        finally:
            await self.reference.close()


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
