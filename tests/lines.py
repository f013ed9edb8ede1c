"""Lines with paths and labels, as the stages hand them on, for tests that train and score."""

from __future__ import annotations

from typing import Any

from evals.records import Problem


def labelled_problem(i: int) -> Problem:
    """A problem with one right path (one step) and one wrong one (two steps), all labelled with 8 of 8 draws."""
    a, b = i + 10, i % 7 + 2
    right, wrong = f"{a}+{b}={a + b}", f"{a}-{b}={a - b}"
    return Problem.model_validate(
        {
            "id": f"p{i}",
            "task": "gsm8k",
            "question": f"Tom has {a} apples and buys {b} more. How many apples does Tom have?",
            "answer": str(a + b),
            "solution": [right],
            "paths": [
                {"id": f"p{i}#0", "text": f"{right}\nThe answer is {a + b}", "steps": [right], "correct": True}
                | {"labels": [_label(6)]},
                {"id": f"p{i}#1", "text": f"{wrong}\n1+1=2\nThe answer is 2", "steps": [wrong, "1+1=2"]}
                | {"correct": False, "labels": [_label(2), _label(0)]},
            ],
        }
    )


def pair(i: int) -> dict[str, Any]:
    """The pair of that problem's two paths."""
    problem = labelled_problem(i)
    return {
        "prompt": "",
        "task": problem.task,
        "question": problem.question,
        "chosen": problem.paths[0].text,
        "rejected": problem.paths[1].text,
    }


def _label(hits: int) -> dict[str, Any]:
    return {"k": 8, "delta": 0, "draws": 8, "hits": hits, "settled": True}
