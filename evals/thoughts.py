"""What a model writes for itself between `<think>` and `</think>`: steps may stand there, answers do not.

    outside("<think>Is the answer 9? No.</think>\\nThere are 12.")      # "\\nThere are 12."

A text may begin inside, where the prompt has opened the block, and end inside, where it was cut off. Other models call
the block `<thinking>`, `<thought>`, `[THINK]`, `<|begin_of_thought|>` or, in gpt-oss's form, the channel `analysis`.
"""

from __future__ import annotations

import re

_TAG = re.compile(
    r"(?P<opens><(?:think|thinking|thought)>|\[THINK\]|<\|begin_of_thought\|>|\u25c1think\u25b7"
    r"|<\|channel\|>analysis<\|message\|>)"
    r"|</(?:think|thinking|thought)>|\[/THINK\]|<\|end_of_thought\|>|\u25c1/think\u25b7"
    r"|<\|channel\|>final<\|message\|>|assistantfinal",
    re.IGNORECASE,
)
_PARTS = ("hink", "HINK", "hought", "channel|>", "assistantfinal")
"""Every tag has one of these in it."""


def spans(text: str) -> list[tuple[int, int]]:
    """Where the thoughts stand, tags included, in order; one that is not closed reaches to the end."""
    found: list[tuple[int, int]] = []
    if not may_have(text):
        return found
    opened: int | None = None
    for tag in _TAG.finditer(text):
        if tag["opens"]:
            opened = tag.start() if opened is None else opened
            continue
        before = found[-1][1] if found else 0
        found.append((before if opened is None else opened, tag.end()))
        opened = None
    return found if opened is None else [*found, (opened, len(text))]


def may_have(text: str) -> bool:
    """Whether there may be a tag in a text; most have none, and need not be searched."""
    return any(part in text for part in _PARTS)


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
    return may_have(line) and not _TAG.sub("", line).strip()
