"""The fenced blocks of a text, and which of them is the program.

    "First:\\n```bash\\npip install x\\n```\\nThen:\\n```python\\ndef f(): ...\\n```\\nUse:\\n```python\\nf()\\n```"
                                                        -----------

It is the last block that defines what the tests call; without one, the first that may be Python. Fences may be
indented, as in a list, and one inside a docstring is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_FENCE = re.compile(r"^[ \t]*(?:(?:[-*+]|[0-9]{1,3}[.)])[ \t]+)?(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_LANGUAGE = re.compile(r"[\s{.]*([\w+#.-]*)")
PYTHON = ("", "python", "py", "python3", "py3", "ipython", "ipython3", "sage")
"""What may stand behind an opening fence of Python."""
_SESSION = re.compile(r"\s*(?:>>>|\$ |pip install |In \[)")
_RAW = re.compile(
    r"[ \t]|@|\"{3}|'{3}|(?:async|class|def|from|import)[ ]|(?:for|if|return|try|while|with)\b.*:\s*$|\w+ *=",
    re.MULTILINE,
)
"""How a line of a raw program begins; prose before a fenced block does not begin like this."""


class Block(NamedTuple):
    """A fenced block: the offsets of what is inside it, the opening fence's language, and whether it was closed. A
    block that the prompt opened begins with the text."""

    start: int
    end: int
    language: str
    closed: bool


def blocks(text: str, start: int, end: int) -> list[Block]:
    """The blocks of `text[start:end]`, in order; one that is not closed reaches to the end.

    A bare fence below what looks like code closes a block that the prompt opened.
    """
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    at, quotes = start, [0, 0]
    for fence in _FENCE.finditer(text, start, end):
        quotes = [quotes[n] + text.count(mark, at, fence.start()) for n, mark in enumerate(('"""', "'''"))]
        at = fence.start()
        if quotes[0] % 2 or quotes[1] % 2:
            continue
        marks, language = fence[1], fence[2].strip()
        if opened is not None:
            if not language and not (marks[0] == opened[2][0] and len(marks) >= len(opened[2])):
                continue
            found.append(Block(opened[0], fence.start(), opened[1], closed=True))
            opened = None
            if not language:
                continue
        elif not found and not language and _is_code(text[start : fence.start()]):
            found.append(Block(start, fence.start(), "", closed=True))
            continue
        opened = min(end, fence.end() + 1), language, marks
    return found if opened is None else [*found, Block(opened[0], end, opened[1], closed=False)]


def program_block(text: str, found: Sequence[Block], entry_point: str | None, growing: bool = False) -> Block:
    """The block that is the program.

    Args:
        found: the blocks of the text, at least one.
        entry_point: what the tests call; None: not known, then the first block that may be Python.
        growing: the text may go on, so a last block that is not closed is the program even if it defines nothing yet.
    """
    if growing and not found[-1].closed and entry_point is not None:
        return found[-1]
    if entry_point is not None:
        name = re.escape(entry_point)
        defines = re.compile(
            rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^{name}[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
        )
        defining = [block for block in found if defines.search(text, block.start, block.end)]
        if defining:
            return defining[-1]
    return next((block for block in found if _is_python(text, block)), found[0])


def dedented(program: str) -> str:
    """A block without the indentation that a list gave it, which is that of its first line if all others have it."""
    first = next((line for line in program.split("\n") if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip())]
    if not margin or not re.match(r"(?:async|class|def|from|import|@|#)\b|@|#", first.lstrip()):
        return program
    lines = program.split("\n")
    if any(line.strip() and not line.startswith(margin) for line in lines):
        return program
    return "\n".join(line.removeprefix(margin) for line in lines)


def _is_code(before: str) -> bool:
    return bool(before.strip() and _RAW.match(before.lstrip("\r\n")))


def _is_python(text: str, block: Block) -> bool:
    language = _LANGUAGE.match(block.language)
    named = language[1].casefold() if language else ""
    return named in PYTHON and not _SESSION.match(text, block.start, block.end)
