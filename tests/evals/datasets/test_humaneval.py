"""HumanEval as its package brings it: the raw prompts, and the programs that are put together from them."""

from __future__ import annotations

from typing import Any

from evals.datasets import humaneval
from evals.tasks import check_problem, task_of


def test_humaneval_comes_with_its_package_and_goes_on_from_the_raw_prompt() -> None:
    problems = list(humaneval.problems())
    assert [problem.id for problem in problems] == [f"HumanEval/{n}" for n in range(164)]
    for problem in problems:
        check_problem(problem)
        made = task_of(problem)
        assert made.question(problem) == problem.question
        assert problem.question.endswith("\n")
        gold = made.gold_text(problem) or ""
        assert made.program(problem, gold) == problem.question + gold  # type: ignore[attr-defined]  # a code task
        assert made.split(gold).steps == [line for line in gold.split("\n") if line.strip()]
        assert not any(stop in gold for stop in made.stop)
    assert made.stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_a_whole_function_takes_the_place_of_the_one_that_the_prompt_begins() -> None:
    problem = list(humaneval.problems())[32]  # its prompt defines `poly` as well, and the tests use both
    made: Any = task_of(problem)
    program = made.program(problem, "Here:\n```python\ndef find_zero(xs):\n    return 0.0\n```\nDone.")
    assert program.count("def find_zero") == 1
    assert program.startswith("import math\n\n\ndef poly(xs: list, x: float):")
    assert program.endswith("def find_zero(xs):\n    return 0.0\n")
