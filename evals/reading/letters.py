"""The letter of a multiple-choice answer, read from a text under four rules.

    strict    the text's first line is the letter and nothing else (`B`, `(B)`, `B.`)
    flexible  the last capital A to D that stands alone, anywhere in the text
    robust    the last "answer is B", "Answer: B", `\\\\boxed{B}`, "B is correct"; else the letter that the text begins
              with, or that is its last line; else the choice whose whole text is the answer
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
from evals.reading import answers, latex, turns
from evals.reading.pieces import LINE_CAP
from evals.records import Match
from evals.rules import AnswerRule

LETTERS = "ABCD"

_ALONE = re.compile(r"(?<![A-Za-z0-9_'\u2019])([A-D])(?![A-Za-z0-9_'\u2019])")
_BARE = re.compile(r"[\s*_`]{0,20}\(?([A-D])[).:,]{0,2}[\s*_`]{0,20}")
_START = re.compile(
    r"[\s*_`]{0,20}(?:\(([A-D])\)|(?:(?:option|choice)\s)?([A-D])[*_`]{0,3}"
    r"(?:[).:,]|\s*(?:\n|$)|\s(?=because|since|is the)))(?![^\n]{0,200}\n[\s*_(]{0,9}B[).:])",
    re.IGNORECASE,
)
_PAPER = re.compile(r"The answer is \(?([A-D])(?![A-Za-z0-9_'\u2019])")
_DRESS = r"[\s*_`:\"'($\[{]{0,12}"
_MARKED = re.compile(
    r"(?:\b(?:answer|choice|option|ans)(?:\s{1,3}(?:is|was|would\sbe|should\sbe|must\sbe)\b|[*_\"']{0,3}\s{0,3}[:=-])"
    r"|\\f?boxed\s{0,3}(?=[{A-D])|(?<!\#)####(?!\#)|<(?:final_?)?(?:answer|ans)>|\[ANSWER\]"
    r"|\b(?:choose|chose|select|selected|pick|picked|go\swith|going\swith)\b)"
    rf"{_DRESS}(?:(?:the\s)?(?:correct\s)?(?:option|choice|letter|answer)\s{{1,3}}(?:is\s)?)?{_DRESS}"
    r"(?P<letter>[A-D])(?![A-Za-z0-9_'\u2019])",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"(?<![A-Za-z0-9_'\u2019])(?P<letter>[A-D])[)*_.:]{0,4}(?:\s[^\s.]{1,20}){0,4}?\s(?:is|must\sbe|would\sbe)\s"
    r"(?:the\s|our\s|my\s)?(?:final\s|only\s|most\s)?(?:correct|right|best|answer)\b"
)
_WORD_AFTER = re.compile(r"\s(?!(?:because|since|as|which|is|with|for|in|and|but|not|from|by|due|if)\b)[a-z]")
_CLOSED = re.compile(r"\s*(?:[).:,;*_`\"'\]}$!?<]|\n|\Z)")
_ANOTHER = re.compile(r"[)*_.:]{0,3},?\s?(?:or|and|/)\s?[(*]{0,3}[A-D][)*]{0,3}(?=[\s.,;]|\Z)(?!\s(?:is|are)\b)")


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


def robust(text: str, choices: Sequence[str] = (), question: str = "") -> str | None:
    """The letter a careful reader takes from the text; None if it names none, or two.

    Args:
        choices: the texts of A to D, for an answer that repeats one of them.
        question: the problem's, if it is known; see `answers.robust`.
    """
    text = latex.without_commands(thoughts.outside(turns.reply(text, question)))
    marked = [found for pattern in (_MARKED, _RIGHT) if (found := _last_letter(pattern, text))]
    if marked:
        found = max(marked, key=lambda mark: mark.start("letter"))
        return None if _ANOTHER.match(text, found.end("letter")) else found["letter"].upper()
    for line in (text.strip(), text.rstrip().rpartition("\n")[2]):
        if bare := _BARE.fullmatch(line.upper() if len(line) <= 5 else line[:100]):
            return bare[1]
    begins = _START.match(text)
    if begins and (letter := begins[1] or begins[2]).isupper():
        return letter
    said = answers.robust(text)
    same = [letter for letter, choice in zip(LETTERS, choices, strict=False) if _is(choice, said, text)]
    return same[0] if len(same) == 1 else None


def _last_letter(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The pattern's last match whose letter is no word: `a` is one unless the sentence ends there, and `A` before a
    word in small letters."""
    found = deque((mark for mark in pattern.finditer(text) if _is_letter(mark, text)), maxlen=1)
    return found[0] if found else None


def _is_letter(mark: re.Match[str], text: str) -> bool:
    letter, end = mark["letter"], mark.end("letter")
    if letter.islower():
        return _CLOSED.match(text, end) is not None
    return letter != "A" or _WORD_AFTER.match(text, end) is None


def match(
    gold: str, text: str, choices: Sequence[str] = (), rule: AnswerRule = "robust", question: str = ""
) -> tuple[str | None, Match]:
    """Read the letter by a rule, and judge it under strict, flexible, robust and, where it is the rule, paper."""
    read = {"strict": strict(text), "flexible": flexible(text), "robust": robust(text, choices, question)}
    found = Match(strict=read["strict"] == gold, flexible=read["flexible"] == gold, robust=read["robust"] == gold)
    if rule == "paper":
        read["paper"] = paper(text)
        found.paper = read["paper"] == gold
    return read[rule], found


def is_bare(line: str) -> bool:
    """Whether a line is a letter and nothing else."""
    return len(line) <= 100 and _BARE.fullmatch(line) is not None


def _is(choice: str, said: str | None, text: str) -> bool:
    if len(choice) > LINE_CAP or not choice.strip():
        return False
    wanted = answers.normal(choice)
    whole = text.strip()
    return (said is not None and answers.normal(said) == wanted) or (
        len(whole) <= LINE_CAP and answers.normal(whole) == wanted
    )
