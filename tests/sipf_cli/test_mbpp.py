"""MBPP train lines through every stage: a scripted writer mixes right, wrong and hostile programs, so that what every
label, score and pair must be is known beforehand and computed here once more. Limits are short: endless programs cost
little then."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data import need
from tests.models import build_model
from tests.sipf_cli.commands import ON_CPU, SCRIPTED, read, write

PROBLEMS, DRAWS, K = 40, 3, 6
LIMITS = ("--check-cpu", 0.3, "--check-wall", 3)
WRITER = (*SCRIPTED, *LIMITS)
Row = dict[str, Any]


def sipf(folder: Path, *arguments: object, code: int = 0) -> None:
    """Run `sipf ARGUMENTS` in a folder and in this process."""
    from sipf_cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["sipf", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert (ended.value.code or 0) == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty train problems, sampled, and labelled under both strategies (by brute force the first six)."""
    folder = tmp_path_factory.mktemp("mbpp")
    official = need("mbpp/mbpp.jsonl")
    sipf(folder, "data", "mbpp", "--path", official, "--split", "train", "-n", PROBLEMS, "-o", "problems.jsonl")
    sipf(folder, "sample", "problems.jsonl", *WRITER, "-n", DRAWS, "-o", "paths.jsonl")
    write(folder / "few.jsonl", read(folder / "paths.jsonl")[:6])
    how = (*WRITER, "--k", K, "--keep-text")
    sipf(folder, "simulate", "paths.jsonl", *how, "-o", "exact.jsonl")
    sipf(folder, "simulate", "few.jsonl", *how, "--strategy", "brute", "-o", "brute.jsonl")
    return folder


def counts(file: Path) -> dict[str, int]:
    return dict(json.loads(file.with_name(f"{file.name}.manifest.json").read_text())["counts"])


def gold_of(problem: Row) -> str:
    return "\n".join(problem["solution"])


def chunks(text: str, size: int = 2) -> list[str]:
    """The prefix of every non-empty line: the text up to the end of its chunk of lines."""
    ends, at = [], 0
    for line in text.split("\n"):
        at += len(line) + 1
        if line.strip():
            ends.append(at - 1)
    last = len(ends) - 1
    return [text[: ends[min(last, j - j % size + size - 1)]] + "\n" for j in range(len(ends))]


def is_right(problem: Row, text: str) -> bool:
    """The writer's right programs are the reference; all its others must fail."""
    return text.rstrip("\n") == gold_of(problem).rstrip("\n")


def hard(path: Row) -> list[bool]:
    return [label.get("gold", False) or label["hits"] > label["delta"] for label in path["labels"]]


def test_every_hostile_or_wrong_program_is_a_wrong_path_and_every_reference_a_right_one(folder: Path) -> None:
    told = counts(folder / "paths.jsonl")
    problems = read(folder / "paths.jsonl")
    assert len(problems) == PROBLEMS
    seen: Counter[str] = Counter()
    for problem in problems:
        for path in problem["paths"]:
            assert path["correct"] == is_right(problem, path["text"]) == (path["outcome"] == "passed")
            assert path["steps"] == [line for line in path["text"].split("\n") if line.strip()]
            assert "answer" not in path
            seen[path["outcome"]] += 1
    assert {"passed", "wrong", "exception", "syntax", "crash"} <= set(seen)
    ends = {name: n for name, n in told.items() if name.startswith("outcome: ")}
    assert sum(ends.values()) == told["drawn"] == PROBLEMS * DRAWS
    assert told["drawn"] == told["kept"] + sum(n for name, n in told.items() if name.startswith("dropped: "))
    assert all(ends[f"outcome: {outcome}"] >= n for outcome, n in seen.items())
    assert told["problems with a right path"] == sum(any(p["correct"] for p in q["paths"]) for q in problems)
    assert 0.6 * PROBLEMS < told["kept right"] <= PROBLEMS  # 1 - 0.6 ** 3 = 78 %


def test_problem_601_hands_over_objects_and_its_verdicts_say_that_they_are_weak(folder: Path) -> None:
    first, *others = read(folder / "paths.jsonl")
    assert first["id"] == "mbpp/train/601"
    assert all(path["weak"] is True for path in first["paths"])
    assert not any("weak" in path for problem in others for path in problem["paths"])


@pytest.mark.parametrize("name", ["exact", "brute"])
def test_rollouts_are_right_if_they_end_in_the_reference_and_labels_follow_from_them(folder: Path, name: str) -> None:
    misses = good = 0
    for problem in read(folder / f"{name}.jsonl"):
        gold = gold_of(problem)
        sampled = [path for path in problem["paths"] if path["source"] == "sample"]
        (own,) = [path for path in problem["paths"] if path["source"] == "gold"]
        assert own["text"] == gold
        assert own["correct"]
        assert hard(own) == [True] * len(own["steps"])
        for path in sampled:
            assert len(path["labels"]) == len(path["steps"])
            for prefix, label in zip(chunks(path["text"]), path["labels"], strict=True):
                rollouts = label["rollouts"]
                for rollout in rollouts:
                    assert rollout["correct"] == is_right(problem, prefix + rollout["text"])
                    assert rollout["correct"] == (rollout["outcome"] == "passed")
                assert label["hits"] == sum(rollout["correct"] for rollout in rollouts)
                assert label["draws"] == len(rollouts)
                agrees = f"{gold}\n".startswith(prefix)
                if name == "brute":
                    assert label["draws"] == K
                elif label["hits"]:
                    assert [rollout["correct"] for rollout in rollouts] == [False] * (len(rollouts) - 1) + [True]
                else:
                    assert label["draws"] == K
                assert agrees or not label["hits"]  # from a step that has left the reference no draw comes back
                good += agrees
                misses += agrees and not label["hits"]
    assert good > (100 if name == "exact" else 12)
    assert misses / good < 0.15  # six draws in a row fail with 0.6 ** 6 = 4.7 %, and chunks share their draws


def test_exact_finds_the_labels_of_brute_with_fewer_rollouts(folder: Path) -> None:
    few = {problem["id"]: problem for problem in read(folder / "exact.jsonl")}
    for problem in read(folder / "brute.jsonl"):
        for one, other in zip(few[problem["id"]]["paths"], problem["paths"], strict=True):
            assert hard(one) == hard(other)
            for mine, theirs in zip(one["labels"], other["labels"], strict=True):
                assert mine.get("rollouts", []) == theirs.get("rollouts", [])[: mine["draws"]]
    told = counts(folder / "exact.jsonl")
    assert told["rollouts"] < told["brute rollouts, unique prefixes"]
    ends = {name: n for name, n in told.items() if name.startswith("outcome: ")}
    assert sum(ends.values()) == told["rollouts"]
    assert {"outcome: passed", "outcome: timeout", "outcome: memory"} <= set(ends)


def test_the_same_command_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "problems.jsonl", read(folder / "problems.jsonl")[:10])
    for name in ("one", "two"):
        sipf(tmp_path, "sample", "problems.jsonl", *WRITER, "-n", 3, "-o", f"{name}.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    spent = json.loads((tmp_path / "one.jsonl.manifest.json").read_text())["usage"]
    assert spent["programs checked"] <= 30
    assert spent["check CPU ms"] >= 0


@pytest.mark.parametrize("rule", ["lines:1", "blocks"])
def test_the_cut_that_the_line_asks_for_is_the_cut_of_every_stage(folder: Path, tmp_path: Path, rule: str) -> None:
    kind, _, chunk = rule.partition(":")
    how = ("--steps", kind, *(("--chunk", chunk) if chunk else ()))
    official = need("mbpp/mbpp.jsonl")
    sipf(tmp_path, "data", "mbpp", "--path", official, "--split", "train", "-n", 6, *how, "-o", "problems.jsonl")
    sipf(tmp_path, "sample", "problems.jsonl", *WRITER, "-n", 2, "-o", "paths.jsonl")
    sipf(tmp_path, "simulate", "paths.jsonl", *WRITER, "--k", 1, "-o", "labels.jsonl")
    for problem in read(tmp_path / "labels.jsonl"):
        assert problem["tests"]["steps"] == rule
        for path in problem["paths"]:
            assert len(path["labels"]) == len(path["steps"])
            assert all(step in path["text"] for step in path["steps"])
            if rule == "lines:1" and path["source"] == "sample":
                agrees = [f"{gold_of(problem)}\n".startswith(prefix) for prefix in chunks(path["text"], 1)]
                assert all(true or not said for said, true in zip(hard(path), agrees, strict=True))


def test_a_tiny_model_is_trained_and_scores_and_pairs_are_what_the_definition_says(
    folder: Path, tmp_path: Path, one_thread: None
) -> None:
    base = build_model(tmp_path / "base", positions=2048)
    lines = folder / "exact.jsonl"
    train = ("--epochs", 1, "--lr", "5e-3", "--batch", 8, "--max-length", 2048, "--device", "cpu", "--group-by-length")
    sipf(tmp_path, "train-prm", lines, "-m", base, *train, "--held-out", 0.2, "-o", "prm")
    sipf(tmp_path, "score", lines, "-m", "prm", *ON_CPU, "-o", "scored.jsonl")
    scored = read(tmp_path / "scored.jsonl")
    paths = [path for problem in scored for path in problem["paths"]]
    assert len(scored) == PROBLEMS
    for path in paths:
        score = path["scores"]["prm"]
        assert len(score["steps"]) == len(path["steps"])
        assert score["mean"] == pytest.approx(sum(score["steps"]) / len(score["steps"]))
        assert score["min"] == min(score["steps"])

    eta, most = 0.0005, 2
    sipf(
        tmp_path,
        "pairs",
        "scored.jsonl",
        "--aggregate",
        "mean",
        "--eta",
        eta,
        "--max-per-problem",
        most,
        "-o",
        "pairs.jsonl",
    )
    made = Counter(pair["problem"] for pair in read(tmp_path / "pairs.jsonl"))
    for problem in scored:
        sampled = [path for path in problem["paths"] if path["source"] == "sample"]
        gaps = {
            (better["text"], worse["text"]): better["scores"]["prm"]["mean"] - worse["scores"]["prm"]["mean"]
            for better in sampled
            for worse in sampled
            if better["correct"] and better is not worse
        }
        wide = {pair: gap for pair, gap in gaps.items() if gap >= eta}
        assert made[problem["id"]] == min(most, len(wide)), problem["id"]
    problems = {problem["id"]: problem for problem in scored}
    pairs = read(tmp_path / "pairs.jsonl")
    assert len(pairs) >= 8
    for pair in pairs:
        assert pair["chosen_score"] - pair["rejected_score"] >= eta
        assert pair["chosen"] == gold_of(problems[pair["problem"]])
        assert pair["prompt"].endswith("\n".join(pair["tests"]["shown"]) + "\n[BEGIN]\n")

    write(tmp_path / "few.jsonl", read(folder / "problems.jsonl")[:6])
    sipf(tmp_path, "sft", "few.jsonl", "-m", base, *train, "-o", "m0")
    write(tmp_path / "some.jsonl", pairs[:16])
    sipf(tmp_path, "orpo", "some.jsonl", "-m", base, *train, "-o", "m1")
    sipf(tmp_path, "eval", "few.jsonl", "-m", "m1", *ON_CPU, *LIMITS, "--max-tokens", 24, "-o", "eval.jsonl")
    answers = [path for problem in read(tmp_path / "eval.jsonl") for path in problem["paths"]]
    assert len(answers) == 6
    assert all(path["outcome"] in ("syntax", "exception", "wrong") for path in answers)


def test_every_step_of_a_program_ends_in_the_token_that_its_score_is_read_from(folder: Path, tmp_path: Path) -> None:
    from evals.records import Problem
    from evals.tasks import task_of
    from evals.tasks.base import step_ends
    from stages.models.loading import load_tokenizer
    from stages.models.templates import make_prompter

    tokenizer = load_tokenizer(build_model(tmp_path / "base"))
    for row in read(folder / "exact.jsonl")[:10]:
        problem = Problem.model_validate(row)
        prompter = make_prompter(tokenizer, task_of(problem).templates)
        prompt = prompter.prompt(problem)
        for path in problem.paths:
            ids, positions = prompter.step_positions(problem, path.text, step_ends(task_of(problem), path))
            assert len(positions) == len(path.steps)
            for step, position in zip(path.steps, positions, strict=True):
                text = tokenizer.decode(ids[: position + 1], skip_special_tokens=True)
                assert text.startswith(prompt)
                assert text.rstrip().endswith(step.rstrip())


def test_a_bad_line_is_named_skipped_and_counted(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad, worse, *_ = read(folder / "problems.jsonl")[1:]
    bad["tests"]["steps"] = "words"
    del worse["tests"]
    write(tmp_path / "in.jsonl", [good, bad, worse])
    sipf(tmp_path, "sample", "in.jsonl", *WRITER, "-n", 1, "-o", "out.jsonl", code=3)
    said = capfd.readouterr().err
    assert "in.jsonl:2: tests.steps: 'words' is neither lines:N" in said
    assert "in.jsonl:3: tests: missing" in said
    assert len(read(tmp_path / "out.jsonl")) == 1


def test_the_papers_settings_for_code_are_a_preset(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", read(folder / "problems.jsonl")[1:2])
    how = ("--preset", "paper-code", *WRITER, "--max-draws", 60)
    sipf(tmp_path, "sample", "in.jsonl", *how, "-o", "out.jsonl")
    sipf(tmp_path, "simulate", "out.jsonl", "--preset", "paper-code", *WRITER, "--share", 0, "-o", "labels.jsonl")
    options = [
        json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text())["options"] for name in ("out", "labels")
    ]
    assert (options[0]["temperature"], options[0]["want"], options[0]["n"]) == (0.7, 50, 30)
    assert options[0]["time_cap"] is None
    assert options[0]["near_duplicate"] > 0
    assert (options[1]["k"], options[1]["delta"]) == (6, 0)
    assert counts(tmp_path / "out.jsonl")["drawn"] == 60


def test_contradicting_ways_to_cut_are_refused(tmp_path: Path, sipf: Callable[..., Any]) -> None:
    done = sipf("data", "humaneval", "--steps", "blocks", "--chunk", "3", "-o", "x.jsonl")
    assert done.returncode == 2
    assert "--chunk counts lines" in done.stderr
