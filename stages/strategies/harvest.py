"""Right rollouts become paths: what the simulator wrote from a prefix on is a solution, and has been paid for.

    40-15=25 | 25*3=75 ...      a right rollout of the first step's prefix  ->  a path of the line, source "rollout"

Each reasoning becomes one path, in the order of the paths and steps whose prefixes were rolled out and of their draws,
so that what is kept depends on the seed alone. The same paths are left out as in `sample`: without steps, or with a
false equation. The steps are not labelled, as nothing was drawn from the later ones. A rollout is as good as its
simulator: from a teacher it is help from outside.
"""

from __future__ import annotations

from evals.records import Path, Problem
from stages.counts import Kinds
from stages.runs.verdicts import joined_path
from stages.strategies.prefixes import Simulator, prefixes

LEFT = Kinds("right rollouts left out: ")
VERDICT = {"answer", "correct", "outcome", "weak"}
"""What a path takes over from its rollout, if the rollout has it."""


def harvest(simulator: Simulator, problem: Problem) -> None:
    """Add the right rollouts that this run has made to the problem's paths."""
    task, ledger = simulator.task, simulator.ledger
    seen = {task.signature(path.text) for path in problem.paths}
    round_ = max((path.round for path in problem.paths), default=0)
    number = sum(path.source == "rollout" for path in problem.paths)
    places = prefixes(task, problem.paths).places
    made: list[Path] = []
    for prefix in dict.fromkeys(["", *places]):  # the bare question, if it was rolled out
        label = ledger.labels.get(prefix)
        for rollout, written in zip(label.rollouts if label else [], ledger.written.get(prefix, []), strict=True):
            if not rollout.correct:
                continue
            text = joined_path(task, prefix, written)
            steps = task.split(text).steps
            signature = task.signature(text)
            if not steps or signature in seen or task.false_equation(text) is not None:
                reason = "no steps" if not steps else "same reasoning" if signature in seen else "false equation"
                simulator.tally.count(LEFT.of(reason))
                continue
            seen.add(signature)
            verdict = rollout.model_dump(include=VERDICT, exclude_unset=True)
            made.append(
                Path.model_validate({
                    "id": f"{problem.id}#h{number + len(made)}", "source": "rollout", "round": round_, "text": text,
                    "steps": steps, "finish": "stop", "seed": rollout.seed, **verdict,
                })
            )  # fmt: skip
    problem.paths = [*problem.paths, *made]
    simulator.tally.count("right rollouts that became paths", len(made))
