"""The browser of problems: which problems are drawn, and what is said of them. `test_browser.py` opens it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.page import problems
from stages.page.problems import problem_section
from stages.page.render import page
from stages.seeds import lot
from tests.stages.page.rounds import line, save_rounds, written


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return save_rounds(tmp_path / "run")


def size(section: Mapping[str, Any]) -> int:
    """Characters of a page that shows nothing else."""
    return len(page("", "", [], "", section))


def by_id(section: Mapping[str, Any]) -> dict[str, Any]:
    return {problem["id"]: problem for problem in section["problems"]}


def test_the_same_problems_are_drawn_in_every_file_by_their_ids_and_the_seed(loop: Path) -> None:
    drawn = problem_section({"run": loop}, most=8, seed=3)
    for kind, count in (("q", 50), ("t", 20)):
        ids = sorted((f"{kind}/{i}" for i in range(count)), key=lambda identity: lot(identity, 3))[:8]
        assert {identity for identity in by_id(drawn) if identity[0] == kind} == set(ids)
    sample = drawn["sample"]
    assert (sample["taken"], sample["drawn"], sample["of"], sample["seed"]) == (16, 16, 70, 3)
    for identity, problem in by_id(drawn).items():
        rounds = ["sft", "round1"] if identity[0] == "t" else ["round 0", "round 1"][int(identity[2:]) >= 40 :]
        assert [view["name"] for view in problem["views"]] == rounds
        for view in problem["views"]:
            assert json.loads(Path(view["file"]).read_text().splitlines()[view["line"] - 1])["id"] == identity
            assert view["command"] == f"sipf show {view['file']} {identity}"
    assert list(by_id(drawn)) == sorted(by_id(drawn), key=lambda identity: (identity[0], int(identity[2:])))
    assert by_id(problem_section({"run": loop}, most=8, seed=4)).keys() != by_id(drawn).keys()


def test_what_is_odd_about_a_problem_is_decided_here(loop: Path) -> None:
    found = by_id(problem_section({"run": loop}, most=99, seed=0))
    flags = [["right", "wrong"], ["right", "wrong", "wrong-step"], ["disagree", "wrong"], ["wrong"]]
    for i in range(50):
        assert found[f"q/{i}"]["flags"] == flags[i % 4]
        reasons = {2: ["no right path"], 3: ["fewer than two usable paths"]}
        assert found[f"q/{i}"]["none"] == reasons.get(i % 4, [])
    assert found["t/1"]["flags"] == ["changes", "right", "wrong"]
    assert found["t/2"]["flags"] == ["right"]
    assert [(view["right"], view["judged"]) for view in found["t/1"]["views"]] == [(0, 1), (1, 1)]


def test_a_step_has_its_text_verdict_label_and_scores_and_a_pair_its_branches(loop: Path) -> None:
    before, after = by_id(problem_section({"run": loop}, most=99, seed=0))["q/1"]["views"]
    first, second = after["paths"]
    assert first["pieces"][:2] == [
        ["a+2=1", 0, "0/2", [[0.1, 0, 1]], "first"], ["b+2=1", 1, "1/2", [[0.9, 1, 1]]]
    ]  # fmt: skip
    assert first["pieces"][2] == ["The answer is 76"]
    assert first["notes"] == ["right answer by a wrong step"]
    assert (first["correct"], second["correct"], first["names"]) == (True, False, ["prm"])
    assert "names" not in before["paths"][0]
    (pair,) = after["pairs"]
    assert (pair["shared"], pair["chosen"][0], pair["rejected"][0]) == ([], "a+2=1", "a+1=1")
    assert (pair["chosen_correct"], pair["rejected_correct"], pair["rule"]) == (True, False, "outcome")
    odd = by_id(problem_section({"run": loop}, most=99, seed=0))["q/2"]["views"][1]["paths"][1]
    assert odd["pieces"][1][3] == [[0.8, 1, 0]]


def test_a_round_that_repeats_the_one_before_shows_its_paths_once(loop: Path) -> None:
    written(loop / "r2/pool.jsonl", [json.loads(raw) for raw in (loop / "r1/scored.jsonl").read_text().splitlines()])
    views = by_id(problem_section({"run": loop}, most=99, seed=0))["q/5"]["views"]
    assert [(view.get("same"), len(view["paths"])) for view in views] == [
        (None, 2),
        (None, 2),
        ("paths are those of round 1", 0),
    ]
    assert [len(view["pairs"]) for view in views] == [0, 1, 0]
    (loop / "r2/pairs.jsonl").write_bytes((loop / "r1/pairs.jsonl").read_bytes())
    again = by_id(problem_section({"run": loop}, most=99, seed=0))["q/1"]["views"]
    assert [len(view["pairs"]) for view in again] == [0, 1, 0]
    assert again[2]["same"] == "paths and pairs are those of round 1"
    for part in ("pool.jsonl", "pairs.jsonl"):
        (loop / "r3").mkdir(exist_ok=True)
        (loop / "r3" / part).write_bytes((loop / "r2" / part).read_bytes())
    again = by_id(problem_section({"run": loop}, most=99, seed=0))["q/1"]["views"]
    assert again[3]["same"] == "paths and pairs are those of round 1"


def test_two_loops_stand_side_by_side_under_their_names(loop: Path) -> None:
    found = by_id(problem_section({"a": loop, "b": loop}, most=3, seed=0))
    names = {tuple((view["loop"], view["name"]) for view in problem["views"]) for problem in found.values()}
    assert (("a", "sft"), ("a", "round1"), ("b", "sft"), ("b", "round1")) in names
    firsts = [problem["views"][len(problem["views"]) // 2] for problem in found.values()]
    assert [view["loop"] for view in firsts] == ["b"] * len(found)
    assert not any("same" in view for view in firsts), "the view before is of another loop"


def test_long_texts_are_cut_and_counted_and_the_whole_stays_within_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"text": "x" * 100_000, "steps": ["x" * 100_000], "correct": False}
    rows = [line(f"q/{i}", *[long] * 40, question="é<" * 1_500) for i in range(30)]
    written(tmp_path / "r0/paths.jsonl", rows)
    one = problem_section({"run": tmp_path}, most=1, seed=0)
    assert one["problems"][0]["views"][0]["more"] == 8
    assert one["sample"]["cut"] == {"texts": 33, "characters": 32 * 98_000 + 1_000, "paths": 8, "lines": 0}
    assert one["problems"][0]["question"].endswith(" ... [1,000 more characters]")
    monkeypatch.setattr(problems, "BYTES", 300_000)
    some = problem_section({"run": tmp_path}, most=30, seed=0)
    assert 1 < some["sample"]["taken"] < some["sample"]["drawn"] == 30
    assert size(some) - size({**some, "problems": []}) <= 300_000
    lots = sorted((row["id"] for row in rows), key=lambda identity: lot(identity, 0))
    assert set(by_id(some)) == set(lots[: some["sample"]["taken"]])


def test_an_empty_folder_has_no_problems(tmp_path: Path) -> None:
    assert problem_section({"run": tmp_path}, most=9, seed=0)["problems"] == []
