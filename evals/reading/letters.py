"""The letter of a multiple-choice answer, read from a text under four rules.

    strict    the text's first line is the letter and nothing else (`B`, `(B)`, `B.`)
    flexible  the last capital A to D that stands alone, anywhere in the text
    robust    the last "answer is B", "Answer: B", `\\\\boxed{B}`; else the letter that the text begins with; else the
              choice whose whole text is the answer
    paper     the letter behind the first "The answer is", as the paper reads its numbers

>>> robust("It halves, so the answer is (B).", ["1", "2", "3", "4"])
'B'

The robust rule never takes a letter that may be a word: "A train leaves" does not answer A.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from evals import thoughts
from evals.reading import answers
from evals.records import Match
from evals.rules import AnswerRule

LETTERS = "ABCD"

_ALONE = re.compile(r"(?<![A-Za-z0-9_'\u2019])([A-D])(?![A-Za-z0-9_'\u2019])")
_BARE = re.compile(r"[\s*_`]{0,20}\(?([A-D])[).:,]{0,2}[\s*_`]{0,20}")
_START = re.compile(r"[\s*_`]{0,20}(?:\(([A-D])\)|([A-D])[*_`]{0,3}(?:[).:,]|\s*(?:\n|$)|\s(?=because|since|is the)))")
_PAPER = re.compile(r"The answer is \(?([A-D])(?![A-Za-z0-9_'\u2019])")
_MARKED = re.compile(
    r"(?:\banswer(?:\s{1,3}is\b|[*_]{0,3}\s{0,3}[:=])|\\f?boxed\s{0,3}\{)[\s*_`:]{0,9}"
    r"(?:(?:option|choice)\s{1,3})?(?:\\text\{)?[\s*_`]{0,9}\(?([A-D])(?![A-Za-z0-9_'\u2019])(?!\s(?!because|since)[a-z])",
    re.IGNORECASE,
)


def strict(text: str) -> str | None:
    """The letter that is the whole first line; None if that line is anything else."""
    line = text.strip().partition("\n")[0]
    found = _BARE.fullmatch(line[:100]) if len(line) <= 100 else None
    return found[1] if found else None


def flexible(text: str) -> str | None:
    """The last capital letter A to D that stands alone; None if there is none."""
    found = deque(_ALONE.finditer(answers.cut(text)), maxlen=1)
    return found[0][1] if found else None


def paper(text: str) -> str | None:
    """The capital letter behind the first "The answer is"; None where none stands there."""
    found = _PAPER.search(thoughts.outside(answers.cut(text)))
    return found[1] if found else None


def robust(text: str, choices: Sequence[str] = ()) -> str | None:
    """The letter a careful reader takes from the text; None if it names none.

    Args:
        choices: the texts of A to D, for an answer that repeats one of them.
    """
    text = thoughts.outside(answers.cut(text))
    marked = deque((found for found in _MARKED.finditer(text) if found[1].isupper()), maxlen=1)
    if marked:
        return marked[0][1]
    begins = _START.match(text)
    if begins:
        return begins[1] or begins[2]
    said = answers.robust(text)
    same = [letter for letter, choice in zip(LETTERS, choices, strict=False) if _is(choice, said, text)]
    return same[0] if len(same) == 1 else None


def match(gold: str, text: str, choices: Sequence[str] = (), rule: AnswerRule = "robust") -> tuple[str | None, Match]:
    """Read the letter by a rule, and judge it under strict, flexible, robust and, where it is the rule, paper."""
    read = {"strict": strict(text), "flexible": flexible(text), "robust": robust(text, choices)}
    found = Match(strict=read["strict"] == gold, flexible=read["flexible"] == gold, robust=read["robust"] == gold)
    if rule == "paper":
        read["paper"] = paper(text)
        found.paper = read["paper"] == gold
    return read[rule], found


def is_bare(line: str) -> bool:
    """Whether a line is a letter and nothing else."""
    return len(line) <= 100 and _BARE.fullmatch(line) is not None


def _is(choice: str, said: str | None, text: str) -> bool:
    if len(choice) > answers.LINE_CAP or not choice.strip():
        return False
    wanted = answers.normal(choice)
    whole = text.strip()
    return (said is not None and answers.normal(said) == wanted) or (
        len(whole) <= answers.LINE_CAP and answers.normal(whole) == wanted
    )
