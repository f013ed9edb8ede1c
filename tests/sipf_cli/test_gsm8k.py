"""Real GSM8K lines through every stage. With a script what each stage must find is known beforehand; the embedded model
knows nothing of these questions, but every stage has to take it on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data import need
from tests.sipf_cli.commands import ON_CPU, SCRIPTED, read, run, write

QUESTIONS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty train questions, sampled, and labelled under both strategies."""
    folder = tmp_path_factory.mktemp("gsm8k")
    official = need("gsm8k/train.jsonl")
    run(folder, "data", "gsm8k", "--path", official, "--split", "train", "-n", QUESTIONS, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 8, "-o", "paths.jsonl")
    for strategy in ("exact", "brute"):
        run(folder, "simulate", "paths.jsonl", *SCRIPTED, "--strategy", strategy, "-o", f"{strategy}.jsonl")
    return folder


def hard(path: dict[str, Any]) -> list[bool]:
    return [label.get("gold", False) or label["hits"] > label["delta"] for label in path["labels"]]


def test_questions_come_with_the_steps_of_their_solutions(folder: Path) -> None:
    problems = read(folder / "problems.jsonl")
    assert len(problems) == QUESTIONS
    assert problems[0]["question"].startswith("Natalia sold clips to 48 of her friends in April")
    assert problems[0]["answer"] == "72"
    assert len(problems[0]["solution"]) == 2
    assert not any("####" in step for problem in problems for step in problem["solution"])


def test_a_policy_that_is_right_four_times_in_ten_is_judged_so(folder: Path) -> None:
    counts = json.loads((folder / "paths.jsonl.manifest.json").read_text())["counts"]
    assert counts["drawn"] == 8 * QUESTIONS
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped: "))
    assert counts["kept"] + dropped == counts["drawn"]
    assert counts["dropped: false equation"] > 0
    # right paths repeat the gold solution, so one of them is kept: in all but 0.6 ** 8 = 2 % of the problems
    right = [sum(path["correct"] for path in problem["paths"]) for problem in read(folder / "paths.jsonl")]
    assert max(right) == 1
    assert 0.85 * QUESTIONS <= sum(right) <= QUESTIONS


def test_a_step_is_labelled_right_if_it_agrees_with_the_solution_so_far(folder: Path) -> None:
    misses = steps = 0
    for problem in read(folder / "brute.jsonl"):
        for path in problem["paths"]:
            agrees = [path["steps"][: j + 1] == problem["solution"][: j + 1] for j in range(len(path["steps"]))]
            if path["source"] == "gold":
                assert path["steps"] == problem["solution"]
                assert hard(path) == agrees == [True] * len(agrees)
                assert all(label["draws"] == 0 for label in path["labels"])
                continue
            assert all(label["draws"] == 8 for label in path["labels"])
            for said, true in zip(hard(path), agrees, strict=True):
                assert true or not said  # from a step that has left the solution no draw comes back
                misses += true and not said
                steps += true
    assert steps > 100
    assert misses / steps < 0.06  # eight draws in a row fail with 0.6 ** 8 = 1.7 %


def test_exact_finds_the_labels_of_brute_with_fewer_rollouts(folder: Path) -> None:
    exact, brute = read(folder / "exact.jsonl"), read(folder / "brute.jsonl")
    assert [problem["id"] for problem in exact] == [problem["id"] for problem in brute]
    for one, other in zip(exact, brute, strict=True):
        assert [hard(path) for path in one["paths"]] == [hard(path) for path in other["paths"]]
        for mine, theirs in zip(one["paths"], other["paths"], strict=True):
            for few, all_ in zip(mine["labels"], theirs["labels"], strict=True):
                assert few.get("rollouts", []) == all_.get("rollouts", [])[: few["draws"]]
    spent, most = (
        json.loads((folder / f"{name}.jsonl.manifest.json").read_text())["counts"]["rollouts"]
        for name in ("exact", "brute")
    )
    assert spent < 0.9 * most


def test_pairs_by_outcome_put_right_paths_above_wrong_ones(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, "pairs", folder / "exact.jsonl", "--rule", "outcome", "--max-per-problem", 3, "-o", "pairs.jsonl")
    pairs = read(tmp_path / "pairs.jsonl")
    problems = {problem["id"]: problem for problem in read(folder / "exact.jsonl")}
    assert len(pairs) > QUESTIONS
    for pair in pairs:
        paths = {path["text"]: path for path in problems[pair["problem"]]["paths"] if path["source"] != "gold"}
        assert paths[pair["chosen"]]["correct"]
        assert not paths[pair["rejected"]]["correct"]
        assert pair["question"] in pair["prompt"]


def test_an_untaught_model_goes_through_every_stage(folder: Path, tmp_path: Path, inside: Any) -> None:
    write(tmp_path / "problems.jsonl", read(folder / "problems.jsonl")[:6])
    model = ("-m", "chain-base", *ON_CPU)
    short = ("--max-tokens", 40)
    inside("sample", "problems.jsonl", *model, *short, "-n", 4, "--keep-unfinished", "-o", "paths.jsonl")
    inside("simulate", "paths.jsonl", *model, *short, "--k", 2, "-o", "labels.jsonl")
    train = ("--epochs", 1, "--lr", "5e-4", "--device", "cpu", "--json")
    trained = json.loads(inside("train-prm", "labels.jsonl", *model[:2], *train, "--held-out", 0.4, "-o", "prm").stdout)
    inside("score", "labels.jsonl", "-m", "prm", *ON_CPU, "-o", "scored.jsonl")
    inside("pairs", "scored.jsonl", "--gold", "--eta", 0, "-o", "pairs.jsonl")
    inside("sft", "problems.jsonl", *model[:2], *train, "-o", "m0")
    inside("orpo", "pairs.jsonl", *model[:2], *train, "-o", "m1")
    told = inside("eval", "problems.jsonl", "-m", "m1", *ON_CPU, *short, "-o", "r.jsonl", "--json").stdout

    labelled = [path for problem in read(tmp_path / "labels.jsonl") for path in problem["paths"]]
    assert sum(path["source"] == "gold" for path in labelled) == 6
    assert sum(path["source"] == "sample" for path in labelled) > 6
    assert all(len(path["labels"]) == len(path["steps"]) for path in labelled)
    assert trained["eval"]["paths"] > 0
    scores = [path["scores"]["prm"] for problem in read(tmp_path / "scored.jsonl") for path in problem["paths"]]
    assert len(scores) == len(labelled)
    assert all(0 <= value <= 1 for score in scores for value in score["steps"])
    chosen = {pair["chosen"] for pair in read(tmp_path / "pairs.jsonl")}
    # the model gets nothing right, so all that is preferred is gold (or a lucky hit)
    assert chosen <= {path["text"] for path in labelled if path["correct"]}
    assert json.loads(told)["problems"] == 6
