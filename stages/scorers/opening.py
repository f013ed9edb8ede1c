"""From settings to a scorer: what would be opened, told without loading a weight, and the opening itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evals.errors import ModelError
from evals.records import Problem, StepScores
from stages.models.devices import on_device
from stages.models.facts import model_facts
from stages.models.naming import at_revision, model_fingerprint, policy_card, with_base
from stages.models.reward import vllm_lacks
from stages.scorers.base import StepScorer, Unscored
from stages.scorers.reward import reward_card
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings


class OnDemandScorer:
    """A scorer that is described at once and opened when it is needed (`stages.runs.stage.Resource`).

    Args:
        model: folder written by `train-prm` (full or adapter); for a likelihood or a ratio any causal language model.
        settings: how it runs.
        how: what a score is.
    """

    def __init__(self, model: str, settings: ScorerSettings, how: ScoreSettings = ScoreSettings()) -> None:
        self.model = with_base(at_revision(model, settings.revision), settings.base)
        self.settings, self.how = settings, how
        self._scorer: StepScorer | None = None

    def facts(self) -> dict[str, Any]:
        """See `describe_scorer`."""
        return describe_scorer(self.model, self.settings, self.how)

    def open(self) -> None:
        """Load the model."""
        if self._scorer is None:
            self._scorer = open_scorer(self.model, self.settings, self.how)

    def hungry(self) -> bool:
        """True while more problems should be admitted; not before it is open."""
        return self._scorer is not None and self._scorer.hungry()

    def fills(self) -> bool:
        """See `stages.runs.calibration.Batching`."""
        return True

    def written(self) -> None:
        """None: nothing is written."""

    def pinned(self, cores: int) -> OnDemandScorer:
        """The scorer with the device and the number format that `facts` tells."""
        if self.settings.engine != "hf":
            return self
        return OnDemandScorer(self.model, replace(on_device(self.settings), revision=None, base=None), self.how)

    def gpus(self) -> int:
        """How many GPUs the scorer takes, where there are some."""
        if self.settings.device in ("cpu", "mps"):
            return 0
        return self.settings.tensor_parallel if self.settings.engine == "vllm" else 1

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


def describe_scorer(model: str, settings: ScorerSettings, how: ScoreSettings = ScoreSettings()) -> dict[str, Any]:
    """What a run of `score` is identified by, without loading the model.

    Raises:
        ModelError: not a reward model (or one, where a likelihood is asked for), no such device, an engine that is not
            installed, or one that does not know how the model's head is built.
        UsageError: 4-bit weights with vLLM.
    """
    card = reward_card(model) if how.by == "prm" else policy_card(model)
    facts: dict[str, Any] = {"engine": settings.engine, **model_facts(model, settings)}
    if how.by == "prm":
        facts["trained_on"] = {key: card[key] for key in ("labels", "outcome", "base", "head") if key in card}
    if how.reference is not None:
        policy_card(how.reference)
        facts["reference_sha256"] = model_fingerprint(how.reference)
    if settings.engine == "vllm":
        from stages.engines.vllm.start import vllm_facts

        lacking = vllm_lacks(card) if how.by == "prm" else None
        if lacking:
            raise ModelError(f"vLLM cannot compute {model}, which has {lacking}", "Use --engine hf.")
        facts |= vllm_facts(load_in_4bit=settings.load_in_4bit, tensor_parallel=settings.tensor_parallel)
    return facts


def open_scorer(model: str, settings: ScorerSettings, how: ScoreSettings = ScoreSettings()) -> StepScorer:
    """The scorer, its model loaded; for a ratio both."""
    from stages.scorers.likelihood import RatioScorer

    if settings.engine == "vllm":
        from stages.scorers.vllm import VLLMLikelihood, VLLMScorer

        if how.by == "prm":
            return VLLMScorer(model, settings)
        if how.reference is None:
            return VLLMLikelihood(model, settings, how)
        half = replace(settings, gpu_memory=settings.gpu_memory / 2)
        return RatioScorer(VLLMLikelihood(model, half, how), VLLMLikelihood(how.reference, half, how), how)
    from stages.scorers.hf import HFLikelihood, Scorer

    if how.by == "prm":
        return Scorer(model, settings)
    if how.reference is None:
        return HFLikelihood(model, settings, how)
    return RatioScorer(HFLikelihood(model, settings, how), HFLikelihood(how.reference, settings, how), how)
