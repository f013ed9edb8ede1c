"""`sipf simulate` with every strategy and `sipf relabel`, as a person runs them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import ON_CPU, SCRIPTED, run
from tests.sipf_cli.test_interruption import interrupted


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sampled lines: a few, and many."""
    folder = tmp_path_factory.mktemp("strategies")
    for n, name in ((12, "few.jsonl"), (250, "many.jsonl")):
        run(folder, "data", "chain", "--split", "train", "-n", n, "-o", "problems.jsonl", "--overwrite")
        run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 4, "-o", name)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        ("--strategy", "first-error", "--budget", 20, "--run-budget", 4000, "--audit", 0.1),
        ("--strategy", "mcts", "--searches", 4, "--k", 4),
    ],
)
def test_a_sequential_strategy_that_is_killed_and_stopped_writes_the_same_bytes(
    options: tuple[object, ...], paths: Path, tmp_path: Path, inside: Any
) -> None:
    sorts = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL]
    interrupted(inside, tmp_path, ("simulate", paths / "many.jsonl", *SCRIPTED, *options), sorts, seed=5)


def test_a_model_is_killed_in_the_middle_of_a_search(
    paths: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    line = ("simulate", paths / "few.jsonl", "-m", "chain-base", "--k", 3, "--batch-rows", 8, *ON_CPU)
    interrupted(inside, tmp_path, (*line, "--strategy", "binary", "--audit", 0.3), [signal.SIGKILL], seed=3)


def test_cost_kinds_of_labels_and_the_audit_are_reported(paths: Path, tmp_path: Path, inside: Any) -> None:
    line = ("simulate", paths / "few.jsonl", *SCRIPTED, "--strategy", "first-error", "--audit", 0.5)
    done = json.loads(inside(*line, "-o", "labels.jsonl", "--json").stdout)
    assert set(done["labels"]) == {"drawn", "after-dead"}
    assert sum(done["labels"].values()) == done["counts"]["steps labelled"]
    assert set(done["cost"]) == {
        f"{what} against brute, {kind}"
        for what in ("rollouts", "tokens")
        for kind in ("unique prefixes", "every prefix")
    }
    assert done["audit"]["first errors that agree"]["rate"] == 100
    said = inside(*line, "-o", "again.jsonl").stdout
    assert "Audit against brute force" in said
    assert "first errors that agree" in said
    assert (tmp_path / "labels.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_a_run_budget_is_never_exceeded_and_shards_agree_with_the_whole(
    paths: Path, tmp_path: Path, inside: Any
) -> None:
    line = ("simulate", paths / "many.jsonl", *SCRIPTED, "--run-budget", 3000)
    done = json.loads(inside(*line, "-o", "whole.jsonl", "--json").stdout)
    assert 1000 < done["counts"]["rollouts"] <= 3000
    assert done["counts"]["problems left unlabelled: run budget"] + done["counts"]["problems labelled"] == 250
    for shard in range(2):
        inside(*line, "--shard", f"{shard}/2", "-o", "part.{shard}.jsonl")
    inside("merge", "part.0.jsonl", "part.1.jsonl", "-o", "merged.jsonl")
    assert (tmp_path / "merged.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--strategy", "tree"), "tree"),
        (("--confidence", 2), "is not between 0 and 1"),
        (("--strategy", "brute", "--confidence", 0.9), "makes all draws"),
        (("--strategy", "mcts", "--run-budget", 10), "--budget"),
        (("--prior", "1"), "RIGHT:WRONG"),
        (("--prior", "0:1"), "above 0"),
    ],
)
def test_options_that_make_no_sense_together_are_usage_errors(
    options: tuple[object, ...], said: str, paths: Path, inside: Any
) -> None:
    assert said in inside("simulate", paths / "few.jsonl", *SCRIPTED, *options, "-o", "out.jsonl", code=2).stderr


def test_prm_guided_without_scores_says_what_to_run(paths: Path, inside: Any) -> None:
    done = inside("simulate", paths / "few.jsonl", *SCRIPTED, "--strategy", "prm-guided", "-o", "out.jsonl", code=3)
    assert "scores.prm: missing" in done.stderr


def test_prm_guided_goes_by_the_scores_of_a_reward_model(paths: Path, prm: Path, inside: Any) -> None:
    inside("score", paths / "few.jsonl", "-m", prm, *ON_CPU, "--name", "mine", "-o", "scored.jsonl")
    line = ("simulate", "scored.jsonl", *SCRIPTED, "--strategy", "prm-guided", "--name", "mine", "--walk-on")
    done = json.loads(inside(*line, "--audit", 1, "-o", "out.jsonl", "--json").stdout)
    assert done["audit"]["first errors that agree"]["n"] > 20
    assert "undecided" not in done["labels"]


def test_relabel_derives_what_the_rollouts_decide_and_refuses_the_rest(
    paths: Path, tmp_path: Path, inside: Any
) -> None:
    for name in ("brute", "exact"):
        inside("simulate", paths / "few.jsonl", *SCRIPTED, "--strategy", name, "-o", f"{name}.jsonl")
    done = json.loads(
        inside("relabel", "brute.jsonl", "--delta", 1, "--want", "soft", "-o", "d1.jsonl", "--json").stdout
    )
    assert done["counts"]["labels changed"] > 0
    assert done["counts"]["soft labels"] == done["counts"]["steps"]
    wanted = inside("simulate", paths / "few.jsonl", *SCRIPTED, "--strategy", "brute", "--delta", 1, "-o", "w.jsonl")
    assert wanted.returncode == 0
    assert (tmp_path / "d1.jsonl").read_bytes() == (tmp_path / "w.jsonl").read_bytes()
    refused = inside("relabel", "exact.jsonl", "--want", "soft", "-o", "s.jsonl", code=3)
    assert "no unbiased soft label (--strategy brute gives one)" in refused.stderr
    plan = json.loads(inside("relabel", "brute.jsonl", "--k", 4, "-o", "x.jsonl", "--dry-run", "--json").stdout)
    assert plan["steps"] == done["counts"]["steps"]
    assert not (tmp_path / "x.jsonl").exists()
