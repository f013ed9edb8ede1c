"""From a completion of a problem's bare prompt to a path on its line."""

from __future__ import annotations

from evals.records import Path, Problem
from evals.tasks.base import Task, Verdict
from stages.engines.base import Completion
from stages.runs.verdicts import write_verdict


def to_path(
    task: Task, problem: Problem, completion: Completion, verdict: Verdict, number: int, source: str, round: int
) -> Path:
    """A completion of the bare prompt as a path, with its verdict."""
    path = Path.model_validate({
        "id": f"{problem.id}#{number}", "source": source, "round": round, "text": completion.text,
        "steps": task.split(completion.text).steps,
        "finish": completion.finish, "tokens": completion.tokens, "seed": completion.seed,
    })  # fmt: skip
    write_verdict(verdict, path)
    return path
