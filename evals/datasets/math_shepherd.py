"""Math-Shepherd's format: a solution in one text, with a mark after every step.

    {"input": "If Buzz ... Step 1: The ratio is 5+8 = 13. \u043a\u0438\\nStep 2: ... The answer is: 52 \u043a\u0438",
     "label": "If Buzz ... Step 1: The ratio is 5+8 = 13. +\\nStep 2: ... The answer is: 52 -",
     "task": "GSM8K"}

`+` means that a rollout from there reached the answer, `-` that none did; how many there were is not known. After the
last step the mark is the outcome itself. The task is GSM8K or MATH (dataset card of peiyi9979/Math-Shepherd; Wang et
al., arXiv 2312.08935). Every solution becomes its own line, as the data have no problem ids.
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
_FIRST = re.compile(r"(?:^|(?<=\s))Step 1:")
_VERDICT = re.compile(r"\s*([+-])\s*")
ADVICE = "A row is {input: question and steps with a mark after each, label: the same with + and -, task}."


def problem(row: Mapping[str, Any], n: int) -> Problem:
    """A published row, the n-th of its file, as the problem `math-shepherd/<n>` with one labelled path.

    The verdicts become labels that are `given` (not drawn). The step that states the answer keeps its label, because
    others who use these data train on it too.

    Raises:
        DataError: `field: what is wrong`.
    """
    for name in ("input", "label", "task"):
        if not isinstance(row.get(name), str):
            raise DataError(f"{name}: must be a text", ADVICE)
    question, pieces = _parts(row["input"])
    verdicts = _verdicts(row["label"], pieces)
    steps = [piece.strip() for piece in pieces]
    identity = f"math-shepherd/{n}"
    text = "\n".join(steps)
    labels = [{"k": 1, "draws": 0, "hits": 0, "settled": True, "given": verdict == "+"} for verdict in verdicts]
    path = {
        "id": f"{identity}#0", "text": text, "steps": steps, "split": "given", "labels": labels,
        "answer": answers.robust(text), "correct": verdicts[-1] == "+",
    }  # fmt: skip
    fields = {
        "id": identity, "task": "gsm8k" if row["task"] == "GSM8K" else "math", "question": question, "paths": [path],
    }  # fmt: skip
    return Problem.from_row(fields)


def _parts(text: str) -> tuple[str, list[str]]:
    """The question, and the steps exactly as they are between the marks (with the white space around them)."""
    if TAG not in text:
        raise DataError(f"input: no step is marked with {TAG!r}")
    first = _FIRST.search(text)
    if first is None:
        raise DataError("input: no `Step 1:`, so question and solution cannot be told apart")
    question = text[: first.start()].strip()
    *pieces, rest = text[first.start() :].split(TAG)
    if not question:
        raise DataError("input: the question is empty")
    if rest.strip(" \n\t?"):
        raise DataError(f"input: text after the last mark: {rest.strip()[:40]!r}")
    steps = [piece.strip().removeprefix("?").strip() for piece in pieces]
    if not all(steps):
        raise DataError("input: a step is empty")
    return question, steps


def _verdicts(label: str, steps: list[str]) -> list[str]:
    """The + or - after each step, found by going through the steps in order."""
    at = label.find(steps[0])
    if at < 0:
        raise DataError("label: is not the text of input")
    bare = label.replace(TAG, " " * len(TAG))
    verdicts = []
    for j, step in enumerate(steps):
        if not label.startswith(step, at):
            raise DataError(f"label: step {j} is not that of input")
        at += len(step)
        found = _VERDICT.match(bare, at)
        if found is None:
            raise DataError(f"label: no + or - after step {j}")
        verdicts.append(found[1])
        at = found.end()
    if label[at:].strip():
        raise DataError(f"label: text after the last step: {label[at:].strip()[:40]!r}")
    return verdicts
