"""Where the program is in the text of a model, and how the program to run is put together.

    "[BEGIN]\\nCODE\\n[DONE]"                      CODE
    "Here it is:\\n```python\\nCODE\\n```\\n..."    CODE of the first fenced block
    "    return a + b"                            all of it: a raw continuation

How a place is read depends only on the text before it, so a text that continues a prefix is read as the prefix was.
"""

from __future__ import annotations

import re

from evals import thoughts
from evals.programs.lexer import statements

BEGIN, DONE = "[BEGIN]", "[DONE]"
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})(.*)$", re.MULTILINE)
_CODE = re.compile(
    r"[ \t]|@|\"{3}|'{3}|(?:async|class|def|from|import)[ ]|(?:for|if|return|try|while|with)\b.*:\s*$|\w+ *=",
    re.MULTILINE,
)
"""How a line of a raw program begins; prose before a fenced block does not begin like this."""


def program_span(text: str) -> tuple[int, int]:
    """Start and end offset of the program in a text.

    A bare fence below what looks like code closes a block that the prompt opened. A draft between `<think>` and
    `</think>` is no program.
    """
    start, end = thoughts.after(text), len(text)
    begin, done = text.find(BEGIN, start), text.find(DONE, start)
    if begin >= 0 and not 0 <= done < begin:
        start = begin + len(BEGIN)
        line = text.find("\n", start)
        start = line + 1 if line >= 0 and not text[start:line].strip() else start
        done = text.find(DONE, start)
    end = done if done >= 0 else end
    opening = _first_fence(text, start, end)
    if opening is None:
        return start, end
    before = text[start : opening.start()]
    if not opening[1].strip() and before.strip() and _CODE.match(before.lstrip("\r\n")):
        return start, opening.start()
    start = min(end, opening.end() + 1)
    closing = _first_fence(text, start, end)
    return start, closing.start() if closing else end


def _first_fence(text: str, start: int, end: int) -> re.Match[str] | None:
    """The first fence that is not inside a docstring."""
    for fence in _FENCE.finditer(text, start, end):
        before = text[start : fence.start()]
        if before.count('"""') % 2 == 0 and before.count("'''") % 2 == 0:
            return fence
    return None


def joined(stub: str, entry_point: str | None, body: str) -> str:
    """The program to run: the beginning of the function from the prompt (the stub), followed by the body.

    If the body defines the entry point itself, only what the stub has above that function (imports, helper functions)
    is kept.
    """
    if not stub:
        return body
    if entry_point:
        mine, theirs = definition(body, entry_point), definition(stub, entry_point)
        if mine and theirs:
            return stub[: theirs.start()] + body
    return stub + body


def definition(code: str, name: str) -> re.Match[str] | None:
    """Where a text defines a function at its left margin, or None. When a program is run, the last one counts."""
    found = list(re.finditer(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(name)}[ \t]*\(", code, re.MULTILINE))
    return found[-1] if found else None


def program_signature(program: str) -> str:
    """A program's words and signs without comments and spacing, each line preceded by its depth of indentation.

    >>> program_signature("def f(x):\\n\\n  return x  # the same")
    '0 def f ( x ) :\\n1 return x'
    """
    lines, depths = [], [-1]
    for statement in statements(program):
        while statement.indent < depths[-1]:
            depths.pop()
        if statement.indent > depths[-1]:
            depths.append(statement.indent)
        lines.append(f"{len(depths) - 2} {' '.join(statement.tokens)}")
    return "\n".join(lines)
