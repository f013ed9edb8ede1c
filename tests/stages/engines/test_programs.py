"""What the scripted engine writes for code problems: the reference, or a program that must fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from evals.datasets import code_file, humaneval
from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task_of
from evals.tasks.base import Task, Verdict
from stages.engines.base import Draw, Request, generate
from stages.engines.scripted.engine import ScriptedEngine
from stages.engines.scripted.programs import WRONG, write_program
from stages.runs.verdicts import Verdicts
from stages.settings.checks import CheckSettings

GOLD = "def add(a, b):\n    c = a + b\n\n    return c"


def judged(*jobs: tuple[Task, Problem, list[str]]) -> list[list[Verdict]]:
    """For each problem the verdicts on its texts; endless programs cost little."""

    async def go() -> list[list[Verdict]]:
        verdicts = Verdicts(CheckSettings(check_cpu=0.5, check_wall=5.0))
        try:
            return await asyncio.gather(*(verdicts.of_all(*job) for job in jobs))
        finally:
            await verdicts.close()

    return asyncio.run(go())


def problem(**changes: Any) -> Problem:
    row = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add", "solution": GOLD}
    return code_file.problem({**row, **changes}, "p/0")


def test_from_a_prefix_of_the_reference_it_is_the_rest_with_the_given_probability() -> None:
    for prefix in ("", "def add(a, b):\n", "def add(a, b):\n    c = a + b\n", f"{GOLD}\n"):
        texts = [write_program(problem(), prefix, 0.4, seed) for seed in range(400)]
        right = [text for text in texts if prefix + text in (GOLD, f"{GOLD}\n")]
        assert 0.33 < len(right) / 400 < 0.47
        assert texts == [write_program(problem(), prefix, 0.4, seed) for seed in range(400)]


def test_from_any_other_prefix_it_is_never_right() -> None:
    for seed in range(50):
        text = write_program(problem(), "def add(a, b):\n    c = a - b\n", 1.0, seed)
        assert text == ")(" or text.startswith("add = lambda")


def test_a_wrong_program_leaves_the_reference_at_any_line_and_ends_in_another_meaning() -> None:
    left: Counter[int] = Counter()
    for seed in range(300):
        lines = write_program(problem(), "", 0.0, seed).split("\n")
        assert lines[-1] == ")(" or lines[-1].startswith("add = lambda")
        gold = GOLD.split("\n")
        left[next(i for i, line in enumerate(lines) if line not in gold[i : i + 1])] += 1
    assert set(left) == {0, 1, 3, 4}  # line 2 is blank
    assert min(left.values()) > 30


def test_nothing_that_deceives_tests_beside_the_program_is_written_where_they_run_there() -> None:
    weak = problem()
    weak.tests = {**(weak.tests or {}), "weak": True}
    assert any("__eq__" in write_program(problem(), "", 0.0, seed) for seed in range(200))
    assert not any("__eq__" in write_program(weak, "", 0.0, seed) for seed in range(200))


def test_a_problem_without_a_reference_is_refused() -> None:
    with pytest.raises(DataError, match="solution: missing"):
        write_program(problem(solution=None), "", 0.4, 1)


def test_every_way_to_be_wrong_fails_the_check() -> None:
    made = problem()
    texts = [f"{GOLD}\nadd = lambda *_, **__: {way}" for way in WRONG]
    (verdicts,) = judged((task_of(made), made, [GOLD, *texts]))
    assert [verdict.outcome for verdict in verdicts] == [
        "passed", "wrong", "exception", "exception", "crash", "crash",
        "crash", "memory", "exception", "wrong", "timeout",
    ]  # fmt: skip


def test_the_stop_strings_of_humaneval_leave_wrong_programs_wrong() -> None:
    engine, jobs = ScriptedEngine("gold:0"), []
    for made in list(humaneval.problems())[::8]:
        task = task_of(made)
        request = Request(made, (Draw(3), Draw(4)), stop=task.stop)
        jobs.append((task, made, [completion.text for completion in asyncio.run(generate(engine, request))]))
    for job, verdicts in zip(jobs, judged(*jobs), strict=True):
        assert not any(verdict.correct for verdict in verdicts), job
