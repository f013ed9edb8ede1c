"""Step labels as others publish them, as problems with labelled paths.

    OpenR      {"question": "3 bags of 4?", "process": "Step 1: 12 \u043a\u0438\\nStep 2: ...", "label": ["+", ...]}
    RLHFlow    {"conversations": [{"role": "user", "content": "3 bags of 4? Step 1: 3*4=12"},
                                  {"role": "assistant", "content": "+"}, ...]}
    PRM800K    {"question": {"problem": "..."}, "label": {"steps": [{"completions": [{"text": "...", "rating": 1}],
                "chosen_completion": 0, "human_completion": null}], "finish_reason": "solution"}}
    OpenRLHF   {"input": "3 bags of 4? Step 1: 3*4 = 12 \u043a\u0438\\n...", "value": ["+", "-"]}
    Math-Shepherd, see `evals.datasets.math_shepherd`

Sources: openreasoner/openr (prm/code), RLHFlow/RLHF-Reward-Modeling (math-rm), openai/prm800k, OpenRLHF
(openrlhf/datasets/process_reward_dataset.py). Ratings of 0 in PRM800K say that a step is neither right nor wrong, and
are no label here: TRL takes them for wrong, the paper's own scores for right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.datasets import math_shepherd
from evals.datasets.math_shepherd import TAG, question_and_first
from evals.datasets.messages import messages
from evals.errors import DataError
from evals.reading import answers
from evals.records import Problem

Verdict = bool | None
"""Whether a step is right; None if it was not labelled."""
Path = tuple[list[str], list[Verdict]]
"""The steps of a path, and their verdicts."""


def is_foreign(row: Mapping[str, Any]) -> bool:
    """Whether a row has the keys of one of the forms read here, and is no problem."""
    return _form(row) is not None


def problem(row: Mapping[str, Any], identity: str) -> Problem:
    """A published row, as a problem called `identity` with labelled paths.

    Raises:
        DataError: `field: what is wrong`.
    """
    form = _form(row)
    if form is None:
        raise DataError(
            "no form of step labels that is known here",
            "Math-Shepherd, OpenR, RLHFlow, PRM800K and OpenRLHF are read; see docs/formats.md.",
        )
    if form == "math-shepherd":
        return math_shepherd.problem(row, identity)
    return {"openr": _openr, "rlhflow": _rlhflow, "prm800k": _prm800k, "openrlhf": _openrlhf}[form](row, identity)


def verdict(value: Any, field: str) -> Verdict:
    """What a label says: `+`, 1 or true is right; `-`, 0, -1 or false is wrong; null is unknown.

    Raises:
        DataError: anything else.
    """
    if value is None:
        return None
    if value in ("+", 1):
        return True
    if value in ("-", 0, -1):
        return False
    raise DataError(f"{field}: {value!r} is no verdict", "Labels are + and -, 1 and 0 or -1, true and false, or null.")


def _form(row: Mapping[str, Any]) -> str | None:
    if row.get("task") is not None and row.get("question") is not None:
        return None
    present = {key for key, value in row.items() if value is not None}
    if {"question", "process"} <= present:
        return "openr"
    if "conversations" in present and not {"chosen", "rejected"} & present:
        return "rlhflow"
    if isinstance(row.get("question"), Mapping) and isinstance(row.get("label"), Mapping):
        return "prm800k"
    if "input" in present and any(isinstance(row.get(name), list) for name in ("value", "label")):
        return "openrlhf"
    return "math-shepherd" if {"input", "label"} <= present else None


def _openr(row: Mapping[str, Any], identity: str) -> Problem:
    question, process = row["question"], row["process"]
    if not isinstance(question, str) or not question.strip():
        raise DataError("question: must be a text")
    if not isinstance(process, str):
        raise DataError("process: must be a text")
    name = "label" if row.get("label") is not None else "labels"
    steps = _marked(process, "process")
    return made_problem(identity, question, [(steps, _verdicts(row.get(name), name, len(steps)))])


def _openrlhf(row: Mapping[str, Any], identity: str) -> Problem:
    if not isinstance(row["input"], str):
        raise DataError("input: must be a text")
    name = "value" if isinstance(row.get("value"), list) else "label"
    before, *others = _marked(row["input"], "input")
    question, first = question_and_first(before, "input")
    steps = [first, *others]
    return made_problem(identity, question, [(steps, _verdicts(row[name], name, len(steps)))], outcome=True)


def _marked(text: str, field: str) -> list[str]:
    """The steps of a text that has a mark after each."""
    *steps, rest = text.split(TAG)
    if not steps:
        raise DataError(f"{field}: no step is marked with {TAG!r}")
    if rest.strip():
        raise DataError(f"{field}: text after the last mark: {rest.strip()[:40]!r}")
    return [step.strip() for step in steps]


def _verdicts(value: Any, field: str, count: int) -> list[Verdict]:
    if not isinstance(value, list):
        raise DataError(f"{field}: must be a list, one label per step")
    if len(value) != count:
        raise DataError(f"{field}: {len(value)} labels for {count} marked steps")
    return [verdict(label, f"{field}.{n}") for n, label in enumerate(value)]


def _rlhflow(row: Mapping[str, Any], identity: str) -> Problem:
    turns = messages(row["conversations"], "conversations")
    roles = ["user", "assistant"] * (len(turns) // 2)
    if [turn["role"] for turn in turns] != roles:
        raise DataError("conversations: must be the user's and the assistant's turns, one after the other")
    verdicts = []
    for n, turn in enumerate(turns[1::2]):
        if str(turn["content"]).strip() not in ("+", "-"):
            raise DataError(
                f"conversations.{2 * n + 1}.content: is neither + nor -", "Is this a conversation for sipf sft?"
            )
        verdicts.append(verdict(str(turn["content"]).strip(), "conversations"))
    first, *others = [str(turn["content"]).strip() for turn in turns[::2]]
    question, step = question_and_first(first, "conversations.0.content")
    return made_problem(identity, question, [([step, *others], verdicts)], outcome=True)


def _prm800k(row: Mapping[str, Any], identity: str) -> Problem:
    asked, label = row["question"], row["label"]
    if not isinstance(asked.get("problem"), str) or not asked["problem"].strip():
        raise DataError("question.problem: must be a text")
    if not isinstance(label.get("steps"), list) or not label["steps"]:
        raise DataError("label.steps: must be a list of steps")
    paths: list[Path] = []
    chosen: Path = ([], [])
    for n, step in enumerate(label["steps"]):
        completions, taken = _completions(step, f"label.steps.{n}")
        paths += [
            ([*chosen[0], text], [*chosen[1], rated])
            for number, (text, rated) in enumerate(completions)
            if number != step.get("chosen_completion")
        ]
        if taken is None:
            break
        chosen = ([*chosen[0], taken[0]], [*chosen[1], taken[1]])
    else:
        paths.insert(0, chosen)
    if chosen not in paths and chosen[0] and not any(path[0][: len(chosen[0])] == chosen[0] for path in paths):
        paths.insert(0, chosen)  # labelling stopped here, and no alternative continues it
    if not paths:
        raise DataError("label.steps: no step has a completion")
    answer = asked.get("ground_truth_answer")
    made = made_problem(identity, asked["problem"], paths, answer=answer if isinstance(answer, str) else None)
    if label.get("finish_reason") == "solution" and chosen in paths:
        made.paths[paths.index(chosen)].correct = True  # it ends in the right answer, as its labellers say
    return made


def _completions(step: Any, field: str) -> tuple[list[tuple[str, Verdict]], tuple[str, Verdict] | None]:
    """The rated completions of a step, and the one that the solution continues with, None where it ends."""
    if not isinstance(step, Mapping):
        raise DataError(f"{field}: must be an object")
    given = step.get("completions") or []
    if not isinstance(given, list) or not all(isinstance(part, Mapping) for part in given):
        raise DataError(f"{field}.completions: must be a list")
    rated: list[tuple[str, Verdict]] = []
    for number, part in enumerate(given):
        where = f"{field}.completions.{number}"
        if not isinstance(part.get("text"), str) or not part["text"].strip():
            raise DataError(f"{where}.text: must be a text")
        if part.get("rating") not in (None, -1, 0, 1):
            raise DataError(f"{where}.rating: must be -1, 0 or 1")
        rated.append((part["text"], {1: True, -1: False}.get(part.get("rating"))))
    at, human = step.get("chosen_completion"), step.get("human_completion")
    if at is not None:
        if not isinstance(at, int) or not 0 <= at < len(rated):
            raise DataError(f"{field}.chosen_completion: names none of {len(rated)} completions")
        return rated, rated[at]
    if human is None:
        return rated, None
    text = human.get("text") if isinstance(human, Mapping) else human
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{field}.human_completion: must be a text")
    return rated, (text, True)


def made_problem(
    identity: str,
    question: str,
    paths: Sequence[Path],
    *,
    task: str = "math",
    answer: str | None = None,
    outcome: bool = False,
) -> Problem:
    """A problem whose paths came with their steps and labels.

    Args:
        outcome: the last verdict of a path says whether its answer is right.
    """
    made = []
    for number, (steps, verdicts) in enumerate(paths):
        if not all(steps):
            raise DataError("a step is empty")
        text = "\n".join(steps)
        labels = [
            {"k": 1, "draws": 0, "hits": 0, "settled": known is not None, **({} if known is None else {"given": known})}
            for known in verdicts
        ]
        path: dict[str, Any] = {
            "id": f"{identity}#{number}", "text": text, "steps": steps, "split": "given", "labels": labels,
            "answer": answers.robust(text),
        }  # fmt: skip
        if outcome and verdicts[-1] is not None:
            path["correct"] = verdicts[-1]
        made.append(path)
    row: dict[str, Any] = {"id": identity, "task": task, "question": question.strip(), "paths": made}
    return Problem.from_row(row if answer is None else {**row, "answer": answer})
