"""Where the program is in the text of a model, and how the program to run is put together.

    "[BEGIN]\\nCODE\\n[DONE]"                      CODE
    "Here it is:\\n```python\\nCODE\\n```\\n..."    CODE, in the block that defines what the tests call
    "    return a + b"                            all of it: a raw continuation

Where the text may go on (`growing`), how a place is read depends only on the text before it and on whether its block is
closed, so a text that continues a prefix is read as the prefix was.
"""

from __future__ import annotations

import re

from evals import thoughts
from evals.programs.fences import blocks, dedented, program_block
from evals.programs.lexer import statements

BEGIN, DONE = "[BEGIN]", "[DONE]"


def program_span(text: str, entry_point: str | None = None, growing: bool = False) -> tuple[int, int]:
    """Start and end offset of the program in a text. A draft between `<think>` and `</think>` is no program.

    Args:
        entry_point: what the tests call, if it is known: of several blocks the last that defines it is the program.
        growing: the text may go on; see `evals.programs.fences.program_block`.
    """
    start, end = thoughts.after(text), len(text)
    begin, done = text.find(BEGIN, start), text.find(DONE, start)
    if begin >= 0 and not 0 <= done < begin:
        start = begin + len(BEGIN)
        line = text.find("\n", start)
        start = line + 1 if line >= 0 and not text[start:line].strip() else start
        done = text.find(DONE, start)
    end = done if done >= 0 else end
    found = blocks(text, start, end)
    if not found:
        return start, end
    block = program_block(text, found, entry_point, growing)
    return block.start, block.end


def program_in(text: str, entry_point: str | None = None) -> str:
    """The program in a text, without the indentation that a list gave it."""
    start, end = program_span(text, entry_point)
    program = text[start:end]
    return dedented(program) if (start, end) != (0, len(text)) else program


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
