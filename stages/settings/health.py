"""When a round counts as unhealthy, and when the loop is to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.settings.declare import Panel, check_bounds, setting

StopWhen = Literal["never", "plateau", "worse"]


@dataclass(frozen=True)
class SignSettings:
    """Thresholds of the failure signs; `stages.rounds.signs` says how each is used."""

    alpha: float = setting(
        0.05, "A change of accuracy counts as one below this p (exact paired McNemar test).", low=0.0, high=1.0
    )
    min_gain: float = setting(
        0.01, "plateau: smallest gain of a round, as a share, that is worth another round.", low=0.0, high=1.0
    )
    patience: int = setting(1, "plateau: number of rounds in a row that must gain too little.", low=1)
    weak_within: float = setting(
        0.65, "weak reward model: least accuracy on a right and a wrong step of the same question (0.5 is chance).",
        low=0.0, high=1.0,
    )  # fmt: skip
    loss_rise: float = setting(
        0.1, "diverging loss: rise of the loss from its lowest to the end of training, as a share.", low=0.0
    )
    diversity_drop: float = setting(
        0.25, "shrinking diversity: fall of the distinct paths per draw since round 1, as a share.", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class HealthSettings(SignSettings):
    """Which round is looked at, and whether its signs are to end the loop. `round` None: all that are finished."""

    round: int | None = setting(None, "Look at this round only, from 1; by default at all that are finished.", low=1)
    stop_when: StopWhen = setting(
        "never",
        "Sign that ends the loop: plateau (accuracy no longer rises, or falls) or worse (it falls). examples/loop.sh "
        "reads the verdict from the line.",
    )  # fmt: skip
    sft_from: Path | None = setting(
        None, "Folder of the loop that made M0, if it was another one.", metavar="FOLDER", panel=Panel.FILES
    )

    def __post_init__(self) -> None:
        check_bounds(self)
