"""Under which name paths are scored."""

from __future__ import annotations

from dataclasses import dataclass

from stages.settings.declare import setting


@dataclass(frozen=True)
class ScoreSettings:
    """`name` is the key of the scores on each path."""

    name: str = setting("prm", "Key of the scores; those of several reward models fit on a line.")
