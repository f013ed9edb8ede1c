"""score: score every step with a reward model, or by a model's likelihood of it (step 4 of the loop).

    path.steps = ["40+32=72", ...]  ->  path.scores["prm"] = {"steps": [0.98, ...], "mean": 0.95, "min": ..., ...}

r(tau) = (1/m) sum_j c_j, the mean of the step scores, is the paper's score of a path; min, product and last are
written beside it, and `aggregate`: which of the four fits what computed them. A path that cannot be scored says why
under `unscored`. All scores lie in [0, 1]; those that are no reward model's say so (`by`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evals.records import Path, Problem, StepScores
from evals.tasks import check_steps
from stages.counts import UNSCORED, Tally
from stages.runs.stage import Stage
from stages.scorers.base import StepScorer, Unscored
from stages.settings.score import ScoreSettings


@dataclass(frozen=True)
class Scoring(Stage):
    """Scores one problem's paths per call; many calls may run at once."""

    scorer: StepScorer
    settings: ScoreSettings
    name: ClassVar[str] = "score"

    def check(self, problem: Problem) -> None:
        """Refuse paths whose `steps` are not the steps of their `text`."""
        check_steps(problem)

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Paths and steps."""
        return {"paths": len(problem.paths), "steps": sum(len(path.steps) for path in problem.paths)}

    def size(self, problem: Problem) -> float:
        """Characters to be read: each path that has steps, with the question before it."""
        read = [path for path in problem.paths if path.steps]
        return float(sum(len(problem.question) + len(path.text) for path in read))

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """The problem with scores on every path that can be scored; counts those, and the others by reason."""
        found = await self.scorer.score(problem)
        paths = [self._written(path, one, tally) for path, one in zip(problem.paths, found, strict=True)]
        return [problem.model_copy(update={"paths": paths}) if paths else problem]

    def _written(self, path: Path, found: StepScores | Unscored, tally: Tally) -> Path:
        name = self.settings.key
        if isinstance(found, Unscored):
            tally.count(UNSCORED.of(found.reason))
            return path.model_copy(update={"unscored": {**(path.unscored or {}), name: str(found)}})
        if self.settings.aggregate != "auto":
            found = found.model_copy(update={"aggregate": self.settings.aggregate})
        tally.count("paths scored")
        tally.count("steps scored", len(path.steps))
        return path.model_copy(update={"scores": {**(path.scores or {}), name: found}})
