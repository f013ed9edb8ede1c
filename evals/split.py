"""The steps of a text and where each one ends: what cutting a path into steps gives, whatever the task.

text = "40+32=72\\n\\n72-5=67\\nThe answer is 67"
Split(["40+32=72", "72-5=67"], [8, 17]).prefix(text, 0)     # "40+32=72\\n\\n"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WHITE = re.compile(r"\s*")


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
        """The text up to and including step j (0-based), ready to be continued on a new line.

        It ends where the next line with anything on it begins, blank lines kept: a tokenizer that makes one token of
        two line breaks then gives the prefix the tokens that the model wrote. Behind a step that nothing follows stand
        the line breaks that stood before it.
        """
        end = (self.cuts or self.ends)[j]
        lines = line_breaks(text, end)
        if not lines and j and not self.cuts:
            lines = line_breaks(text, self.ends[j - 1])
        return text[:end] + (lines or "\n")


def line_breaks(text: str, start: int) -> str:
    """The white space at an offset, up to its last line break; empty where a word comes before one."""
    found = _WHITE.match(text, start)
    white = found.group() if found else ""
    return white[: white.rfind("\n") + 1]
