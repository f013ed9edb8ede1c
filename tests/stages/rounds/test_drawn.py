"""What a round drew, on paths written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.errors import UsageError
from evals.records import Path as Written
from stages.rounds.drawn import overlap, paths_drawn
from tests.stages.rounds.folders import manifest, paths, write_lines


def test_diversity_is_a_mean_over_questions(tmp_path: Path) -> None:
    paths(tmp_path, 1, [4, 2])
    found = paths_drawn(tmp_path / "r0", 0)
    assert found == {
        "questions": 2, "draws_per_question": 4.0, "distinct_per_draw": 0.75,
        "standard_error": pytest.approx(0.25), "answers_per_question": 3.0, "overlap": 0.0,
        "steps": 1.0, "tokens": 10.0, "cut_off": 3 / 8,
    }  # fmt: skip


def test_steps_that_paths_share_are_their_overlap() -> None:
    def path(*steps: str) -> Written:
        return Written(id="a", text="", steps=list(steps))

    assert overlap([path("a", "b"), path("a", "c")]) == [1 / 3]
    assert overlap([path("a", "b"), path("a", "b", "c"), path("d")]) == [pytest.approx(2 / 9)]
    assert overlap([path("a")]) == []
    assert overlap([path(), path()]) == [], "nothing to share"


def test_of_a_pool_only_this_rounds_draws_count(tmp_path: Path) -> None:
    def line(drawn: int, *times: int) -> dict[str, object]:
        rounds = (0, 0, 1)
        return {
            "id": "q", "task": "chain", "question": "?", "answer": "1", "drawn": drawn,
            "paths": [
                {"id": f"q#{i}", "round": rounds[i], "text": f"{i}+1={i + 1}", "steps": [f"{i}+1={i + 1}"],
                 "answer": str(i + 1), "correct": False, "times": n}
                for i, n in enumerate(times)
            ],
        }  # fmt: skip

    write_lines(tmp_path / "r0/pool.jsonl", [line(4, 3, 1)])
    write_lines(tmp_path / "r1/paths.jsonl", [line(8, 5, 1, 2)])
    manifest(tmp_path / "r1/paths.jsonl", counts={"drawn": 4}, facts={"pool": "elsewhere/pool.jsonl"})
    found = paths_drawn(tmp_path / "r1", 1)
    assert found is not None
    assert (found["draws_per_question"], found["distinct_per_draw"]) == (4, 0.5), "the first again, and the third"
    (tmp_path / "r0/pool.jsonl").unlink()
    with pytest.raises(UsageError, match=r"pool\.jsonl"):
        paths_drawn(tmp_path / "r1", 1)


def test_a_round_that_drew_nothing_has_no_figures(tmp_path: Path) -> None:
    assert paths_drawn(tmp_path / "r0", 0) is None
    write_lines(tmp_path / "r0/paths.jsonl", [])
    manifest(tmp_path / "r0/paths.jsonl", counts={})
    assert paths_drawn(tmp_path / "r0", 0) is None
