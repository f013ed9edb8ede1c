r"""Where a text marks its answer, and what it says there.

    #### 18    \boxed{18}    The answer is 18.    **Answer:** 18    <answer>18</answer>    "answer": 18

The last mark counts; without one, the last number. `evals.reading.pieces` reads what stands behind a mark. Texts come
with plain signs (`numbers.with_plain_signs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from evals.reading import numbers, pieces
from evals.reading.pieces import DRESS, LINE_CAP, Reading

_ANSWER = re.compile(
    r"answer(?:[*_\"')\]]{0,4}[ \t]{0,3}[:=]|[ \t]{1,3}[*_]{0,2}(?P<says>is|(?:would|will|should|must)[ ]be"
    r"|becomes|equals|comes[ ](?:out[ ])?to|(?:to|for)[ \t](?:the|this|your)[ ](?:question|problem)[ ]is)\b[ \t]{0,3}:?"
    r"|(?P<head>[*_]{0,3}[ \t]*$))",
    re.IGNORECASE | re.MULTILINE,
)
_BOXED = re.compile(r"(?:\\f?boxed|\\fbox)\s{0,3}(?=[{0-9$-])", re.IGNORECASE)
_TAG = re.compile(r"<(?:final[_ ]?)?answer>|\[ANSWER\]", re.IGNORECASE)
_BACK = re.compile(r"\bis\s(?:the|my|our)\s(?:final\s|correct\s|right\s){0,2}\Z", re.IGNORECASE)
_KEYS = ("####", "boxed", "fbox", "nswer", "NSWER", "<ans>", "<result>", "<final>", "Ans:", "ANS:")
"""Every mark has one of these in it."""
_HEAD = re.compile(r"(?:^|\n)[ \t]*(?:\#{1,6}[ \t]*)?[*_]{0,3}(?:the )?(?:final )?\Z", re.IGNORECASE)
_ANSWER_LINE = re.compile(
    r"[\s*_>#-]{0,20}"
    r"(?:the[ \t]{1,3}(?:final[ \t]{1,3})?answer[ \t]{1,3}is\b|(?:final[ \t]{1,3})?answer[*_]{0,3}[ \t]{0,3}:"
    r"|<(?:final_?)?answer>)",
    re.IGNORECASE,
)
_BOXED_LINE = re.compile(r"[\s*_>$-]{0,20}(?:\\[(\[]\s{0,3})?\\f?boxed\s{0,3}(?=\{)")
_NUMBERED_HEADING = re.compile(r"[0-9]{1,2}[.)][ \t]+[^\W\d_]")
_SPACE = re.compile(r"(?:[\s*_$`]|\\\[|\\\()*")
_FIRST, _SECOND = re.compile(r"[\s*_]*1[.)]\s"), re.compile(r"\n\s*[*_]*2[.)]\s")
_BULLET = re.compile(r"\A[-\u2022][ ]+")
_ONLY_SPACE = re.compile(r"[\s*_]*")
_BEFORE = re.compile(r"[*_)$%\\\]} ]{0,9}(?:[^\W\d_]{1,20}[ ]){0,3}\Z")
_CLOSING = re.compile(r"</(?:final[_ ]?)?(?:answer|ans|result|final)>|\[/ANSWER\]", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_UNITS = re.compile(
    r"\b(dozen|hundred|thousand|million|billion|trillion|lakh|crore)s?\b|[0-9](k|K|M)\b", re.IGNORECASE
)  # fmt: skip
MARK_CAP = 50
"""This many marks are considered, counted from the end."""


def answer(text: str) -> str | None:
    """The answer that a text with plain signs gives; None if it gives none or refuses."""
    words: Reading | None = None
    for reading in islice(_readings(text), MARK_CAP):
        if reading is not None and reading.sure:
            return reading.answer
        words = words or reading
    return words.answer if words is not None else pieces.last_number(text)


def in_units(text: str, question: str) -> str | None:
    """The text with the words that the question counts by (`million`, `dozen`, `k`) made ordinary units; None if there
    are none, or the text does not have them."""
    asked = _units(question)
    if not asked:
        return None
    words = "|".join(f"[ -]?{word}s?" for word in asked)
    changed = re.sub(rf"(?<=[0-9])(?:{words})\b", " units", text, flags=re.IGNORECASE)
    return changed if changed != text else None


@lru_cache(maxsize=64)
def _units(question: str) -> list[str]:
    """The words that a question counts by. It is asked once for every wrong draw."""
    return sorted({found[1] or found[2] for found in _UNITS.finditer(question)})


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
    return boxed is not None and _braced(line, boxed.end())[1].strip(DRESS + "\\)]") == ""


def is_bare_marker(line: str) -> bool:
    """Whether a line is an `Answer:` with nothing after it, like a template's last line."""
    found = _ANSWER_LINE.match(line[:LINE_CAP])
    return found is not None and line[found.end() :].strip(DRESS) == ""


def is_bare_answer(line: str) -> bool:
    """Whether a line is a number and hardly anything else, as the line under a bare `Answer:` may be."""
    return "=" not in line and len(line.split()) <= 3 and numbers.number(line) is not None


def _begins_with_number(text: str) -> bool:
    rest = numbers.without_latex(text).lstrip(DRESS + "([{")
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


def _readings(text: str) -> Iterator[Reading | None]:
    """What each mark says, from the last one on. Marks are looked for by the word in them, from the end of the text,
    because most texts are decided by their last mark."""
    places = {key: text.rfind(key) for key in _KEYS}
    while True:
        key = max(_KEYS, key=places.__getitem__)
        at = places[key]
        if at < 0:
            return
        places[key] = text.rfind(key, 0, at)
        if key == "####":
            if text[at - 1 : at] != "#" and text[at + 4 : at + 5] != "#":
                yield _hashes(text, at)
        elif key in ("boxed", "fbox"):
            box = _BOXED.match(text, max(0, text.rfind("\\", max(0, at - 2), at)))
            if box:
                yield _boxed(text, box.end())
        elif key in ("<ans>", "<result>", "<final>"):
            yield _tagged(text, at + len(key))
        elif key in ("Ans:", "ANS:"):
            yield None if text[max(0, at - 1) : at].isalnum() else _behind(text, at + len(key), solved=True)
        else:
            yield _answer(text, at - 1)


def _hashes(text: str, at: int) -> Reading | None:
    line, below = _rest(text, at + 4)
    begins = text.rfind("\n", max(0, at - 20), at) + 1
    at_margin = (begins > 0 or at < 20) and not text[begins:at].strip()
    is_last = at_margin and (below < 0 or _ONLY_SPACE.fullmatch(text, below) is not None)
    return pieces.read(line) if is_last or _begins_with_number(line) else None


def _answer(text: str, at: int) -> Reading | None:
    """What the word `answer` at an offset marks, if anything."""
    tag = _TAG.search(text, max(0, at - 8), at + 8)
    if tag and tag.end() > at:
        return _tagged(text, tag.end())
    mark = None if at < 0 or text[max(0, at - 1) : at].isalnum() else _ANSWER.match(text, at)
    if mark is not None and (mark["head"] is None or _HEAD.search(text, max(0, at - 30), at)):
        return _behind(text, mark.end(), solved=mark["says"] is None)
    before = _BACK.search(text, max(0, at - 40), at) if at > 0 else None
    return _before(text, before.start()) if before and text[at + 6 : at + 7] != "s" else None


def _behind(text: str, at: int, solved: bool) -> Reading | None:
    """The answer behind `answer is`, on the same line or alone on the next one; `solved` as for `pieces.read`."""
    line, _ = _rest(text, at)
    if line.strip(DRESS):
        listed = _FIRST.match(line) and _SECOND.search(text, at, at + LINE_CAP)
        return None if listed else pieces.read(line, solved=solved)
    space = _SPACE.match(text, at)
    start = space.end() if space else len(text)
    line = _BULLET.sub("", text[start : start + LINE_CAP].partition("\n")[0])
    return pieces.read(line) if is_bare_answer(line) else None


def _rest(text: str, start: int) -> tuple[str, int]:
    """The rest of the line from an offset on, and where it ends (-1: with the text)."""
    end = text.find("\n", start)
    return text[start : min(end if end >= 0 else len(text), start + LINE_CAP)], end


def _boxed(text: str, start: int) -> Reading | None:
    r"""What is in a box; `\boxed 18` has no braces."""
    if text.startswith("{", start):
        return pieces.read(_braced(text, start)[0], whole=True)
    number = numbers.NUMBER.match(text, start)
    return Reading(numbers.shown(number)) if number else None


def _tagged(text: str, start: int) -> Reading | None:
    """What is in a tag: the whole of it, or the last number of a sentence."""
    inside = text[start : start + LINE_CAP]
    closing = _CLOSING.search(inside)
    inside = inside[: closing.start()] if closing else inside.partition("\n\n")[0]
    if numbers.number(inside) is None and len(_WORD.findall(inside)) > 3:
        number = pieces.last_number(inside)
        return Reading(number) if number is not None else None
    return pieces.read(inside, whole=True)


def _before(text: str, end: int) -> Reading | None:
    """The number before `is the answer`, with a unit of a few words between them."""
    begins = max(text.rfind("\n", 0, end) + 1, end - 80)
    piece = numbers.without_latex(text[begins:end])
    number = pieces.last_of(numbers.NUMBER, piece)
    if number is None or numbers.value(number) is None or not _BEFORE.match(piece.rstrip() + " ", number.end()):
        return None
    return Reading(numbers.shown(number))
