"""Which problems are shown, and how much of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evals.errors import UsageError
from stages.settings.declare import check_bounds, setting
from stages.settings.pairs import PairSettings

Where = Literal["wrong-step", "disagree", "no-pair"]


@dataclass(frozen=True)
class ShowSettings:
    """Which problems of a file are shown when none is named, and how much of each.

    Raises:
        UsageError: a seed without `random`, or `where` "no-pair" without `pairs`.
    """

    where: Where | None = setting(
        None,
        "Only problems with a right answer by a wrong step, whose labels and scores disagree, or without a pair "
        "(--pairs).",
    )
    random: bool = setting(False, "Problems drawn at random instead of the first ones.")
    seed: int | None = setting(None, "--random: the seed; the same one draws the same ids in every file.", low=0)
    n: int = setting(1, "Problems to show if none is named.", flags=("-n", "--n"), low=1)
    pairs: Path | None = setting(None, "File of pairs: those of the problem are shown, or why there are none.")
    pass_score: float = setting(
        PairSettings.pass_score, "A step that scores less is wrong by its score.", low=0.0, high=1.0
    )
    rollouts: bool = setting(False, "Show the rollouts of every step: their answers, and the texts that were kept.")
    full: bool = setting(False, "Show long texts whole.")

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.seed is not None and not self.random:
            raise UsageError("--seed goes with --random", "Add --random.")
        if self.where == "no-pair" and self.pairs is None:
            raise UsageError("--where no-pair needs --pairs FILE", "Name the file that sipf pairs wrote.")
