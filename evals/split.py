"""The steps of a text and where each one ends: what cutting a path into steps gives, whatever the task.

text = "40+32=72\\nThe answer is 72"
Split(["40+32=72"], [8]).prefix(text, 0)            # "40+32=72\\n"
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Split:
    """The steps of a text. `ends[j]` is the character offset just past step j, its newline not included.

    `cuts[j]`, where given, is the offset at which the text is cut off to roll step j out: steps with the same cut have
    the same prefix, and so the same label.
    """

    steps: list[str]
    ends: list[int]
    cuts: list[int] | None = None

    def prefix(self, text: str, j: int) -> str:
        """The text up to and including step j (0-based), ready to be continued on a new line."""
        return text[: (self.cuts or self.ends)[j]] + "\n"
