"""Whether the steps of an evaluated path are right, as far as its task lets one tell.

    sound_steps(problem, path)      # True, False, or None where nothing can be told

On the chain world every step is checked against the story (evals/worlds/truth.py). On GSM8K a path is sound unless an
annotated equation (`<<40+32=72>>`) is false, as when the paper filters paths. Other tasks have no such check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem
from evals.tasks import task_of
from evals.worlds.truth import sound


def sound_steps(problem: Problem, path: Path) -> bool | None:
    """Whether the path's steps are right; None where they cannot be checked.

    Raises:
        DataError: the problem's `world` is not one that `sipf data chain` writes.
    """
    if problem.task == "gsm8k":
        return task_of(problem).false_equation(path.text) is None
    world: Any = (problem.model_extra or {}).get("world")
    if problem.task != "chain" or not isinstance(world, Mapping) or "operations" not in world:
        return None  # a line of one's own, or of the chain world before it knew its operations
    try:
        return sound(world, path.steps)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{problem.id}: world: not what sipf data chain writes ({error})",
            "Write the problems again, or drop `world`.",
        ) from error
