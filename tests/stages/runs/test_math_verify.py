"""math-verify as the rule: what means the same is right, and what never ends is wrong and ends."""

from __future__ import annotations

import asyncio

import pytest

from evals.errors import DataError, UsageError
from evals.reading import math_verifier
from evals.reading.math_verifier import MathVerifier
from evals.records import Problem
from evals.tasks import check_problem, task_of
from stages.counts import Tally
from stages.runs.verdicts import Verdicts


def problem(answer: str, **more: object) -> Problem:
    return Problem.model_validate({"id": "p", "task": "math", "question": "?", "answer": answer, **more})


def test_without_the_package_it_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_verifier.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs the package math-verify") as caught:
        MathVerifier()
    assert "sipf[math]" in caught.value.advice


def test_a_letter_is_no_mathematics() -> None:
    letter = problem("B", task="mmlu_math", mode="letter", choices=["1", "2", "3", "4"])
    with pytest.raises(DataError, match="math-verify reads no letters"):
        check_problem(letter, "math-verify")
    check_problem(problem("x^2"), "math-verify")


def test_formulas_are_compared_and_endless_ones_end() -> None:
    pytest.importorskip("math_verify")

    async def judged() -> None:
        verdicts, tally = Verdicts(), Tally()
        verdicts._verifier = MathVerifier(deadline_s=2)
        try:
            for gold, text, right in (
                ("\\frac{1}{2}", "So $\\boxed{0.5}$.", True),
                ("x^2+1", "It is $\\boxed{1+x^2}$", True),
                ("10", "It is $\\boxed{9^{9^{9^{9}}}}$", False),
                ("2\\sqrt{3}", "$\\boxed{\\sqrt{12}}$<|im_end|>\n$\\boxed{1}$", True),
                ("18", "no idea", False),
            ):
                line = problem(gold)
                verdict = await verdicts.of(task_of(line), line, text, rule="math-verify", tally=tally)
                assert verdict.match is not None
                assert (verdict.correct, verdict.match.math_verify) == (right, right), text
        finally:
            process = verdicts._verifier._process
            await verdicts.close()
        assert process is not None
        assert process.poll() is not None, "the process has ended"
        assert tally.counts["answers that math-verify did not finish"] == 1

    asyncio.run(judged())
