"""The name under which scores are written."""

from __future__ import annotations

from dataclasses import dataclass

from stages.settings.declare import setting


@dataclass(frozen=True)
class ScoreSettings:
    """`name` is the key of the scores on each path."""

    name: str = setting("prm", "Key to write the scores under; a line can hold those of several reward models.")
