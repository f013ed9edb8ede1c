"""Math-Shepherd's format: a solution in one text, with a mark after every step.

    {"input": "If Buzz ... Step 1: The ratio is 5+8 = 13. \u043a\u0438\\nStep 2: ... The answer is: 52 \u043a\u0438",
     "label": "If Buzz ... Step 1: The ratio is 5+8 = 13. +\\nStep 2: ... The answer is: 52 -",
     "task": "GSM8K"}

`+` means that a rollout from there reached the answer, `-` that none did; how many there were is not known. After the
last step the mark is the outcome itself. The task is GSM8K or MATH (dataset card of peiyi9979/Math-Shepherd; Wang et
al., arXiv 2312.08935). Every solution becomes its own line, as the data have no problem ids.

A mark is what differs between the two texts, so a question may hold the mark's letters, or `Step 1:`. The published
file has rows that say `step 1:`, rows where only a question mark ends the question, and a few with a mark inside the
question (TRL's examples/datasets/math_shepherd.py lists them), which belongs to no step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evals.errors import DataError
from evals.reading import answers
from evals.records import Problem

TAG = "\u043a\u0438"
"""The mark, two Cyrillic letters."""
_FIRST = re.compile(r"[Ss](?:tep|TEP) 1:")
_SPACE = re.compile(r"\s*")
_VERDICT = re.compile(r"\s*([+-])")
_KEPT = re.compile(rf"\s*{TAG}\s*([+-])")
ADVICE = "A row is {input: question and steps with a mark after each, label: the same with + and -, task}."


def problem(row: Mapping[str, Any], identity: str) -> Problem:
    """A published row as the problem `identity` with one labelled path.

    The verdicts become labels that are `given` (not drawn). The step that states the answer keeps its label, because
    others who use these data train on it too.

    Raises:
        DataError: `field: what is wrong`.
    """
    for name in ("input", "label"):
        if not isinstance(row.get(name), str):
            raise DataError(f"{name}: must be a text", ADVICE)
    pieces, verdicts = _marked(row["input"], row["label"])
    question, steps, verdicts = _parts(pieces, verdicts)
    text = "\n".join(steps)
    labels = [{"k": 1, "draws": 0, "hits": 0, "settled": True, "given": verdict == "+"} for verdict in verdicts]
    path = {
        "id": f"{identity}#0", "text": text, "steps": steps, "split": "given", "labels": labels,
        "answer": answers.robust(text), "correct": verdicts[-1] == "+",
    }  # fmt: skip
    fields = {
        "id": identity, "task": "gsm8k" if row.get("task") == "GSM8K" else "math", "question": question,
        "paths": [path],
    }  # fmt: skip
    return Problem.from_row(fields)


def question_and_first(text: str, field: str) -> tuple[str, str]:
    """A question and the first step behind it: at the last `Step 1:`, else behind the only question mark.

    Raises:
        DataError: neither tells where the question ends, or one of the two is empty.
    """
    found = _first_steps(text)
    if found:
        at = found[-1]
    elif text.count("?") == 1:
        at = text.index("?") + 1
    else:
        raise DataError(f"{field}: neither `Step 1:` nor a single question mark says where the question ends")
    question, step = text[:at].strip(), text[at:].strip()
    if not question:
        raise DataError(f"{field}: the question is empty")
    if not step:
        raise DataError(f"{field}: the first step is empty")
    return question, step


def _first_steps(text: str) -> list[int]:
    """Where `Step 1:` stands in a text, at its beginning or behind white space."""
    found = (match.start() for match in _FIRST.finditer(text))
    return [at for at in found if not at or text[at - 1].isspace()]


def _marked(text: str, label: str) -> tuple[list[str], list[str]]:
    """The texts before each mark of `input`, and the + or - that stands in the mark's place in `label`."""
    if TAG not in text:
        raise DataError(f"input: no step is marked with {TAG!r}")
    rest = text.rpartition(TAG)[2]
    if rest.strip(" \n\t?"):
        raise DataError(f"input: text after the last mark: {rest.strip()[:40]!r}")
    pieces: list[str] = []
    verdicts: list[str] = []
    begun = there = 0
    for found in re.finditer(TAG, text):
        piece = text[begun : found.start()].strip()
        piece = piece.removeprefix("?").strip() if pieces else piece
        place = _after_space(label, there)
        if not label.startswith(piece, place):
            raise DataError(f"label: is not the text of input before mark {len(pieces)}")
        sign = _sign(label, place + len(piece), text, found.end())
        if sign is not None:
            pieces.append(piece)
            verdicts.append(sign[1])
            begun, there = found.end(), sign.end()
        elif not label.startswith(TAG, _after_space(label, place + len(piece))):
            raise DataError(f"label: no + or - after step {len(pieces)}")
        # else the letters belong to the text, which has them in both
    if label[there:].strip():
        raise DataError(f"label: text after the last step: {label[there:].strip()[:40]!r}")
    return pieces, verdicts


def _after_space(text: str, at: int) -> int:
    """Where the white space at a place ends."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _sign(label: str, at: int, text: str, after: int) -> re.Match[str] | None:
    """The verdict at a place of `label`, where the mark itself may have been kept before it.

    Args:
        text, after: `input`, and where the mark's letters end in it. Where a sign or another mark follows them there,
            they belong to the text.
    """
    plain = _VERDICT.match(label, at)
    if plain is not None:
        return plain
    kept = _KEPT.match(label, at)
    in_text = kept is not None and text.startswith((kept[1], TAG), _after_space(text, after))
    return None if in_text else kept


def _parts(pieces: list[str], verdicts: list[str]) -> tuple[str, list[str], list[str]]:
    """Question, steps and their verdicts. Marks before the piece that holds `Step 1:` stand in the question."""
    first = next((n for n, piece in enumerate(pieces) if _first_steps(piece)), 0)
    question, step = question_and_first(" ".join(pieces[: first + 1]), "input")
    steps = [step, *pieces[first + 1 :]]
    if not all(steps):
        raise DataError("input: a step is empty")
    return question, steps, verdicts[first:]
