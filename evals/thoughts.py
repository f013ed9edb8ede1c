"""What a model writes for itself between `<think>` and `</think>`: steps may stand there, answers do not.

    outside("<think>Is the answer 9? No.</think>\\nThere are 12.")      # "\\nThere are 12."

A text may begin inside, where the prompt has opened the block, and end inside, where it was cut off.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"</?think>")


def spans(text: str) -> list[tuple[int, int]]:
    """Where the thoughts stand, tags included, in order; one that is not closed reaches to the end."""
    found: list[tuple[int, int]] = []
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if tag[0] == "<think>":
            opened = tag.start() if opened is None else opened
            continue
        before = found[-1][1] if found else 0
        found.append((before if opened is None else opened, tag.end()))
        opened = None
    return found if opened is None else [*found, (opened, len(text))]


def outside(text: str, start: int = 0, end: int | None = None) -> str:
    """What of `text[start:end]` stands in no thought of the text."""
    end = len(text) if end is None else end
    parts = []
    for first, last in spans(text):
        parts.append(text[start : min(first, end)])
        start = max(start, last)
    return "".join([*parts, text[start:end]])


def after(text: str) -> int:
    """The offset just past the last thought; 0 where there is none."""
    found = spans(text)
    return found[-1][1] if found else 0


def is_tag(line: str) -> bool:
    """Whether a line holds nothing but tags."""
    return "think>" in line and not _TAG.sub("", line).strip()
