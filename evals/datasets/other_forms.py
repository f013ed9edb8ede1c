"""Lines in the forms that other tools read: the reverse of `step_labels`, `pairs` and `demonstrations`.

    step_row("openr", question="3 bags of 4?", steps=["3*4=12"], labels=[True])
    # {"question": "3 bags of 4?", "process": "Step 1: 3*4=12 \u043a\u0438", "label": ["+"]}

TRL: docs/source/dataset_formats.md. OpenRLHF: openrlhf/datasets/. ms-swift: docs/source_en/Customization/
Custom-dataset.md. The others: `evals.datasets.step_labels`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from evals.datasets.math_shepherd import TAG
from evals.datasets.messages import Message

StepForm = Literal["trl", "openrlhf", "math-shepherd", "openr", "rlhflow", "prm800k"]
TextForm = Literal["trl", "openrlhf", "ms-swift"]
Label = bool | float | None
SHARES: tuple[StepForm, ...] = ("trl", "openrlhf")
"""The forms of step labels that hold shares; the others know right and wrong."""
UNKNOWN: tuple[StepForm, ...] = ("trl", "prm800k")
"""The forms that hold steps without a label."""
_NUMBERED = re.compile(r"\s*Step 1:", re.IGNORECASE)


def step_fault(form: StepForm, question: str, steps: Sequence[str]) -> str | None:
    """Why a path cannot be written in a form, in words; None if it can."""
    if form in ("trl", "prm800k"):
        return None
    if any(step != step.strip() for step in steps):
        return "a step begins or ends with white space"
    if form in ("openr", "openrlhf") and any(TAG in text for text in (question, *steps)):
        return f"holds the letters of the mark, {TAG}"
    return None


def step_row(
    form: StepForm, question: str, steps: Sequence[str], labels: Sequence[Label], **more: Any
) -> dict[str, Any]:
    """A labelled path in a form; steps get the numbers that the form wants, if they have none.

    Args:
        labels: one per step, each known unless the form is one of `UNKNOWN`; true or false unless it is one of
            `SHARES`.
        more: for "trl" the prompt and the id; for "prm800k" the answer and whether the path is correct.
    """
    return _STEP_ROWS[form](question, list(steps), list(labels), more)


def _trl(_: str, steps: list[str], labels: list[Label], more: Mapping[str, Any]) -> dict[str, Any]:
    return {"prompt": more["prompt"], "completions": steps, "labels": labels, "id": more["id"]}


def _signs(labels: Sequence[Label]) -> list[str]:
    return ["+" if label else "-" for label in labels]


def _numbered(steps: list[str]) -> list[str]:
    if _NUMBERED.match(steps[0]):
        return steps
    return [f"Step {n}: {step}" for n, step in enumerate(steps, 1)]


def _marked(steps: list[str], marks: Sequence[str]) -> str:
    return "\n".join(f"{step} {mark}" for step, mark in zip(_numbered(steps), marks, strict=True))


def _openrlhf(question: str, steps: list[str], labels: list[Label], _: Mapping[str, Any]) -> dict[str, Any]:
    hard = all(isinstance(label, bool) for label in labels)
    return {"input": f"{question} {_marked(steps, [TAG] * len(steps))}", "value": _signs(labels) if hard else labels}


def _math_shepherd(question: str, steps: list[str], labels: list[Label], more: Mapping[str, Any]) -> dict[str, Any]:
    marked = [_marked(steps, marks) for marks in ([TAG] * len(steps), _signs(labels))]
    task = "GSM8K" if more["task"] == "gsm8k" else "MATH"
    return {"input": f"{question} {marked[0]}", "label": f"{question} {marked[1]}", "task": task}


def _openr(question: str, steps: list[str], labels: list[Label], _: Mapping[str, Any]) -> dict[str, Any]:
    return {"question": question, "process": _marked(steps, [TAG] * len(steps)), "label": _signs(labels)}


def _rlhflow(question: str, steps: list[str], labels: list[Label], _: Mapping[str, Any]) -> dict[str, Any]:
    first, *others = _numbered(steps)
    asked = [f"{question} {first}", *others]
    turns = zip(asked, _signs(labels), strict=True)
    return {"conversations": [part for step, sign in turns for part in (_said("user", step), _said("assistant", sign))]}


def _prm800k(question: str, steps: list[str], labels: list[Label], more: Mapping[str, Any]) -> dict[str, Any]:
    def step(text: str, label: Label) -> dict[str, Any]:
        rating = 0 if label is None else 1 if label else -1
        completion = {"text": text, "rating": rating, "flagged": None}
        return {"completions": [completion], "human_completion": None, "chosen_completion": 0}

    ended = "solution" if more["correct"] else "found_error" if False in labels else "give_up"
    return {
        "question": {"problem": question, "ground_truth_answer": more["answer"]},
        "label": {"steps": [step(*both) for both in zip(steps, labels, strict=True)], "finish_reason": ended},
    }


_STEP_ROWS: dict[str, Callable[[str, list[str], list[Label], Mapping[str, Any]], dict[str, Any]]] = {
    "trl": _trl,
    "openrlhf": _openrlhf,
    "math-shepherd": _math_shepherd,
    "openr": _openr,
    "rlhflow": _rlhflow,
    "prm800k": _prm800k,
}


def pair_row(form: TextForm, prompt: str | list[Message], chosen: str, rejected: str) -> dict[str, Any]:
    """A pair in a form. "trl" and "openrlhf" have a prompt and two sides, all text or all messages; "ms-swift" has one
    conversation, and what is rejected in the place of its last message."""
    if form == "ms-swift":
        return {"messages": [*_asked(prompt), _said("assistant", chosen)], "rejected_response": rejected}
    if isinstance(prompt, str):
        return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {"prompt": prompt, "chosen": [_said("assistant", chosen)], "rejected": [_said("assistant", rejected)]}


def sft_row(form: TextForm, prompt: str | list[Message], completion: str) -> dict[str, Any]:
    """A demonstration in a form: messages, or for a prompt that is text TRL's prompt and completion; "openrlhf" has
    input and output."""
    if form == "openrlhf":
        output = completion if isinstance(prompt, str) else [_said("assistant", completion)]
        return {"input": prompt, "output": output}
    if form == "trl" and isinstance(prompt, str):
        return {"prompt": prompt, "completion": completion}
    return {"messages": [*_asked(prompt), _said("assistant", completion)]}


def _asked(prompt: str | list[Message]) -> list[Message]:
    return [_said("user", prompt)] if isinstance(prompt, str) else prompt


def _said(role: str, text: str) -> Message:
    return {"role": role, "content": text}
