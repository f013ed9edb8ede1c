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
from collections import deque
from typing import NamedTuple

from evals import thoughts
from evals.reading import numbers
from evals.records import Match
from evals.rules import AnswerRule

_QUESTION = re.compile(r"^[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?:Question|Q)[ \t]*:", re.MULTILINE)
_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_DIGITS = re.compile(r"-?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200})")
_PAPER = re.compile(r"The answer is (-?[0-9.,]+)")

_MARK = re.compile(
    r"(?P<hashes>^[ \t]*####(?!\#))|(?P<boxed>\\f?boxed\s{0,3}(?=\{))"
    r"|\banswer(?:[*_\"')]{0,4}[ \t]{0,3}[:=]|[ \t]{1,3}is\b[ \t]{0,3}:?)",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWER_LINE = re.compile(
    r"[\s*_>#-]{0,20}"
    r"(?:the[ \t]{1,3}(?:final[ \t]{1,3})?answer[ \t]{1,3}is\b|(?:final[ \t]{1,3})?answer[*_]{0,3}[ \t]{0,3}:)",
    re.IGNORECASE,
)
_BOXED_LINE = re.compile(r"[\s*_>$-]{0,20}(?:\\[(\[]\s{0,3})?\\f?boxed\s{0,3}(?=\{)")
_REFUSAL = re.compile(
    r"(?:none|null|unknown|undetermined|indeterminate|n/?a|nan|invalid|unclear|unanswerable|impossible)\b"
    r"|no[ ](?:answer|solution)\b|(?:not|cannot|can['\u2019]?t|could(?:n['\u2019]t|[ ]not))\b",
    re.IGNORECASE,
)
_DRESS = " \t\r\n*_`\"'\u201c\u201d$.,:;!?"
_GOES_ON = re.compile(
    r"[%)\]} ]*(?:[A-Za-z]{1,20}[ ]{1,3})?"
    r"(?:[-+*\u00d7\u00f7/^]|x(?=[ ]?[$0-9.])|\\times|\\div|\\cdot)[ ]*[($]*[0-9.][^=;?!]{0,200}="
)
_EQUALS = re.compile(r"[%)\]} ]*=")
_NUMBERED_HEADING = re.compile(r"[0-9]{1,2}[.)][ \t]+[^\W\d_]")
_SPACE = re.compile(r"[\s*_]*")
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)")
_COMMAND = re.compile(r"\\[A-Za-z]|sqrt|\^", re.IGNORECASE)
_BESIDE = re.compile(r"\\[A-Za-z]|\^|[xyzn\u03c0](?![^\W\d_])|\u221a", re.IGNORECASE)


class _Reading(NamedTuple):
    """What follows a marker: an answer, or None for a refusal. Plain words are not `sure`: "I hope the answer is clear"
    must not hide the number after an earlier marker."""

    answer: str | None
    sure: bool = True


LINE_CAP = 2000
"""An answer is searched for in this many characters of a line."""
WORD_CAP = 6
"""An answer that is not a number has at most this many words; more make a sentence."""
MARK_CAP = 50
"""This many markers are considered, counted from the end."""


def cut(text: str) -> str:
    """The text before the first line that begins a new question (`Question:`, `Q:`, `### Question:`); one that is
    repeated in a thought is not new."""
    found = _QUESTION.search(text, thoughts.after(text))
    return text[: found.start()] if found else text


def strict(text: str) -> str | None:
    """The first `#### N`, commas removed; None if there is none."""
    found = _STRICT.search(cut(text))
    return found[1].replace(",", "") if found else None


def flexible(text: str) -> str | None:
    """The last number-like string, without `,`, `$` and one trailing `.`; None if there is none."""
    last = _last(_FLEXIBLE, cut(text))
    return _harness_clean(last.group()) if last else None


def paper(text: str) -> str | None:
    """The number behind the first "The answer is", commas and closing points removed; None where none stands there."""
    found = _PAPER.search(thoughts.outside(cut(text)))
    number = found[1].replace(",", "").rstrip(".") if found else ""
    return number if _float(number) is not None else None


def robust(text: str) -> str | None:
    """The answer a careful reader takes from the text; None if it gives none or refuses.

    A number is returned in its shortest form (`$1,234.50` as `1234.5`), anything else as written, without the
    punctuation and markup around it.
    """
    text = numbers.with_plain_signs(thoughts.outside(cut(text)))
    words: _Reading | None = None
    for mark in reversed(deque(_MARK.finditer(text), maxlen=MARK_CAP)):
        reading = _after(text, mark)
        if reading is not None and reading.sure:
            return reading.answer
        words = words or reading
    if words is not None:
        return words.answer
    last = _last(numbers.NUMBER, text)
    return numbers.shown(last) if last else None


def normal(answer: str) -> str:
    """The form in which two equal answers are the same string: a rational as `p/q`, else folded text."""
    number = numbers.number(answer)
    if number is not None:
        return str(number)
    folded = " ".join(numbers.without_latex(answer).casefold().strip(_DRESS).split())
    return folded.replace(" ", "") if any(sign in folded for sign in "\\^(){}[]=") else folded


def same(a: str, b: str) -> bool:
    """Whether two answers are equal, as exact rationals if both are numbers, else as folded text."""
    return normal(a) == normal(b)


def match(gold: str, text: str, rule: AnswerRule = "robust") -> tuple[str | None, Match]:
    """Read a path's answer by a rule, and judge it under strict, flexible, robust and, where it is the rule, paper.

    Args:
        gold: the right answer, or a gold solution that ends in `#### N`.
        text: the whole completion.
        rule: by which the returned answer is read.
    """
    bare = gold.rpartition("#### ")[2]
    clean = _harness_clean(bare.strip())
    read = {"strict": strict(text), "flexible": flexible(text), "robust": robust(text)}
    found = Match(
        strict=read["strict"] is not None and _harness_clean(read["strict"]) == clean,
        flexible=read["flexible"] == clean,
        robust=read["robust"] is not None and same(bare, read["robust"]),
    )
    if rule == "paper":
        read["paper"] = paper(text)
        found.paper = read["paper"] is not None and float(read["paper"]) == paper_number(bare)
    return read[rule], found


def paper_number(gold: str) -> float | None:
    """A right answer as the float that the paper's rule compares with; None where it is no plain number."""
    return _float(gold.rpartition("#### ")[2].strip().replace(",", ""))


def ends_steps(line: str, is_last: bool) -> bool:
    """Whether a line states the answer and so is not a step.

    Args:
        line: one line of the text.
        is_last: only blank lines follow. Decides about `#### words`, which is a heading elsewhere.
    """
    line = line[:LINE_CAP]
    if _ANSWER_LINE.match(line):
        return True
    rest = line.strip()
    if rest.startswith("####") and not rest.startswith("#####"):
        return is_last or _begins_with_number(rest[4:])
    boxed = _BOXED_LINE.match(line)
    return boxed is not None and _braced(line, boxed.end())[1].strip(_DRESS + "\\)]") == ""


def is_bare_marker(line: str) -> bool:
    """Whether a line is an `Answer:` with nothing after it, like a template's last line."""
    found = _ANSWER_LINE.match(line[:LINE_CAP])
    return found is not None and line[found.end() :].strip(_DRESS) == ""


def is_bare_answer(line: str) -> bool:
    """Whether a line is a number and hardly anything else, as the line under a bare `Answer:` may be."""
    return "=" not in line and len(line.split()) <= 3 and numbers.number(line) is not None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


def _float(text: str) -> float | None:
    """A number written in digits as a float; not "nan", "inf", "1_0" or what is too large for one."""
    value = float(text) if _DIGITS.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _harness_clean(answer: str) -> str:
    return answer.replace(",", "").replace("$", "").removesuffix(".")


def _begins_with_number(text: str) -> bool:
    rest = numbers.without_latex(text).lstrip(_DRESS + "([{")
    if _NUMBERED_HEADING.match(rest):
        return False
    return rest[:1].isdigit() or rest[:2].lstrip("-").isdigit() or rest.startswith("\\boxed")


def _braced(text: str, start: int) -> tuple[str, str]:
    """The text in the braces that open at `start`, and the text after them; unclosed braces end with their line."""
    depth = 0
    for i in range(start, min(len(text), start + LINE_CAP)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start + 1 : i], text[i + 1 : i + LINE_CAP]
    return text[start + 1 : start + LINE_CAP].partition("\n")[0], ""


def _after(text: str, mark: re.Match[str]) -> _Reading | None:
    """The answer after a marker; None if it marks none."""
    if mark["boxed"]:
        return _read(_braced(text, mark.end())[0], whole=True)
    end = text.find("\n", mark.end())
    line = text[mark.end() : end if end >= 0 else len(text)][:LINE_CAP]
    if mark["hashes"]:
        is_last = end < 0 or _SPACE.fullmatch(text, end) is not None
        return _read(line) if is_last or _begins_with_number(line) else None
    if line.strip(_DRESS):
        return _read(line)
    below = _SPACE.match(text, mark.end())
    start = below.end() if below else len(text)
    line = text[start : start + LINE_CAP].partition("\n")[0]
    return _read(line) if is_bare_answer(line) else None


def _read(line: str, whole: bool = False) -> _Reading | None:
    """Read the answer at the start of a marked piece of text; `whole`: the piece is nothing but the answer."""
    line = _undressed(numbers.without_latex(line))
    number = numbers.NUMBER.search(line)
    refused = _REFUSAL.match(line.lstrip("[("))
    if number is None:
        words = line if whole else _SENTENCE_END.split(line, maxsplit=1)[0].strip(_DRESS)
        if refused:
            return _Reading(None)
        return _Reading(words, sure=whole) if words and len(words.split()) <= WORD_CAP else None
    if refused:
        return None if line.casefold().startswith("not ") else _Reading(None)
    return _read_number(line, number, whole)


def _undressed(text: str) -> str:
    """The text without punctuation and markup at its ends; the point of `.5` is kept."""
    bare = text.strip(_DRESS)
    before = text[: len(text) - len(text.lstrip(_DRESS))]
    return f".{bare}" if bare[:1].isdigit() and before.endswith(".") and not before.endswith("..") else bare


def _is_worked(number: re.Match[str]) -> bool:
    return bool(number["over"] or number["power"])


def _read_number(line: str, number: re.Match[str], whole: bool) -> _Reading:
    start = number.start()
    # `5 + 3 = 8` after a marker means 8; `18 = 6*3` means 18.
    while jump := _EQUALS.match(line, number.end()) if _is_worked(number) else _GOES_ON.match(line, number.end()):
        further = numbers.NUMBER.search(line, jump.end())
        if further is None:
            break
        number = further
    alone = not (_COMMAND.search(line, 0, start) or _BESIDE.match(line, number.end()))
    if whole and "=" not in line:
        alone = numbers.number(line) is not None
    if alone and numbers.value(number) is not None:
        return _Reading(numbers.shown(number))
    return _Reading(_SENTENCE_END.split(line, maxsplit=1)[0].strip(_DRESS))
