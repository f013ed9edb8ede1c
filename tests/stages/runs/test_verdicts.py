"""Verdicts on programs: given in order, the loop not held up, equal programs checked once, ends and costs counted."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest

from evals.datasets import code_file
from evals.programs.checks import CheckLimits, CheckResult, CodeTests
from evals.records import Problem
from evals.tasks import task_of
from stages.counts import Tally
from stages.engines.base import Completion
from stages.eval import Evaluation
from stages.runs.verdicts import Verdicts
from stages.sample import Sampler
from stages.settings.checks import CheckSettings
from stages.settings.evaluation import EvalSettings
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from tests.stages.fakes import InOrder, Written, chain_problem, work

GOLD = "def add(a, b):\n    c = a + b\n    return c"


class Checker:
    """Says what a program's first line asks for (`# wrong`), and that it passed if it asks for nothing."""

    workers = 4

    def __init__(self) -> None:
        self.asked, self.ended, self.threads = list[str](), list[str](), set[str]()
        self.may_end = threading.Event()
        """Until this is set no check ends, except that a test must end some time."""
        self.may_end.set()
        self.busy = threading.Event()
        """Set when a check has begun."""
        self.settings: list[dict[str, Any]] = []
        self.closed = 0

    def check(self, program: str, tests: CodeTests) -> CheckResult:
        assert tests.names == ("add",)
        self.asked.append(program)
        self.threads.add(threading.current_thread().name)
        self.busy.set()
        self.may_end.wait(60)
        self.ended.append(program)
        outcome: Any = program[2:].partition("\n")[0] if program.startswith("# ") else "passed"
        return CheckResult(outcome, weak=tests.weak, cpu_s=0.25, wall_s=0.5, rerun=outcome == "timeout")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch) -> Checker:
    made = Checker()

    def start(**settings: Any) -> Checker:
        made.settings.append(settings)
        return made

    monkeypatch.setattr("evals.sandbox.checker.Checker", start)
    return made


def problem(**changes: Any) -> Problem:
    row = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add", "solution": GOLD}
    return code_file.problem({**row, **changes}, "p/0")


def judged(texts: list[str], made: Problem) -> tuple[list[tuple[str | None, bool]], Tally, dict[str, int]]:
    async def go() -> tuple[list[tuple[str | None, bool]], Tally, dict[str, int]]:
        tally, verdicts = Tally(), Verdicts()
        found = await verdicts.of_all(task_of(made), made, texts, tally=tally)
        return [(verdict.outcome, verdict.correct) for verdict in found], tally, verdicts.spent()

    return asyncio.run(go())


def test_verdicts_come_in_the_order_of_the_texts_and_their_ends_are_counted(checker: Checker) -> None:
    outcomes = ["wrong", "passed", "timeout", "crash", "wrong"]
    texts = [f"# {outcome}\n{n}" for n, outcome in enumerate(outcomes)]
    found, tally, costs = judged(texts, problem())
    assert found == [(outcome, outcome == "passed") for outcome in outcomes]
    assert tally.counts == {"outcome: wrong": 2, "outcome: passed": 1, "outcome: timeout": 1, "outcome: crash": 1} | {
        "weak verdicts": 0
    }
    spent = {"programs checked": 5, "checks run again": 1, "check CPU ms": 1250, "check wall ms": 2500}
    assert costs == spent
    assert all(name.startswith("check-") for name in checker.threads)


def test_equal_programs_of_one_problem_are_checked_once_and_counted_each_time(checker: Checker) -> None:
    texts = ["# wrong", "```\n# wrong\n```", "x = 1", "[BEGIN]\nx = 1\n[DONE]", "x = 1"]
    found, tally, costs = judged(texts, problem())
    assert [outcome for outcome, _ in found] == ["wrong", "wrong", "passed", "passed", "passed"]
    assert sorted(program.strip() for program in checker.asked) == ["# wrong", "# wrong", "x = 1", "x = 1"]
    assert len(set(checker.asked)) == len(checker.asked)
    assert tally.counts["outcome: passed"] == 3
    assert costs["programs checked"] == 4


def test_what_one_run_has_checked_another_checks_anew(checker: Checker) -> None:
    judged(["x = 1"], problem())
    judged(["x = 1"], problem())
    assert checker.asked == ["x = 1", "x = 1"]


def test_the_loop_goes_on_while_programs_are_checked(checker: Checker) -> None:
    checker.may_end.clear()

    async def go() -> None:
        made = problem()
        checking = asyncio.ensure_future(Verdicts().of(task_of(made), made, "x = 1"))
        await asyncio.to_thread(checker.busy.wait, 60)
        assert checker.asked
        assert not checker.ended
        checker.may_end.set()
        await checking

    asyncio.run(go())


def test_a_run_that_is_given_up_does_not_wait_for_its_checks(checker: Checker) -> None:
    checker.may_end.clear()

    async def go() -> None:
        made, verdicts = problem(), Verdicts()
        waiting = [asyncio.ensure_future(verdicts.of(task_of(made), made, f"x = {n}")) for n in range(40)]
        await asyncio.to_thread(checker.busy.wait, 60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await verdicts.close()

    asyncio.run(go())
    assert not checker.ended
    checker.may_end.set()
    assert len(checker.asked) <= Checker.workers + 4  # those that wait were never begun


def test_a_checker_that_breaks_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Checker):
        def check(self, program: str, tests: CodeTests) -> CheckResult:
            raise OSError("no sandbox")

    monkeypatch.setattr("evals.sandbox.checker.Checker", lambda **settings: Broken())
    with pytest.raises(OSError, match="no sandbox"):
        judged(["x = 1"], problem())


def test_math_is_judged_at_once_and_counts_no_ends() -> None:
    async def go() -> tuple[bool, Tally]:
        made, tally, verdicts = chain_problem(), Tally(), Verdicts()
        verdict = await verdicts.of(task_of(made), made, "The answer is 76", prefix="40-15=25\n", tally=tally)
        assert verdicts.spent() == {}
        return verdict.correct, tally

    correct, tally = asyncio.run(go())
    assert correct
    assert not tally.counts


def test_the_checker_is_started_at_the_first_program_as_the_settings_say_and_closed_once(checker: Checker) -> None:
    settings = CheckSettings("landlock", check_cpu=3.0)

    async def go() -> None:
        verdicts = pickle.loads(pickle.dumps(Verdicts(settings).pinned(3)))
        verdicts.open()
        await verdicts.of(task_of(chain_problem()), chain_problem(), "The answer is 76")
        assert (verdicts.hungry(), checker.settings) == (True, [])
        for text in ("x = 1", "x = 2"):
            await verdicts.of(task_of(problem()), problem(), text)
        limits = CheckLimits(cpu_s=3.0)
        assert checker.settings == [{"limits": limits, "layer": "landlock", "unsafe": False, "workers": 3}]
        await verdicts.close()
        await verdicts.close()
        assert checker.closed == 1
        assert verdicts.facts() == {"sandbox": "landlock", "check_cpu": 3.0}

    asyncio.run(go())
    assert Verdicts().facts() == {}


# -- in the stages


def test_a_sampled_program_keeps_its_end_and_one_that_is_no_python_stays_as_a_wrong_path(checker: Checker) -> None:
    texts = ["# syntax\ndef (", GOLD, "", "# wrong\nx = 1", f"{GOLD}  # again"]
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=5)), problem())
    assert [(path.outcome, path.correct) for path in made.paths] == [
        ("syntax", False), ("passed", True), ("wrong", False),
    ]  # fmt: skip
    assert '"answer"' not in made.model_dump_json(exclude_unset=True, include={"paths"})
    assert counts["dropped: no steps"] == 1
    assert counts["dropped: duplicate"] == 1
    assert made.paths[1].text == GOLD
    assert made.paths[1].steps == GOLD.split("\n")


def test_sampling_goes_on_until_as_many_distinct_ones_are_kept_as_are_wanted(checker: Checker) -> None:
    texts = [f"x = {n // 2}" for n in range(40)]  # every program twice
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=4, want=5)), problem())
    assert len(made.paths) == 6
    assert (counts["drawn"], counts["dropped: duplicate"], counts["problems short of the quota"]) == (12, 6, 0)
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=4, want=50, max_draws=10)), problem())
    assert (counts["drawn"], counts["problems short of the quota"]) == (10, 1)


def test_near_duplicates_with_the_same_verdict_are_dropped_under_their_own_reason(checker: Checker) -> None:
    base = "x = [1, 2, 3, 4]\ny = x"  # 13 words, 2 of them depths
    texts = [
        base,
        base.replace("4", "5"),
        base.replace("4", "5") + "\nz = y",
        "# wrong\n" + base.replace("4", "6"),
        "a = b = c = d = e = f = 1",
    ]
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=5, near_duplicate=0.1)), problem())
    assert [path.text for path in made.paths] == [texts[0], texts[2], texts[3], texts[4]]
    assert counts["dropped: near-duplicate"] == 1
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=5, near_duplicate=0.5)), problem())
    assert [path.text for path in made.paths] == [texts[0], texts[3], texts[4]]
    made, counts = work(Sampler(InOrder(*texts), SampleSettings(n=5)), problem())
    assert len(made.paths) == 5


def test_gold_programs_that_fail_their_tests_are_left_out_and_counted(checker: Checker) -> None:
    good, counts = work(Simulation(InOrder(), SimulateSettings(k=2)), problem())
    assert counts["gold paths"] == 1
    assert (good.paths[0].outcome, good.paths[0].correct) == ("passed", True)
    bad, counts = work(Simulation(InOrder(), SimulateSettings(k=2)), problem(solution="# timeout\nx = 1"))
    assert not bad.paths
    assert (counts["gold paths"], counts["gold solutions left out: timeout"]) == (0, 1)


def test_rollouts_keep_their_end_and_the_lines_of_a_chunk_share_them(checker: Checker) -> None:
    made = problem()
    text = "a = 1\n\nb = 2\nc = 3"
    made.paths = work(Sampler(InOrder(text), SampleSettings(n=1)), made)[0].paths

    def write(request: Any, draw: Any) -> str:
        return "d = 4" if request.prefix == "a = 1\n\nb = 2\n" else "boom"

    checker.check = lambda program, tests: CheckResult(  # type: ignore[method-assign]  # its verdicts are given
        "passed" if program.endswith("d = 4") else "exception", weak=True
    )
    engine = Written(write)
    settings = SimulateSettings(strategy="brute", k=2, gold=False, keep_text=True)
    labelled, counts = work(Simulation(engine, settings), made)
    (path,) = labelled.paths
    assert path.steps == ["a = 1", "b = 2", "c = 3"]
    assert [(label.hits, label.draws) for label in path.labels or []] == [(2, 2), (2, 2), (0, 2)]
    assert sorted({request.prefix for request in engine.asked}) == ["a = 1\n\nb = 2\n", "a = 1\n\nb = 2\nc = 3\n"]
    rollout = (path.labels or [])[0].rollouts[0]
    assert (rollout.outcome, rollout.weak, rollout.correct) == ("passed", True, True)
    assert (counts["outcome: passed"], counts["outcome: exception"], counts["weak verdicts"]) == (2, 2, 4)


def test_an_evaluated_program_has_no_answer_that_could_not_be_read(checker: Checker) -> None:
    made, counts = work(Evaluation(InOrder(GOLD, "# crash"), EvalSettings(n=2, temperature=1.0)), problem())
    assert [path.outcome for path in made.paths] == ["passed", "crash"]
    assert counts["answers that could not be read"] == 0
    assert (counts["outcome: passed"], counts["outcome: crash"]) == (1, 1)


def test_completions_are_kept_byte_for_byte(checker: Checker) -> None:
    text = "Sure.\r\n```python\r\ndef add(a, b):\r\n\treturn a+b \r\n```"
    made, _ = work(Sampler(InOrder(text), SampleSettings(n=1)), problem())
    assert made.paths[0].text == Completion(text, 0, "stop", 0).text
    assert made.paths[0].steps == ["def add(a, b):", "\treturn a+b "]
