"""What a reward model says of a step: P(right) at its last token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.errors import ModelError, UsageError
from evals.records import Path, Problem, StepScores
from evals.rules import Aggregate
from evals.tasks import task_of
from evals.tasks.base import step_ends
from stages.models.naming import read_card
from stages.models.prompts import Prompter
from stages.models.templates import chat_arguments, make_prompter
from stages.scorers.base import PathScorer, to_scores
from stages.settings.model import ScorerSettings

AGGREGATES: Mapping[str, Aggregate] = {"progress": "min", "advantage": "mean"}
"""By kind of label, where it is not "last"."""


class RewardScorer(PathScorer):
    """Scores paths with a reward model.

    Args:
        name: folder written by `train-prm` (full or adapter).
        settings: how it runs; a template is refused if it is not "auto" and not what the model was trained with.

    Raises:
        ModelError: not a reward model.
    """

    def __init__(self, name: str, settings: ScorerSettings) -> None:
        self.card = reward_card(name)
        super().__init__(name, settings)
        self._prompters: dict[str, Prompter] = {}

    def prompter(self, problem: Problem) -> Prompter:
        """The prompts the model was trained with.

        Raises:
            UsageError: the template asked for, or what it is told, is another.
        """
        if problem.task not in self._prompters:
            templates = task_of(problem).templates
            told = chat_arguments((), self.card)
            recorded = make_prompter(self.tokenizer, templates, "auto", self.card.get("template"), told)
            if self.settings.template != "auto":
                asked = make_prompter(self.tokenizer, templates, self.settings.template)
                if asked.recorded != recorded.recorded:
                    raise UsageError(
                        f"{self.name} was trained with the template {recorded.name!r}, not {asked.name!r}",
                        "Leave --template out: the model knows its own.",
                    )
            if chat_arguments(self.settings.chat_arg, self.card) != told:
                raise UsageError(
                    f"{self.name} was trained with other --chat-arg ({told or 'none'})",
                    "Leave --chat-arg out: the model knows its own.",
                )
            self._prompters[problem.task] = recorded
        return self._prompters[problem.task]

    def ends(self, problem: Problem, path: Path) -> list[int]:
        """See `PathScorer.ends`: without the line break behind the step, as in training."""
        return step_ends(task_of(problem), path)

    def to_scores(self, found: list[float]) -> StepScores:
        """See `PathScorer.to_scores`: P(right) as it is."""
        return to_scores(found, aggregate=aggregate_for(self.card))


def aggregate_for(card: Mapping[str, Any]) -> Aggregate:
    """The aggregate that fits what a reward model was trained on.

    A Monte Carlo label (hard, soft, a threshold) values the whole prefix, so the last step's says it all: of paths
    ranked by such scores the last is better than the product or the minimum, and the mean counts early steps again
    (arXiv 2501.07301). An outcome label is of the path as well. Progress judges each step by itself, and a path is as
    good as its worst. Advantages add up to the value gained, here per step, as paths differ in length.
    """
    if card.get("outcome"):
        return "last"
    return AGGREGATES.get(str(card.get("labels", "")).partition(":")[0], "last")


def reward_card(name: str) -> dict[str, Any]:
    """A reward model's `sipf.json`.

    Raises:
        ModelError: it is no reward model.
    """
    card = read_card(name)
    if card.get("kind") != "prm":
        raise ModelError(
            f"{name} is no reward model",
            "Give the folder that `sipf train-prm` has written, or take --by likelihood for any causal model.",
        )
    return card
