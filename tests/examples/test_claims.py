"""The page of claims, from results that are written here and counted by hand."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

ANSWER = {"text": "1", "steps": ["1"], "answer": "1", "source": "eval"}
SCRIPT = Path(__file__).parents[2] / "examples" / "claims.py"


@pytest.fixture(scope="module")
def claims() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SCRIPT.parent))  # as for a script that is run
    spec = importlib.util.spec_from_file_location("claims", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["claims"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SCRIPT.parent))


def claims_arms(claims: ModuleType, run: Path) -> Any:
    return claims.arms_of(claims.found_runs(run))


def write(run: Path, seed: str, arm: str, policy: str, right: str) -> None:
    """Results of one policy: a problem per letter of `right`, "r" is right; the last one is out of domain."""
    folder = run / seed / arm / "eval"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "id": f"p{i}", "task": "math", "question": "?", "answer": "1",
            "split": "ood" if i == len(right) - 1 else "test",
            "paths": [{**ANSWER, "id": f"p{i}/0", "correct": letter == "r"}],
        }
        for i, letter in enumerate(right)
    ]  # fmt: skip
    file = folder / f"{policy}.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path(f"{file}.manifest.json").write_text(json.dumps({"complete": True, "stage": "eval", "counts": {}}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for seed in ("0", "1"):
        write(tmp_path, seed, "sipf", "sft", "rwwwwwwwww" + "w")
        write(tmp_path, seed, "sipf", "round1", "rrrrwwwwww" + "w")
        write(tmp_path, seed, "sipf", "round2", "rrrrrrrrww" + "r")
        write(tmp_path, seed, "siof", "round1", "rrwwwwwwww" + "w")
        write(tmp_path, seed, "siof", "round2", "wrwwwwwrrr" + "w")
    write(tmp_path, "0", "rft", "round1", "rrrwwwwwww" + "w")
    write(tmp_path, "0", "rft", "round2", "rrrwwwwwww" + "w")
    write(tmp_path, "1", "rft", "round1", "rrrrrrrrrr" + "r")
    return tmp_path


def test_published_sets_beside_the_one_trained_on_are_out_of_domain(claims: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "0", "sipf", "round1", "rwr")
    file = tmp_path / "0/sipf/eval/round1.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line, task in zip(lines, ("gsm8k", "mmlu_math", "humaneval"), strict=True):
        line["task"] = task
        del line["split"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (arm,) = claims.found_runs(tmp_path)
    assert {split: one.right for (_, split), one in arm.answers.items()} == {"test": [True], "ood": [False, True]}


def test_the_comparison_is_paired_and_stratified_by_seed(claims: ModuleType, run: Path) -> None:
    arms = claims_arms(claims, run)
    found = claims.difference(arms["sipf"].at("test").right, arms["siof"].at("test").right)
    # Of 10 problems a seed SIPF has 8 right, SIOF 4; 6 are right for SIPF alone, 2 for SIOF alone.
    assert found.gain == pytest.approx(0.4)
    assert found.p == pytest.approx(0.0768127, abs=1e-6), "12 to 4: 2 * P(X <= 4), X binomial of 16 and 1/2"
    assert found.by_seed == {"0": pytest.approx(0.4), "1": pytest.approx(0.4)}
    assert (found.low, found.high) == (pytest.approx(0.4 - 0.35063, abs=1e-4), pytest.approx(0.4 + 0.35063, abs=1e-4))
    assert found.verdict() == "not shown", "p is above 0.05"
    assert claims.difference(arms["sipf"].at("test").right, arms["sft"].at("test").right).verdict() == "holds"
    assert claims.difference(arms["sft"].at("test").right, arms["sipf"].at("test").right).verdict() == "the opposite"


def test_seeds_that_disagree_show_nothing(claims: ModuleType) -> None:
    better = {f"0/{i}": True for i in range(30)} | {f"1/{i}": i < 1 for i in range(10)}
    than = {f"0/{i}": False for i in range(30)} | {f"1/{i}": i < 2 for i in range(10)}
    found = claims.difference(better, than)
    assert found.p < 1e-6
    assert found.verdict() == "not shown"


def test_the_page_holds_each_claim_whose_arms_have_run(claims: ModuleType, run: Path) -> None:
    text = claims.page(claims_arms(claims, run), None)
    (row,) = (line for line in text.splitlines() if line.startswith("| SIPF is above SFT |"))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "SIPF is above SFT", "+12.4", "+70.0", "+49.9 to +90.1", "+70.0, +70.0", "0.00012", "**holds**",
    ]  # fmt: skip
    (row,) = (line for line in text.splitlines() if "still rises in round 2" in line)
    assert "+40.0" in row
    assert "| SIPF is above SRF" not in text, "that arm has not run"
    (absent,) = (line for line in text.splitlines() if line.startswith("No arm was run for:"))
    assert "SIPF is above SRF, at equal pairs;" in absent
    assert "above SFT," not in absent
    (row,) = (line for line in text.splitlines() if line.startswith("| SIOF: outcome feedback |"))
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["20.0", "40.0", "40.0 (21.9 to 61.3)"]


def test_figures_stand_beside_the_page(claims: ModuleType, run: Path, tmp_path: Path) -> None:
    test, ood = claims.figures(claims_arms(claims, run))
    assert test.table().columns == ("round", "sipf", "siof", "rft")
    assert [row[:3] for row in test.table().rows] == [
        ("SFT", "10 (2.79 to 30.1)", "10 (2.79 to 30.1)"),
        ("1", "40 (21.9 to 61.3)", "20 (8.07 to 41.6)"),
        ("2", "80 (58.4 to 91.9)", "40 (21.9 to 61.3)"),
    ]
    output = tmp_path / "docs" / "claims.md"
    output.parent.mkdir()
    subprocess.run([sys.executable, str(SCRIPT), str(run), "-o", str(output)], check=True, capture_output=True)
    for name in (test.name, ood.name):
        assert f"](claims/{name}.svg)" in output.read_text()
        ElementTree.parse(output.parent / "claims" / f"{name}.svg")


def test_an_unfinished_seed_is_left_out_and_said(claims: ModuleType, run: Path) -> None:
    arms = claims_arms(claims, run)
    assert arms["rft"].seeds == ["0"]
    assert arms["rft"].at("test").rate() == pytest.approx(0.3)
    assert "Not finished for every seed: RFT (1 seeds)." in claims.page(arms, None)


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    line = [sys.executable, str(SCRIPT), str(tmp_path), "-o", str(tmp_path / "page.md")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no finished arm sipf" in done.stderr
    assert "Traceback" not in done.stderr


def test_kept_arms_stand_beside_those_of_a_run(claims: ModuleType, run: Path, tmp_path: Path) -> None:
    def made(run: Path, name: str, *more: str) -> str:
        line = [sys.executable, str(SCRIPT), str(run), "-o", str(tmp_path / f"{name}.md"), *more]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.replace(name, "page")

    whole = made(run, "whole")
    again = tmp_path / "again"
    for seed in ("0", "1"):
        (run / seed / "siof").rename(tmp_path / f"siof{seed}")
        write(again, seed, "orm", "round1", "rrrrwwwwww" + "w")
        write(again, seed, "orm", "round2", "rrrrrrwwww" + "r")
    kept = tmp_path / "whole"
    first, told = made(run, "second", "--kept", str(kept)).split("\nArms of an earlier run: ")
    assert first.rstrip() == whole.rstrip(), "an arm that is gone comes from what was kept"
    assert told.startswith("SIOF: outcome feedback. Where ")
    found = claims.arms_of([*claims.found_runs(again), *claims.kept_runs(kept / "arms.jsonl")])
    assert found["orm"].at("test").rate() == pytest.approx(0.6)
    assert found["siof"].at("test").rate() == pytest.approx(0.4)
    assert len((kept / "arms.jsonl").read_text().splitlines()) == 8

    for seed in ("0", "1"):
        write(run, seed, "siof", "round1", "rrrrrrrrrr" + "w")
        write(run, seed, "siof", "round2", "rrrrrrrrrr" + "w")
    (row,) = (line for line in made(run, "third", "--kept", str(kept)).splitlines() if line.startswith("| SIOF: "))
    assert row.split("|")[2].strip() == "100.0", "the run replaces what was kept"


def test_arms_of_one_round_are_compared_after_it(claims: ModuleType, run: Path) -> None:
    for seed in ("0", "1"):
        write(run, seed, "beta-1.0", "round1", "rwwwwwwwww" + "w")
    runs = claims.found_runs(run)
    arms, first = claims.arms_of(runs), claims.arms_of(runs, 1)
    assert "beta-1.0" not in arms
    text = claims.page(arms, first=first)
    (row,) = (line for line in text.splitlines() if line.startswith("| beta 0.1 is better than 1.0"))
    assert [cell.strip() for cell in row.split("|")[1:6]] == [
        "beta 0.1 is better than 1.0 (after the first round)", "yes", "+30.0", "+9.9 to +50.1", "+30.0, +30.0",
    ]  # fmt: skip
    assert "beta 0.1 is better than 1.0" not in text[text.index("No arm was run for") :]
    _, table = text.split("## After the first round")
    (row,) = (line for line in table.splitlines() if line.startswith("| SIPF, beta 1.0 | 10.0 |"))
    (sipf,) = (line for line in table.splitlines() if line.startswith("| **SIPF**") and "| 40.0 |" in line)
    assert "80.0" not in sipf, "its first round, and not its last"
    assert "SIPF, beta" not in claims.page(arms), "they are left out where no first round is given"


def test_a_run_of_more_rounds_and_one_on_code_are_kept_too(run: Path, tmp_path: Path) -> None:
    def made(name: str, *more: str) -> str:
        line = [sys.executable, str(SCRIPT), str(run), "-o", str(tmp_path / f"{name}.md"), *more]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    first = made("first", "--long", str(run), "--code", str(run))
    assert "## More rounds" in first
    assert "## Code" in first
    line = [sys.executable, str(SCRIPT), "--kept", str(tmp_path / "first"), "-o", str(tmp_path / "kept_only.md")]
    again = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    assert again.replace("kept_only", "first") == first, "from what was kept alone"


def test_what_a_run_has_no_arm_for_is_compared_within_a_second_one(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for seed in ("0", "1"):
        write(other, seed, "sipf", "sft", "rwwwwwwwww" + "w")
        write(other, seed, "sipf", "round1", "rrrrrwwwww" + "w")
        write(other, seed, "sipf", "round2", "rrrrrrwwww" + "r")
        write(other, seed, "star", "round1", "rrwwwwwwww" + "w")
        write(other, seed, "star", "round2", "rrrwwwwwww" + "w")
        write(other, seed, "beta-1.0", "round1", "rwwwwwwwww" + "w")
    line = [sys.executable, str(SCRIPT), str(run), "--second", str(other), "-o", str(tmp_path / "page.md")]
    text = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    rows = {row.split("|")[1].strip(): row.split("|")[3].strip() for row in text.splitlines() if row.startswith("| ")}
    assert rows["SIPF is above STaR (second run)"] == "+30.0", "60 against 30, and not the first run's 80"
    assert rows["beta 0.1 is better than 1.0 (after the first round)"] == "+40.0", "50 against 10, and not 40"
    assert rows["SIPF is above SFT"] == "+70.0"
    assert "## A second run" in text
    assert len((tmp_path / "page" / "second.jsonl").read_text().splitlines()) == 8


def test_arms_on_other_problems_are_not_compared(run: Path, tmp_path: Path) -> None:
    for seed in ("0", "1"):
        write(run, seed, "srf", "round1", "rrrwww" + "w")
        write(run, seed, "srf", "round2", "rrrwww" + "w")
    line = [sys.executable, str(SCRIPT), str(run), "-o", str(tmp_path / "page.md")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 2
    assert "srf was measured on other problems than the other arms (seed 0, test)" in done.stderr
