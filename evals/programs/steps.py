"""How a program is cut into steps, and where it is cut off to be continued.

    StepRule.parse("lines:2")      the default: every non-empty line is a step, rolled out in pairs
    StepRule.parse("blocks")       a step is a statement with its whole body; function headers are steps by themselves

The paper generates code one chunk of lines at a time and gives the chunk's label to each of its non-empty lines (read
in the authors' code; the chunk's size is not published). So with lines, the prefix of a step is the text up to the end
of its chunk: the steps of a chunk share one prefix, and so their rollouts and label.
Chunks and blocks are counted from the program's first line and depend on nothing after the next statement, so a path
that continues a prefix begins with the prefix's own steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from evals.programs.lexer import Statement, statements
from evals.split import Split

_CLAUSES = frozenset({"elif", "else", "except", "finally"})
_QUOTES = ("'", '"')


@dataclass(frozen=True, slots=True)
class StepRule:
    """What a step is: a line (`chunk` of which share a prefix and a label), or a block of statements."""

    by: Literal["lines", "blocks"] = "lines"
    chunk: int = 2

    @classmethod
    def parse(cls, text: object) -> StepRule:
        """Read `lines`, `lines:N` or `blocks`.

        Raises:
            ValueError: anything else.
        """
        if text == "blocks":
            return cls("blocks", 1)
        name, colon, number = text.partition(":") if isinstance(text, str) else ("", "", "")
        if name == "lines" and not colon:
            return cls()
        if name == "lines" and number.isascii() and number.isdecimal() and 0 < int(number) < 10**6:
            return cls("lines", int(number))
        raise ValueError(f"{text!r} is neither lines:N, with N lines per chunk, nor blocks")

    def __str__(self) -> str:
        return f"lines:{self.chunk}" if self.by == "lines" else "blocks"

    def split(self, text: str, start: int, end: int) -> Split:
        """The steps of the program that is `text[start:end]`, indentation kept.

        Returns:
            Steps, and offsets into `text`.
        """
        spans = _line_spans(text, start, end) if self.by == "lines" else _block_spans(text, start, end)
        steps = [text[first:last] for first, last in spans]
        ends = [last for _, last in spans]
        last = len(ends) - 1
        cuts = [ends[min(last, j // self.chunk * self.chunk + self.chunk - 1)] for j in range(len(ends))]
        return Split(steps, ends, cuts)


LINES = StepRule()
"""The default."""


def _line_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The non-empty lines, from the line's first column to before its line break."""
    spans = []
    for raw in text[start:end].split("\n"):
        line = raw.rstrip("\r")
        if line.strip():
            spans.append((start, start + len(line)))
        start += len(raw) + 1
    return spans


def _block_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The blocks, each with the comments above it."""
    found = statements(text[start:end])
    ends: list[int] = []
    i = 0
    while i < len(found):
        i = _block_end(found, i)
        ends.append(start + found[i].end)
        i += 1
    spans = []
    for before, after in pairwise([start, *ends]):
        # the rest of the previous block's last line (a comment, a line break) belongs to no step
        above = before if before == start else text.find("\n", before, after) + 1
        spans.append((above + _blank(text[above:after]), after))
    return spans


def _block_end(found: list[Statement], i: int) -> int:
    """The last statement of the block that begins with statement i."""
    while found[i].tokens[0] == "@" and i + 1 < len(found):
        i += 1
    own = found[i].indent
    if _is_header(found[i]):
        below = found[i + 1] if i + 1 < len(found) else None
        docstring = below is not None and below.indent > own and all(t.endswith(_QUOTES) for t in below.tokens)
        return i + docstring
    while i + 1 < len(found) and (
        found[i + 1].indent > own or (found[i + 1].indent == own and found[i + 1].tokens[0] in _CLAUSES)
    ):
        i += 1
    return i


def _is_header(statement: Statement) -> bool:
    """Whether it is the header line of a function or class whose body is on the lines below."""
    first = statement.tokens[1 if statement.tokens[0] == "async" and len(statement.tokens) > 1 else 0]
    return first in ("def", "class") and statement.tokens[-1] == ":"


def _blank(text: str) -> int:
    """Characters up to the first line with something on it."""
    return text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1
