"""Which tool shows a run as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class TrackingSettings:
    """Which tool shows the run. It decides nothing about the data, so a run may be resumed with another one."""

    log_to: Literal["none", "tensorboard", "wandb", "trackio"] = setting(
        "none", "Tool that shows the run's figures as well; its package must be installed.", panel=Panel.MORE
    )
