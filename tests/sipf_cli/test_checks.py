"""How the command line has programs checked: faulty tests are bad lines, and without a sandbox nothing runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.errors import SandboxError
from evals.sandbox.checker import LAYERS

WRITER = ("--engine", "scripted", "--script", "gold:1")


def row(name: str, test: str) -> dict[str, Any]:
    return {
        "id": name, "prompt": f"Write {name}(a, b).", "tests": [test], "entry_point": name,
        "solution": f"def {name}(a, b):\n    return a + b",
    }  # fmt: skip


@pytest.fixture
def lines(tmp_path: Path, inside: Any) -> Path:
    """A good problem, one whose tests use a name that nobody defines, and a good one."""
    rows = [
        row("add", "assert add(1, 2) == 3"),
        row("mul", "assert mul(1, 2) == 3"),
        row("sum_", "assert sum_(1, 1)"),
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    inside("data", "code", "--path", "mine.jsonl", "-o", "good.jsonl")
    made = (tmp_path / "good.jsonl").read_text()  # `data code` would refuse the name
    (tmp_path / "lines.jsonl").write_text(made.replace("mul(1, 2)", "mul(1, nobody)"))
    return tmp_path / "lines.jsonl"


def test_faulty_tests_make_a_bad_line_and_the_others_are_done(lines: Path, inside: Any) -> None:
    result = inside("eval", "lines.jsonl", *WRITER, "-o", "out.jsonl", "--json", code=3)
    assert "lines.jsonl:2: mul: tests: NameError: name 'nobody' is not defined" in result.stderr
    assert json.loads(result.stdout)["bad lines"] == 1
    done = [json.loads(line) for line in (lines.parent / "out.jsonl").read_text().splitlines()]
    assert [one["id"] for one in done] == ["add", "sum_"]
    manifest = json.loads((lines.parent / "out.jsonl.manifest.json").read_text())
    assert manifest["bad_lines"] == manifest["gaps"] == [[2, 2]]


def test_faulty_tests_stop_a_strict_run(lines: Path, inside: Any) -> None:
    result = inside("sample", "lines.jsonl", *WRITER, "--strict", "-o", "out.jsonl", code=3)
    assert "sipf: lines.jsonl:2: mul: tests: NameError" in result.stderr
    assert not (lines.parent / "out.jsonl").exists()


def test_nothing_but_faulty_tests_is_an_error(lines: Path, inside: Any) -> None:
    bad = lines.read_text().splitlines()[1]
    (lines.parent / "bad.jsonl").write_text(bad + "\n")
    result = inside("eval", "bad.jsonl", *WRITER, "-o", "out.jsonl", code=3)
    assert "no line holds a problem" in result.stderr
    assert not (lines.parent / "out.jsonl").exists()


def test_how_programs_were_checked_is_in_the_manifest(lines: Path, inside: Any) -> None:
    how = ("--sandbox", "landlock", "--check-cpu", 3)
    inside("eval", "lines.jsonl", *WRITER, *how, "-o", "out.jsonl", code=3)
    manifest = json.loads((lines.parent / "out.jsonl.manifest.json").read_text())
    assert manifest["facts"]["sandbox"] == "landlock"
    assert manifest["facts"]["check_cpu"] == 3


def test_without_a_sandbox_nothing_runs_unless_it_is_typed(
    lines: Path, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evals.sandbox import checker

    start = checker.Checker._start

    def broken(self: checker.Checker, layer: checker.Layer) -> Any:
        if layer in LAYERS:
            raise SandboxError(f"{layer}: not on this machine")
        return start(self, layer)

    monkeypatch.setattr(checker.Checker, "_start", broken)
    result = inside("eval", "lines.jsonl", *WRITER, "-o", "out.jsonl", code=5)
    assert "no sandbox works here" in result.stderr
    assert "--unsafe-exec" in result.stderr
    assert not (lines.parent / "out.jsonl").exists()
    inside("eval", "lines.jsonl", *WRITER, "--unsafe-exec", "-o", "unsafe.jsonl", code=3)
    facts = json.loads((lines.parent / "unsafe.jsonl.manifest.json").read_text())["facts"]
    assert facts["unsafe_exec"] is True
