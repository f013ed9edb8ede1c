"""Python text as statements, read in one pass without compiling it, so that any text a model writes can be read.

    >>> [(s.indent, " ".join(s.tokens)) for s in statements("def f(x):\\n    return (x +\\n            1)  # one more")]
    [(0, 'def f ( x ) :'), (4, 'return ( x + 1 )')]

A statement is a logical line: brackets and triple quotes may spread it over several. The compiler is not used,
because deeply nested text can make it crash. A backslash outside a string counts as space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = r"""(?P<string>(?i:[rbuf]{0,2})(?:"(?:[^"\\\n]|\\[\s\S])*+"|'(?:[^'\\\n]|\\[\s\S])*+'))"""
_OTHERS = r"""
    (?P<space>[^\S\n]+|\\(?:\r?\n)?)
  | (?P<newline>\n)
  | (?P<comment>\#[^\n]*)
  | (?P<triple>(?i:[rbuf]{0,2})(?:\"{3}|'{3}))
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<other>\w+|\*\*=?|//=?|<<=?|>>=?|->|:=|[-+*/%&|^=<>!@]=|[\s\S])
    """
_NO_STRING = re.compile(_OTHERS, re.VERBOSE)
_TOKEN = re.compile(_OTHERS.replace("| (?P<open>", f"| {_STRING} | (?P<open>"), re.VERBOSE)
_QUOTE = re.compile(r"(?i:[rbuf]{0,2})([\"'])")
_INSIDE = {'"': re.compile(r'(?:[^"\\\n]|\\[\s\S])*+'), "'": re.compile(r"(?:[^'\\\n]|\\[\s\S])*+")}


@dataclass(frozen=True, slots=True)
class Statement:
    """One logical line. `start` is the offset of its first line, `end` just past its last character that is no space
    and no comment; `indent` counts columns; `tokens` are its words and signs."""

    start: int
    end: int
    indent: int
    tokens: tuple[str, ...]


def statements(code: str) -> list[Statement]:
    """The statements of a text, blank lines and comment lines left out.

    After a bracket or triple quote that is never closed, every line counts as its own statement.
    """
    found: list[Statement] = []
    tokens: list[str] = []
    at = begun = line = end = depth = 0
    unclosed = {'"': 0, "'": 0}  # up to where no string in such quotes is closed, so that no place is read twice
    while at < len(code):
        quote = _QUOTE.match(code, at)
        token = (_NO_STRING if quote and at < unclosed[quote[1]] else _TOKEN).match(code, at)
        assert token is not None, "the last alternative takes any character"
        kind, at = token.lastgroup, token.end()
        if quote and kind not in ("triple", "string") and quote.end() > unclosed[quote[1]]:
            rest = _INSIDE[quote[1]].match(code, quote.end())
            unclosed[quote[1]] = rest.end() if rest else at
        if kind == "newline":
            line = at
            if tokens and not depth:
                found.append(_statement(code, begun, end, tokens))
                tokens = []
            continue
        if kind in ("space", "comment"):
            continue
        if kind == "triple":
            at = _closing(code, at, token[0][-3:])
            if at < 0:
                return [*found, *_lines(code, begun if tokens else line)]
        depth = max(0, depth + (kind == "open") - (kind == "close"))
        begun = begun if tokens else line
        tokens.append(code[token.start() : at])
        end = at
    if tokens and depth:
        return [*found, *_lines(code, begun)]
    return [*found, _statement(code, begun, end, tokens)] if tokens else found


def _statement(code: str, start: int, end: int, tokens: list[str]) -> Statement:
    first = code[start:end].partition("\n")[0].expandtabs(8)
    return Statement(start, end, len(first) - len(first.lstrip()), tuple(tokens))


def _closing(code: str, at: int, quotes: str) -> int:
    """The offset just past the quotes that close the string that began just before `at`, or -1."""
    while (found := code.find(quotes, at)) >= 0:
        backslashes = found - len(code[at:found].rstrip("\\")) - at
        if backslashes % 2 == 0:
            return found + len(quotes)
        at = found + 1
    return -1


def _lines(code: str, start: int) -> list[Statement]:
    """The text from an offset on, one statement per physical line."""
    found = []
    for raw in code[start:].split("\n"):
        words = raw.split()
        if words and not words[0].startswith("#") and raw.replace("\\", "").strip():
            found.append(_statement(code, start, start + len(raw.rstrip()), words))
        start += len(raw) + 1
    return found
