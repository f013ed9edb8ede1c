"""The four ways an answer is read from a text and compared with the gold one.

    strict    `#### 18`, the first one; string equality without `,` and a closing `.` (lm-evaluation-harness's
              strict-match; the data set's authors keep the `.`)
    flexible  the last thing that looks like a number; string equality (lm-evaluation-harness's flexible-extract)
    robust    the last of `####`, `\\boxed{}`, "answer is", "answer:", else the last number; exact rationals
    paper     the number behind the first "The answer is"; float equality (arXiv 2412.08393)

    >>> robust("6*3=18\\nThe answer is **$18.00**.")
    '18'
    >>> same("18.0 apples", "18")
    True

Robust decides labels and rewards unless another rule is asked for; strict and flexible are kept because published
figures use them, paper only where it decides. All read the text only up to the first new question that the model wrote
itself (`cut`); robust and paper read nothing between `<think>` and `</think>`, as no answer stands there.
"""

from __future__ import annotations

import math
import re

from evals import thoughts
from evals.reading import latex, marks, numbers, pieces, turns
from evals.records import Match
from evals.rules import AnswerRule

_QUESTION = re.compile(r"^[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?:Question|Q)[ \t]*:", re.MULTILINE)
_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_DIGITS = re.compile(r"-?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200})")
_INTEGER = re.compile(r"-?[1-9][0-9]{0,30}")
_PAPER = re.compile(r"The answer is (-?[0-9.,]+)")


def cut(text: str) -> str:
    """The text before the first line that begins a new question (`Question:`, `Q:`, `### Question:`); one that is
    repeated in a thought is not new."""
    found = _QUESTION.search(text, thoughts.after(text)) if "Q" in text else None
    return text[: found.start()] if found else text


def strict(text: str) -> str | None:
    """The first `#### N`, commas removed; None if there is none."""
    found = _STRICT.search(cut(text))
    return found[1].replace(",", "") if found else None


def flexible(text: str) -> str | None:
    """The last number-like string, without `,`, `$` and one trailing `.`; None if there is none."""
    last = pieces.last_of(_FLEXIBLE, cut(text))
    return _harness_clean(last.group()) if last else None


def paper(text: str) -> str | None:
    """The number behind the first "The answer is", commas and closing points removed; None where none stands there."""
    found = _PAPER.search(thoughts.outside(cut(text)))
    number = found[1].replace(",", "").rstrip(".") if found else ""
    return number if _float(number) is not None else None


def robust(text: str, question: str = "") -> str | None:
    """The answer a careful reader takes from the text; None if it gives none or refuses.

    A number is returned in its shortest form (`$1,234.50` as `1234.5`), anything else as written, without the
    punctuation and markup around it.

    Args:
        question: the problem's, if it is known: a prompt that the text repeats is then recognised by it.
    """
    return marks.answer(_own(text, question))


def normal(answer: str) -> str:
    """The form in which two equal answers are the same string: a rational as `p/q`, else folded text."""
    if _INTEGER.fullmatch(answer):
        return answer
    number = numbers.number(answer)
    if number is not None:
        return str(number)
    bare = numbers.without_latex(answer).casefold().strip(pieces.DRESS)
    folded = " ".join(bare.split()) + ("!" if pieces.FACTORIAL.search(answer) else "")
    if not any(sign in folded for sign in "\\^(){}[]="):
        return folded
    return latex.canonical(folded.replace(" ", ""))


def same(a: str, b: str) -> bool:
    """Whether two answers are equal, as exact rationals if both are numbers, else as folded text."""
    return normal(a) == normal(b)


def match(gold: str, text: str, rule: AnswerRule = "robust", question: str = "") -> tuple[str | None, Match]:
    """Read a path's answer by a rule, and judge it under strict, flexible, robust and, where it is the rule, paper.

    Args:
        gold: the right answer, or a gold solution that ends in `#### N`.
        text: the whole completion.
        rule: by which the returned answer is read.
        question: as for `robust`.
    """
    bare = gold.rpartition("#### ")[2]
    clean = _harness_clean(bare.strip())
    own = _own(text, question)
    read = {"strict": strict(text), "flexible": flexible(text), "robust": marks.answer(own)}
    found = Match(
        strict=read["strict"] is not None and _harness_clean(read["strict"]) == clean,
        flexible=read["flexible"] == clean,
        robust=read["robust"] is not None and same(bare, read["robust"]),
    )
    if rule == "paper":
        read["paper"] = paper(text)
        found.paper = read["paper"] is not None and float(read["paper"]) == paper_number(bare)
    if not found.robust and (counted := marks.in_units(own, question)):
        # where the question counts in millions, `4 million` is right if the gold answer is 4 (or 4000000)
        other = marks.answer(counted)
        if other is not None and same(bare, other):
            found.robust, read["robust"] = True, other
    return read[rule], found


def _own(text: str, question: str) -> str:
    """What is read under the robust rule: the reply without thoughts, with plain signs."""
    return numbers.with_plain_signs(thoughts.outside(turns.reply(text, question)))


def paper_number(gold: str) -> float | None:
    """A right answer as the float that the paper's rule compares with; None where it is no plain number."""
    return _float(gold.rpartition("#### ")[2].strip().replace(",", ""))


def _float(text: str) -> float | None:
    """A number written in digits as a float; not "nan", "inf", "1_0" or what is too large for one."""
    value = float(text) if _DIGITS.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _harness_clean(answer: str) -> str:
    return answer.replace(",", "").replace("$", "").removesuffix(".")
