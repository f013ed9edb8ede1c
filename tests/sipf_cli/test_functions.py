"""The functions world through the commands: its base writes programs, and the sandbox judges them and their steps."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from tests.sipf_cli.commands import ON_CPU, read


def test_from_problems_by_the_embedded_base_to_labels_pairs_and_an_evaluation(tmp_path: Path, inside: Any) -> None:
    base = ("-m", "functions-base", *ON_CPU)
    inside("data", "functions", "--split", "train", "-n", 12, "--seed", 5, "-o", "problems.jsonl")
    inside("sample", "problems.jsonl", *base, "-n", 8, "-o", "paths.jsonl")
    lines = read(tmp_path / "paths.jsonl")
    paths = [path for line in lines for path in line["paths"]]
    outcomes = {path["outcome"] for path in paths}
    assert {"passed", "wrong"} <= outcomes, "it reads, and misreads"
    assert all(path["correct"] == (path["outcome"] == "passed") for path in paths)
    assert all(path["steps"] == path["text"].splitlines() for path in paths), "a step is a line"

    inside("simulate", "paths.jsonl", *base, "--strategy", "brute", "--k", 3, "-o", "labels.jsonl")
    labelled = [path for line in read(tmp_path / "labels.jsonl") for path in line["paths"]]
    assert {path["source"] for path in labelled} == {"sample", "gold"}
    for path in labelled:
        assert len(path["labels"]) == len(path["steps"])
    hits = [label["hits"] for path in labelled for label in path["labels"] if label["draws"]]
    assert 0 in hits
    assert max(hits) > 1

    inside("pairs", "labels.jsonl", "--rule", "outcome", "-o", "pairs.jsonl")
    pairs = read(tmp_path / "pairs.jsonl")
    right = {path["text"] for path in labelled if path["correct"]}
    assert pairs
    assert all(pair["chosen"] in right and pair["rejected"] not in right for pair in pairs)

    inside("data", "functions", "--split", "test", "-n", 30, "-o", "test.jsonl")
    inside("eval", "test.jsonl", *base, "-o", "eval.jsonl")
    answers = [path for line in read(tmp_path / "eval.jsonl") for path in line["paths"]]
    assert 5 < sum(path["correct"] for path in answers) < 25
    assert sum(_parses(path["text"]) for path in answers) >= 29, "it writes Python"


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
