"""`data code` tries each solution once: what cannot be judged apart is judged beside the program, or refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals.errors import SandboxError
from evals.programs.steps import LINES
from evals.sandbox.checker import Checker
from evals.tasks import task_of
from evals.tasks.code import CodeTask
from stages.data import code_problems
from stages.files.reading import BadLines
from stages.references import References
from stages.settings.checks import CheckSettings

WEAK: dict[str, tuple[str, list[str], str]] = {
    "Decimal": ("f", ["from decimal import Decimal", "assert f() == Decimal('0.5')"],
                "from decimal import Decimal\ndef f():\n    return Decimal('0.5')"),
    "date": ("f", ["import datetime", "assert f() == datetime.date(2020, 1, 2)"],
             "import datetime\ndef f():\n    return datetime.date(2020, 1, 2)"),
    "generator": ("f", ["assert list(f(3)) == [0, 1, 2]"], "def f(n):\n    yield from range(n)"),
    "function": ("f", ["assert f(2)(3) == 5"], "def f(n):\n    return lambda x: x + n"),
    "argument": ("f", ["assert f(lambda x: x + 1, 2) == 3"], "def f(g, x):\n    return g(x)"),
    "class": ("F", ["f = F()", "f.add(2)", "assert f.sum() == 2"],
              "class F:\n    def __init__(self):\n        self.n = 0\n    def add(self, x):\n        self.n += x\n"
              "    def sum(self):\n        return self.n"),
    "print": ("f", ["import contextlib, io", "out = io.StringIO()",
                    "with contextlib.redirect_stdout(out):\n    f()", "assert out.getvalue() == 'hi\\n'"],
              "def f():\n    print('hi')"),
    "own exception": ("f", ["try:\n    f()\nexcept ValueError as error:\n    assert error.code == 3"],
                      "class E(ValueError):\n    code = 3\ndef f():\n    raise E('x')"),
}  # fmt: skip
PLAIN = ("add", ["assert add(1, 2) == 3"], "def add(a, b):\n    return a + b")


def row(entry: str, tests: list[str], solution: str | None, **more: Any) -> dict[str, Any]:
    made = {"prompt": f"Write {entry}.", "entry_point": entry, "tests": tests, **more}
    return made if solution is None else {**made, "solution": solution}


def read(tmp_path: Path, rows: list[dict[str, Any]]) -> tuple[list[Any], list[str], list[str], Counter[str]]:
    source, notes, counts, faults = tmp_path / "in.jsonl", list[str](), Counter[str](), list[str]()
    source.write_text("".join(json.dumps(one) + "\n" for one in rows))
    bad = BadLines(tell=lambda fault: faults.append(str(fault).removeprefix(f"{tmp_path}/")))
    with References(CheckSettings(), counts, notes.append) as references:
        return list(code_problems(str(source), LINES, bad, references)), faults, notes, counts


def test_tests_that_need_more_than_plain_data_are_marked_weak_and_then_judge_right(tmp_path: Path) -> None:
    problems, faults, notes, counts = read(tmp_path, [row(*PLAIN), *(row(*each) for each in WEAK.values())])
    assert faults == []
    weak = [bool((problem.tests or {}).get("weak")) for problem in problems]
    assert weak == [False, *[True] * len(WEAK)]
    assert counts["tests marked weak"] == len(notes) == len(WEAK)
    assert notes[0].startswith(f"{tmp_path}/in.jsonl:2: tests: marked weak, ")
    assert "Decimal" in notes[0]
    with Checker(1) as checker:
        for problem in problems[1:]:
            task = task_of(problem)
            assert isinstance(task, CodeTask)
            good, wrong = task.gold_text(problem), "def f(*_):\n    return 0\nclass F:\n    pass"
            verdicts = [checker.check(task.program(problem, str(text)), task.tests(problem)) for text in (good, wrong)]
            if "E('x')" not in str(good):  # returning is no wrong way out of `try`
                assert [verdict.passed for verdict in verdicts] == [True, False], problem.question


def test_a_solution_that_fails_its_tests_is_a_bad_line_with_the_reason(tmp_path: Path) -> None:
    rows = [
        row("add", ["assert add(1, 2) == 4"], PLAIN[2]),
        row("add", ["assert add(1, 2) == 3"], "def add(:"),
        row("add", ["assert add(1, 2) == missing"], PLAIN[2]),
        row(*PLAIN),
    ]
    problems, faults, _, _ = read(tmp_path, rows)
    assert [problem.id for problem in problems] == ["in/3"]
    said = "the solution does not pass them"
    starts = (
        f"{said} (wrong: line 1 of the tests, assert add(1, 2) == 4: AssertionError)",
        f"{said} (syntax: SyntaxError",
        "use missing, which neither they nor the solution define",
    )
    for n, (fault, start) in enumerate(zip(faults, starts, strict=True), 1):
        assert fault.startswith(f"in.jsonl:{n}: tests: {start}"), fault


def test_without_a_solution_nothing_is_run_and_tests_may_be_called_weak_by_hand(tmp_path: Path) -> None:
    problems, faults, _, counts = read(
        tmp_path, [row("f", WEAK["date"][1], None), row("f", WEAK["date"][1], None, weak=True)]
    )
    assert faults == []
    assert [bool((problem.tests or {}).get("weak")) for problem in problems] == [False, True]
    assert counts == {"tests not tried: no solution": 2}
    _, faults, _, _ = read(tmp_path, [row("f", WEAK["date"][1], None, weak="yes")])
    assert faults == ["in.jsonl:1: weak: must be true or false"]


def test_where_no_sandbox_works_the_problems_are_written_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise SandboxError("no sandbox works here: none")

    monkeypatch.setattr("evals.sandbox.checker.Checker", none)
    problems, faults, notes, counts = read(tmp_path, [row(*PLAIN), row(*WEAK["date"])])
    assert (len(problems), faults) == (2, [])
    assert notes == ["the solutions are not run: no sandbox works here: none"]
    assert counts == {"tests not tried: no sandbox works here": 2}
