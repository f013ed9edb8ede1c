"""report: the table of a loop's folder, from result files and manifests written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from evals.metrics import mcnemar, wilson
from stages.report import report
from stages.settings.report import ReportSettings


def results(folder: Path, name: str, finished: str, right: dict[str, list[int]], n: int = 10) -> None:
    """A complete result file: of each split's n problems, those numbered are right."""
    file = folder / "eval" / f"{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "id": f"{split}/{i}", "task": "chain", "question": "?", "answer": "1", "split": split,
            "paths": [{"id": f"{split}/{i}#0", "source": "eval", "text": "x", "correct": i in numbers}],
        }
        for split, numbers in right.items()
        for i in range(n)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest(file, finished=finished)


def manifest(file: Path, **more: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{file}.manifest.json").write_text(json.dumps({"complete": True, **more}))


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    results(folder, "round1", "2026-01-01T03:00:00", {"test": [*range(8)], "ood": [0]})
    results(folder, "base", "2026-01-01T01:00:00", {"test": [0], "ood": []})
    results(folder, "sft", "2026-01-01T02:00:00", {"test": [0, 1, 9], "ood": [0, 1]})
    first = folder / "r0"
    manifest(first / "paths.jsonl", counts={"drawn": 80, "kept": 60})
    manifest(first / "labels.jsonl", counts={
        "problems labelled": 5, "steps labelled": 40, "rollouts": 100, "rollout tokens": 900,
        "brute rollouts, every prefix": 320, "brute rollouts, unique prefixes": 200,
    })  # fmt: skip
    manifest(first / "pairs.jsonl", counts={"pairs": 33})
    (first / "prm").mkdir()
    (first / "prm" / "manifest.json").write_text(
        json.dumps(
            {
                "eval": {
                    "accuracy": 0.646,
                    "majority_accuracy": 0.708,
                    "auc": 0.95,
                    "pair_accuracy": 0.6,
                    "first_error_accuracy": 0.7,
                }
            }
        )
    )
    manifest(folder / "r10" / "paths.jsonl", counts={"drawn": 7})
    manifest(folder / "r2" / "paths.jsonl", counts={"drawn": 5})
    return folder


def test_policies_stand_in_the_order_in_which_they_were_measured_with_gains_over_sft(loop: Path) -> None:
    rows = report([loop])["policies"]
    assert [(row["policy"], row["split"]) for row in rows] == [
        (policy, split) for policy in ("base", "sft", "round1") for split in ("test", "ood")
    ]
    by_name = {(row["policy"], row["split"]): row for row in rows}
    last = by_name["round1", "test"]
    assert (last["right"], last["n"], last["low"], last["high"]) == (8, 10, *wilson(8, 10))
    assert last["gain"] == pytest.approx(0.5)
    assert last["p"] == mcnemar(1, 6), "only sft: problem 9; only round1: 2 to 7"
    assert by_name["round1", "ood"]["gain"] == pytest.approx(-0.1)
    assert "gain" not in by_name["sft", "test"]
    against_base = {
        row["policy"]: row
        for row in report([loop], ReportSettings(against="base"))["policies"]
        if row["split"] == "test"
    }
    assert against_base["sft"]["gain"] == pytest.approx(0.2)
    assert "gain" not in report([loop], ReportSettings(against="nobody"))["policies"][-1]
    assert last["trace"] is None, "these lines have no world to check steps against"


def test_a_round_is_measured_against_the_one_before_and_the_first_against_sft(loop: Path) -> None:
    results(loop, "round2", "2026-01-01T04:00:00", {"test": [*range(7)], "ood": [0]})
    rows = {(row["policy"], row["split"]): row for row in report([loop])["policies"]}
    last = rows["round2", "test"]
    assert (last["before"], last["gain_before"], last["p_before"]) == ("round1", pytest.approx(-0.1), mcnemar(1, 0))
    first = rows["round1", "test"]
    assert (first["before"], first["gain_before"], first["p_before"]) == ("sft", first["gain"], first["p"])
    assert all("before" not in rows[name, "test"] for name in ("base", "sft"))


def test_a_round_of_another_loop_is_measured_against_its_own_loop(loop: Path) -> None:
    other = loop.parent / "outcome"
    results(other, "round1", "2026-01-01T00:00:00", {"test": [0]})
    results(other, "round2", "2026-01-01T01:00:00", {"test": [0, 1]})
    rows = {row["policy"]: row for row in report([loop, other])["policies"] if row["split"] == "test"}
    assert rows["outcome/round1"]["before"] == "sft", "arms share the first loop's"
    assert rows["outcome/round2"]["before"] == "outcome/round1"
    assert set(rows) == {"base", "sft", f"{loop.name}/round1", "outcome/round1", "outcome/round2"}
    assert rows[f"{loop.name}/round1"]["before"] == "sft"


def test_problems_without_an_answer_are_counted_and_in_no_rate(loop: Path) -> None:
    with open(loop / "eval" / "round1.jsonl", "a") as file:
        file.write(json.dumps({"id": "test/99", "task": "chain", "question": "?", "split": "test", "paths": []}) + "\n")
    rows = {(row["policy"], row["split"]): row for row in report([loop])["policies"]}
    assert (rows["round1", "test"]["n"], rows["round1", "test"]["unanswered"]) == (10, 1)
    assert "unanswered" not in rows["round1", "ood"]


def test_several_answers_have_a_row_per_k(tmp_path: Path) -> None:
    file = tmp_path / "eval" / "sft.jsonl"
    manifest(file, counts={"problems": 1, "answers": 3})
    said = enumerate((("7", True), ("8", False), ("8", False)))
    paths = [{"id": f"a#{n}", "source": "eval", "text": "", "answer": a, "correct": ok} for n, (a, ok) in said]
    file.write_text(json.dumps({"id": "a", "task": "math", "question": "?", "paths": paths}) + "\n")
    (row,) = report([tmp_path])["policies"]
    assert row["right"] == 1, "the first answer"
    assert row["drawn"]["problems"] == 1
    one, two = row["drawn"]["rows"]
    assert (one["n"], one["oracle"]["rate"], two["oracle"]["rate"]) == (1, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert two["majority"]["rate"] == pytest.approx(1 / 3), "of 7 and 8 by lot, of 8 and 8 wrong"


def test_loops_on_other_problems_are_refused_by_name(loop: Path) -> None:
    other = loop.parent / "elsewhere"
    results(other, "round1", "x", {"test": [0]})
    file = other / "eval" / "round1.jsonl"
    file.write_text(file.read_text().replace('"test/', '"other/'))
    with pytest.raises(DataError, match="sft and elsewhere/round1 share no problem"):
        report([loop, other])


def test_two_folders_of_one_name_and_an_id_twice_are_refused(loop: Path) -> None:
    twin = loop.parent / "other" / "demo"
    results(twin, "sft", "x", {"test": [1]})
    with pytest.raises(UsageError, match="two of the folders have the name demo"):
        report([loop, twin])
    file = twin / "eval" / "sft.jsonl"
    file.write_text(file.read_text() * 2)
    with pytest.raises(DataError, match=r"sft\.jsonl: the id 'test/0' appears twice"):
        report([twin])


def test_trace_accuracy_stands_beside_accuracy_by_split(tmp_path: Path) -> None:
    file = tmp_path / "eval" / "sft.jsonl"
    manifest(file, finished="x")
    world = {"start": 4, "operations": [["+", 3, 1]], "states": [7]}
    lines = [
        {
            "id": f"{split}/{i}", "task": "chain", "question": "?", "answer": "7", "split": split, "world": world,
            "paths": [{"id": f"{split}/{i}#0", "source": "eval", "text": step, "steps": [step], "correct": True}],
        }
        for split, steps in (("test", ["4+3=7", "3+4=7", "9-2=7"]), ("ood", ["9-2=7"]))
        for i, step in enumerate(steps)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    test, ood = report([tmp_path])["policies"]
    assert (test["right"], test["trace"]["right"], test["trace"]["n"]) == (3, 2, 3)
    assert (ood["right"], ood["trace"]["right"], ood["trace"]["n"]) == (1, 0, 1)


def test_rounds_have_their_costs_and_what_was_not_needed_is_none(loop: Path) -> None:
    rounds = report([loop])["rounds"]
    assert rounds[0] == {
        "loop": "demo", "round": 0, "paths drawn": 80, "kept": 60, "problems labelled": 5, "steps labelled": 40,
        "rollouts": 100, "rollout tokens": 900, "of brute force": 100 / 320, "PRM accuracy": 0.646,
        "PRM majority baseline": 0.708, "PRM AUC": 0.95, "PRM pair accuracy": 0.6, "PRM first error": 0.7, "pairs": 33,
    }  # fmt: skip
    assert [one["paths drawn"] for one in rounds] == [80, 5, 7], "round 10 comes after round 2"
    assert rounds[1]["pairs"] is None
    assert rounds[1]["of brute force"] is None


def test_the_number_of_a_round_is_its_folders(loop: Path) -> None:
    assert [one["round"] for one in report([loop])["rounds"]] == [0, 2, 10]


def test_a_second_loop_is_named_and_measured_against_the_first_ones_sft(loop: Path) -> None:
    other = loop.parent / "outcome"
    results(other, "round1", "2026-01-01T00:00:00", {"test": [0, 1, 9, 4]})
    found = report([loop, other])
    last = found["policies"][-1]
    assert (last["policy"], last["gain"], last["p"]) == ("outcome/round1", pytest.approx(0.1), 1.0)
    assert [one["loop"] for one in found["rounds"]] == ["demo"] * 3


def test_lines_without_a_split_are_grouped_by_task_and_unfinished_files_are_none(loop: Path) -> None:
    file = loop.parent / "plain" / "eval" / "sft.jsonl"
    manifest(file, finished="x")
    line = {
        "id": "a",
        "task": "chain",
        "question": "?",
        "answer": "1",
        "paths": [{"id": "a#0", "text": "", "correct": True}],
    }
    file.write_text(json.dumps(line) + "\n")
    (file.parent / "half.jsonl").write_text("{")
    (row,) = report([file.parent.parent])["policies"]
    assert (row["policy"], row["split"], row["rate"]) == ("sft", "chain", 1.0)


def test_a_folder_without_results_is_refused_and_a_torn_manifest_named(loop: Path) -> None:
    with pytest.raises(UsageError, match="no complete results"):
        report([loop.parent])
    (loop / "eval" / "sft.jsonl.manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"sft\.jsonl\.manifest\.json: cannot be read"):
        report([loop])
