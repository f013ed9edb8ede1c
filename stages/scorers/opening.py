"""From settings to a scorer: what would be opened, told without loading a weight, and the opening itself."""

from __future__ import annotations

from typing import Any

from evals.errors import ModelError
from evals.records import Problem, StepScores
from stages.models.facts import model_facts
from stages.models.naming import at_revision
from stages.models.reward import vllm_lacks
from stages.scorers.base import PathScorer, Unscored, reward_card
from stages.settings.model import ScorerSettings


class OnDemandScorer:
    """A reward model that is described at once and opened when it is needed (`stages.runs.stage.Resource`).

    Args:
        model: folder written by `train-prm` (full or adapter).
        settings: how it runs.
    """

    def __init__(self, model: str, settings: ScorerSettings) -> None:
        self.model, self.settings = at_revision(model, settings.revision), settings
        self._scorer: PathScorer | None = None

    def facts(self) -> dict[str, Any]:
        """See `describe_scorer`."""
        return describe_scorer(self.model, self.settings)

    def open(self) -> None:
        """Load the model."""
        if self._scorer is None:
            self._scorer = open_scorer(self.model, self.settings)

    def hungry(self) -> bool:
        """True while more problems should be admitted; not before it is open."""
        return self._scorer is not None and self._scorer.hungry()

    def spent(self) -> dict[str, int]:
        """See `PathScorer.spent`."""
        return {} if self._scorer is None else self._scorer.spent()

    async def score(self, problem: Problem) -> list[StepScores | Unscored]:
        """See `PathScorer.score`."""
        assert self._scorer is not None, "whatever runs a stage opens its scorer first"
        return await self._scorer.score(problem)

    async def close(self) -> None:
        """Free what the scorer holds; it can be opened again."""
        scorer, self._scorer = self._scorer, None
        if scorer is not None:
            await scorer.close()


def describe_scorer(model: str, settings: ScorerSettings) -> dict[str, Any]:
    """What a run of `score` is identified by, without loading the model.

    Raises:
        ModelError: not a reward model, no such device, an engine that is not installed, or one that does not know how
            the model's head is built.
        UsageError: 4-bit weights with vLLM.
    """
    card = reward_card(model)
    trained_on = {key: card[key] for key in ("labels", "outcome", "base", "head") if key in card}
    facts = {"engine": settings.engine, **model_facts(model, settings), "trained_on": trained_on}
    if settings.engine == "vllm":
        from stages.engines.vllm.start import vllm_facts

        lacking = vllm_lacks(card)
        if lacking:
            raise ModelError(f"vLLM cannot compute {model}, which has {lacking}", "Use --engine hf.")
        facts |= vllm_facts(load_in_4bit=settings.load_in_4bit, tensor_parallel=settings.tensor_parallel)
    return facts


def open_scorer(model: str, settings: ScorerSettings) -> PathScorer:
    """The scorer, its model loaded."""
    if settings.engine == "vllm":
        from stages.scorers.vllm import VLLMScorer

        return VLLMScorer(model, settings)
    from stages.scorers.hf import Scorer

    return Scorer(model, settings)
