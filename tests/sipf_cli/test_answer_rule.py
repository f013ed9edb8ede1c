"""`--answer-rule` as it is typed: one option for sample, simulate and eval, recorded beside each output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.sipf_cli.commands import SCRIPTED, read, run

PAPER = ("--answer-rule", "paper")


def options(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{file}.manifest.json").read_text())["options"]
    return found


def paths(file: Path) -> list[dict[str, Any]]:
    return [path for line in read(file) for path in line["paths"]]


def test_the_rule_is_one_option_of_three_commands_and_is_recorded(tmp_path: Path) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", "4", "-o", "problems.jsonl")
    run(tmp_path, "sample", "problems.jsonl", *SCRIPTED, "-n", "3", *PAPER, "-o", "paths.jsonl")
    run(tmp_path, "simulate", "paths.jsonl", *SCRIPTED, "--k", "2", *PAPER, "-o", "labels.jsonl")
    run(tmp_path, "eval", "problems.jsonl", *SCRIPTED, *PAPER, "-o", "eval.jsonl")
    for name in ("paths", "labels", "eval"):
        file = tmp_path / f"{name}.jsonl"
        assert options(file)["answer_rule"] == "paper"
        judged = [path for path in paths(file) if path["source"] != "gold"]
        assert judged
        assert all(path["correct"] == path["match"]["paper"] for path in judged)
    run(tmp_path, "eval", "--from", "eval.jsonl", "-o", "again.jsonl", "--answer-rule", "strict")
    assert options(tmp_path / "again.jsonl")["answer_rule"] == "strict"
    assert any(path["correct"] for path in paths(tmp_path / "eval.jsonl"))
    assert not any(path["correct"] for path in paths(tmp_path / "again.jsonl")), "nothing says #### N"
    refused = run(tmp_path, "sample", "problems.jsonl", *SCRIPTED, "--answer-rule", "loose", "-o", "x.jsonl", code=2)
    assert b"paper" in refused.stderr
