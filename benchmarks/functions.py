"""The properties of the functions world: how often its policy is right, in which ways it is wrong, what the tests see.

    python benchmarks/functions.py [--model M0] [--problems 1000] [--draws 4] [--seed 0]

Prints a markdown table, every share with its 95 % Wilson interval. Without --model, M0 is made first: functions-base
after `sft` on 72 problems. The problems are of the validation split and, for the out-of-domain row, of seeds that no
other run uses: nothing here looks at a test problem.
"""

from __future__ import annotations

import argparse
import ast
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from policy import make_policy, open_policy
from world import answers, share, table

from evals.records import Problem
from evals.sandbox.checker import Checker
from evals.tasks.code import FUNCTIONS
from evals.worlds import functions
from evals.worlds.functions import program_lines
from evals.worlds.operations import FORMS, Operation, Pipeline, Value
from stages.settings.evaluation import EvalSettings

OOD_SEED = 7000
"""Added to --seed for out-of-domain problems."""


def rows(name: str, lines: Sequence[Problem]) -> list[tuple[str, str]]:
    """Accuracy, and what is no program at all."""
    paths = [path for line in lines for path in line.paths]
    outcomes = Counter(path.outcome for path in paths)
    return [
        (f"{name}: right", share(outcomes["passed"], len(paths))),
        (f"{name}: malformed", share(sum(not parses(path.text) for path in paths), len(paths))),
        (f"{name}: an exception", share(outcomes["exception"], len(paths))),
    ]


def parses(text: str) -> bool:
    """Whether a text is Python."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def rejected(problems: Iterable[Problem], seed: int) -> tuple[int, int]:
    """How many programs with one operation changed at random fail their problem's tests, and of how many."""
    rng = random.Random(seed)
    failed = n = 0
    with Checker() as checker:
        for problem in problems:
            world = (problem.model_extra or {})["world"]
            kind, operations = world["kind"], [Operation(*one) for one in world["operations"]]
            at = rng.randrange(len(operations))
            operations[at] = another(rng, kind, operations[at])
            tests = FUNCTIONS.tests(problem)
            lines = program_lines(rng, tests.names[0], Pipeline(kind, tuple(operations)), varied=0.0)
            failed += not checker.check("\n".join(lines), tests).passed
            n += 1
    return failed, n


def another(rng: random.Random, kind: Value, operation: Operation) -> Operation:
    """Any other operation that may stand in its place."""
    group = FORMS[kind][operation.name].group
    return rng.choice([
        Operation(name, argument)
        for name, form in FORMS[kind].items()
        for argument in form.arguments or (None,)
        if (form.group == "end") == (group == "end") and (name, argument) != (operation.name, operation.given)
    ])  # fmt: skip


def main() -> None:
    """Make M0 if none is given, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="M0; by default it is made from functions-base")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the validation problems")
    given = parser.parse_args()
    began = time.monotonic()
    problems = list(functions.problems("validation", given.problems, given.seed))
    ood = list(functions.problems("ood", given.problems // 2, OOD_SEED + given.seed))
    with tempfile.TemporaryDirectory() as name:
        engine = open_policy(given.model or make_policy(Path(name), "functions"))
        found = rows("M0, greedy", answers(engine, problems, EvalSettings()))
        found += rows("M0 at T = 1", answers(engine, problems, EvalSettings(n=given.draws, temperature=1.0)))
        found += rows("M0, greedy, out of domain", answers(engine, ood, EvalSettings()))
    found.append(("changed programs that the tests reject", share(*rejected([*problems, *ood], given.seed))))
    table("functions world", found)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
