"""What a piece of text behind a mark says: a number with its unit, an expression, words, or nothing.

"18 dollars a day"                      18
"After 3 days she has 12 apples"        12
"5+3=8"                                 8
"12 or 13", "5 to 10", "(3, 4)"         as written: these are not the number that they begin with

"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from evals.reading import numbers

_REFUSAL = re.compile(
    r"(?:none|null|unknown|undetermined|indeterminate|n/?a|nan|invalid|unclear|unanswerable|impossible)\b"
    r"|no[ ](?:answer|solution)\b|(?:not|cannot|can['\u2019]?t|could(?:n['\u2019]t|[ ]not))\b",
    re.IGNORECASE,
)
DRESS = " \t\r\n*_`\"'\u201c\u201d$.,:;!?"
"""Punctuation and markup that may stand around an answer."""
_GOES_ON = re.compile(
    r"[%)\]} ]*(?:[A-Za-z]{1,20}[ ]{1,3})?"
    r"(?:[-+*\u00d7\u00f7/^]|x(?=[ ]?[$0-9.])|\\times|\\div|\\cdot)[ ]*[($]*[0-9.][^=;?!]{0,200}="
)
_EQUALS = re.compile(r"[%)\]} ]*=")
_SENTENCE_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bNo)[.!?;](?=\s|$)")
_COMMAND = re.compile(
    r"\\(?!approx|text)[A-Za-z]|sqrt|(?<![A-Za-z]{2})\^|[\u221a\u00b1]|(?:[<>\u2264\u2265][=]?|\bbetween)[ ]?[$]?\Z",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    r"\\[A-Za-z]|[ ]\\(?:pi|sqrt|theta|alpha|pm|le|ge|lt|gt)(?![a-z])|\^|[xyzn](?![^\W\d_])|[ ]?[\u03c0\u221a]"
    r"|[ ]?[<>\u2264\u2265]|[ ][xyz](?=[ ]?(?:[.,;)]|$))"
    r"|[,'_.:][0-9]|[ ]?[-+*/\u00d7\u00f7\u00b1][ ]?[($]*[0-9]|[ ](?:to|through)[ ][$]?[0-9]",
    re.IGNORECASE,
)
_INTERVAL = re.compile(r"[ ]*,[ ]*[-$\\]?[0-9a-z]")
_TAG = re.compile(r"</?(?:b|strong|i|em|u|p|span|code|br|sub|sup)(?:\s[^<>\n]{0,80})?/?>", re.IGNORECASE)
_UNIT = r"(?P<{}>(?:[%\u00b0]|[ ][^\W\d_]+){{0,3}}?)"
_OTHER = re.compile(
    _UNIT.format("first") + r"[$]?(?P<comma>,?)[ ](?P<word>or|and|&)[ ](?:(?:maybe|perhaps|possibly|even)[ ])?"
    r"(?:[$]?[a-z][ ]?=[ ]?)?(?=[-$0-9.])",
    re.IGNORECASE,
)
_OTHER_UNIT = re.compile(_UNIT.format("second").replace("}?)", "})") + r"(?P<ends>[ ]?(?:[.,;:!?)*]|$))")
_LISTED = re.compile(
    r"(?:,[ ](?:[a-z][ ]?=[ ]?)?[-$]?[0-9][0-9.]{0,20}){1,20}(?:,?[ ](?:and|or)[ ][-$]?[0-9][0-9.]{0,20})?[ ]?[.;)]?$"
)
_OPENING = re.compile(
    r"[\s*_]*(?:that[ ])?(?:after|before|in|within|during|over|for|with|if|when|since|because|at|on|by|of|out[ ]of|from"
    r"|every|given|once|day|week|month|year)[ ](?:[^\W\d_]{1,20}[ ]){0,2}[$]?\Z",
    re.IGNORECASE,
)
_CONNECTED = re.compile(r"\b(?:and|of|or|per|by|times|x|each|with)[ ][$]?\Z", re.IGNORECASE)
_LATER = re.compile(
    r"[ ](?:minute|hour|day|week|month|year)s?[ ]later,?[ ](?:he|she|they|it|there|we|the)\b", re.IGNORECASE
)
_RESULT = re.compile(r"\b(?:which|that)[ ](?:is|equals|makes|gives|comes[ ]to)[ ][($]*(?=[-$0-9.])", re.IGNORECASE)
_SO = re.compile(
    r"\b(?:so|thus|hence|therefore|making|totaling)[ ](?:[^0-9.;]{0,30}[ ])?[($]*(?=[-$0-9.])", re.IGNORECASE
)
_CONCLUDES = re.compile(r"=|\b(?:so|therefore|thus|hence|total|altogether|finally|answer)\b", re.IGNORECASE)
_LAST_EQUALS = re.compile(r"=[ *_]{0,9}(?=[^=]{0,500}\Z)")
_REASON = re.compile(r"\b(?:because|since)\b|, as\b", re.IGNORECASE)
_SPACED_MINUS = re.compile(r"\A[\s*_$:]*-[ ](?=[$]?[ ]?[0-9.])")
_ALGEBRA_AFTER = re.compile(r"[ ]?(?:\\(?:pi|sqrt)(?![a-z])|\u03c0|\u221a)")
FACTORIAL = re.compile(r"[0-9]![\s$]{0,9}\Z")
WORD_CAP = 6
"""An answer that is not a number has at most this many words; more make a sentence."""
LINE_CAP = 2000
"""An answer is searched for in this many characters of a line."""


class Reading(NamedTuple):
    """What a mark says: an answer, or None for a refusal. Plain words are not `sure`: "I hope the answer is clear"
    must not hide the number after an earlier mark."""

    answer: str | None
    sure: bool = True


def read(line: str, whole: bool = False, solved: bool = False) -> Reading | None:
    """The answer at the start of a piece of text; None if it says none.

    Args:
        whole: the piece is nothing but the answer.
        solved: the piece may be a whole solution of several sentences, as `Answer:` may begin one.
    """
    if whole and FACTORIAL.search(line):
        return Reading(line.strip(" \n$"))
    line = _TAG.sub("", line) if "<" in line else line
    line = _undressed(_SPACED_MINUS.sub("-", numbers.without_latex(line), count=1))
    if line.isascii() and line.isdigit() and len(line) <= numbers.MAX_DIGITS:  # as most answers are
        return Reading(str(int(line)))
    number = numbers.NUMBER.search(line)
    if _REFUSAL.match(line.lstrip("[(")):
        return None if number and line.casefold().startswith("not ") else Reading(None)
    if number is None:
        words = line if whole else _sentence(line)
        return Reading(words, sure=whole) if words and len(words.split()) <= WORD_CAP else None
    return _whole(line, number) if whole else _stated(line, number, solved)


def _stated(line: str, number: re.Match[str], solved: bool) -> Reading:
    """The answer of a piece that begins with a number, or whose sentence has one."""
    later = numbers.NUMBER.search(line, number.end()) if _LATER.match(line, number.end()) else None
    if later is not None:
        number = later
    prose = bool(line[: number.start()].strip(DRESS + "([{"))
    worked = _is_worked(number) or _GOES_ON.match(line, number.end())
    if solved and (prose or worked) and (concluded := _concluded(line)) is not None:
        return Reading(concluded)
    if prose and later is None:
        number = _said(line, number, solved)
    return _number_at(line, number)


def last_number(text: str) -> str | None:
    """The last number of a text with plain signs; None if there is none."""
    for raw in lines_from_end(text):
        line = numbers.without_latex(raw)
        found = deque(numbers.NUMBER.finditer(line), maxlen=1)
        if found:
            beside = _ALGEBRA_AFTER.match(line, found[0].end())
            return numbers.shown(found[0]) if beside is None else _sentence(line[found[0].start() :])
    return None


def last_of(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of a pattern that never matches across a line break."""
    for line in lines_from_end(text):
        found = deque(pattern.finditer(line), maxlen=1)
        if found:
            return found[0]
    return None


def lines_from_end(text: str) -> Iterator[str]:
    """The lines of a text that hold something, the last one first."""
    end = len(text)
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        if start < end:
            yield text[start:end]
        end = start - 1


def _sentence(text: str) -> str:
    return _SENTENCE_END.split(text, maxsplit=1)[0].strip(DRESS)


def _undressed(text: str) -> str:
    """The text without punctuation and markup at its ends; the point of `.5` is kept, and the sign of an amount."""
    bare = text.strip(DRESS)
    before = text[: len(text) - len(text.lstrip(DRESS))]
    if bare[:1].isdigit() and before.endswith("$") and "$" not in text[len(before) :]:
        return f"${bare}"
    return f".{bare}" if bare[:1].isdigit() and before.endswith(".") and not before.endswith("..") else bare


def _whole(line: str, number: re.Match[str]) -> Reading:
    """A piece that is nothing but the answer: its one number, the result of its equation, or all of it."""
    value = numbers.number(line)
    if value is not None:
        return Reading(numbers.shown(number))
    return _number_at(line, number) if "=" in line else Reading(_sentence(line))


def _concluded(line: str) -> str | None:
    """The result of a solution in several sentences; None if it is one sentence, or the later ones conclude nothing."""
    _, *later = _SENTENCE_END.split(line)
    sentences = [sentence for sentence in later if numbers.NUMBER.search(sentence)]
    if not any(_CONCLUDES.search(sentence) for sentence in sentences):
        return None
    last = _REASON.split(sentences[-1], maxsplit=1)[0]
    number = numbers.NUMBER.search(last, last.rfind("=") + 1)
    return numbers.shown(number) if "=" in last and number else last_number(last) or last_number(sentences[-1])


def _said(line: str, first: re.Match[str], solved: bool) -> re.Match[str]:
    """The number that a sentence is about: the result of its equation, or not that of the circumstance it opens with
    (`After 3 days ...`)."""
    ends = _SENTENCE_END.search(line)
    sentence = line[: ends.start()] if ends else line
    equals = _LAST_EQUALS.search(_REASON.split(sentence, maxsplit=1)[0])
    equal = numbers.NUMBER.match(line, equals.end()) if equals else None
    if equal and not _BESIDE.match(line, equal.end()):
        return equal
    result = _RESULT.search(sentence) or (_SO.search(sentence) if solved else None)
    further = numbers.NUMBER.match(line, result.end()) if result else None
    if further is None and _OPENING.match(sentence[: first.start()]) and not _GOES_ON.match(line, first.end()):
        comma = sentence.find(", ", first.end())
        further = numbers.NUMBER.search(sentence, comma) if comma >= 0 else None
        further = further or numbers.NUMBER.search(sentence, first.end())
        while further and _CONNECTED.search(sentence, 0, further.start()):  # `with 3 rows and 4 columns there are 12`
            later = numbers.NUMBER.search(sentence, further.end())
            if later is None:
                break
            further = later
    return further or first


def _number_at(line: str, number: re.Match[str]) -> Reading:
    start = number.start()
    # `5 + 3 = 8` after a mark means 8; `18 = 6*3` means 18.
    while jump := _EQUALS.match(line, number.end()) if _is_worked(number) else _GOES_ON.match(line, number.end()):
        further = numbers.NUMBER.search(line, jump.end())
        if further is None:
            break
        number = further
    opens = line[:start].rstrip()[-1:] in ("(", "[") and _INTERVAL.match(line, number.end())
    beside = opens or _BESIDE.match(line, number.end()) or _several(line, number)
    alone = not (_COMMAND.search(line, 0, start) or beside)
    if alone and numbers.value(number) is not None:
        return Reading(numbers.shown(number))
    return Reading(_sentence(line))


def _is_worked(number: re.Match[str]) -> bool:
    return bool(number["over"] or number["power"])


def _several(line: str, number: re.Match[str]) -> bool:
    """Whether another answer stands beside a number: `12 or 13`, `4 red and 6 blue`, `3, 5 and 7`. The same amount in
    another unit is not another answer: `90 minutes, or 1.5 hours`."""
    if _LISTED.match(line, number.end()):
        return True
    other = _OTHER.match(line, number.end())
    further = numbers.NUMBER.match(line, other.end()) if other else None
    if other is None or further is None:
        return False
    after = _OTHER_UNIT.match(line, further.end())
    a, b = numbers.value(number), numbers.value(further)
    if a is None or b is None or a == b:
        return False
    first, second = other["first"].strip().casefold(), after["second"].strip().casefold() if after else ""
    if other["word"].casefold() == "and":
        return after is not None
    if (second.startswith("%") and b == 100 * a) or (first.startswith("%") and a == 100 * b):
        return False
    return not (second and (first or other["comma"]) and first != second) and bool(number["money"]) == bool(
        further["money"]
    )
