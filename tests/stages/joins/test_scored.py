"""Scores added up over a file of scored lines, against the records' own verdicts and values worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evals.errors import DataError
from evals.records import StepLabel
from stages.joins.scored import ALL, HELD_OUT, POSITIONS, Scored, read_scored, verdict
from tests.stages.page.run_folder import label, scored_line, scores


def read(tmp_path: Path, *rows: Mapping[str, Any], **how: Any) -> Scored:
    file = tmp_path / "scored.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_scored(str(file), "prm0", **{"share": 1.0, "seed": 0, **how})


def test_the_verdict_on_a_label_is_the_records_own() -> None:
    seen: list[bool | None] = []
    for draws, hits, settled, delta in product((0, 2, 8), (0, 1, 2), (True, False), (0, 1)):
        for more in (
            {}, {"gold": True}, {"given": True}, {"given": False}, {"value": 0.5}, {"value": 0.49}, {"value": None},
            *({"inferred": why} for why in ("trusted", "before-live", "after-dead", "early-stop")),
        ):  # fmt: skip
            row = {"k": 8, "delta": delta, "draws": draws, "hits": hits, "settled": settled, **more}
            try:
                expected = StepLabel.from_row(row).hard
            except (DataError, ValidationError):
                continue
            assert verdict(row) is expected, row
            seen.append(expected)
    assert {True, False, None} == set(seen)


def path(number: int, steps: list[float], labels: list[dict[str, Any]] | None, correct: bool | None) -> dict[str, Any]:
    return {"id": f"#{number}", "steps": ["s"] * len(steps), "answer": str(number), "correct": correct} | (
        {"scores": {"prm0": scores(*steps)}, "labels": labels}
        if labels is not None
        else {"scores": {"prm0": scores(*steps)}}
    )


def test_positions_and_shares_are_means_of_scores(tmp_path: Path) -> None:
    long = [0.5] * (POSITIONS + 3)
    quality = read(
        tmp_path,
        {"id": "a", "paths": [path(0, [0.9, 0.4], [label(8), label(0)], True), path(1, [0.7], [label(4)], False)]},
        {"id": "b", "paths": [path(0, long, [label(8)] * len(long), True)]},
    ).groups[ALL]
    assert quality.right_at[1].rate()["rate"] == pytest.approx((0.9 + 0.7 + 0.5) / 3)  # type: ignore[index]  # three steps
    assert quality.wrong_at[2].n == 1
    assert (quality.right_at[POSITIONS].n, max(quality.right_at)) == (4, POSITIONS), "the last one holds what follows"
    assert {tenths: mean.n for tenths, mean in quality.by_share.items()} == {10: 1 + len(long), 0: 1, 5: 1}
    assert quality.stopped_early == 0
    assert (quality.problems, quality.steps.n, quality.paths.n) == (2, 3 + len(long), 3)


def test_pairs_are_of_one_problem_and_held_out_problems_are_told_apart(tmp_path: Path) -> None:
    scored = read(tmp_path, *map(scored_line, range(6)), unseen=lambda identity: identity in ("q/1", "q/4"))
    everything, unseen = scored.groups[ALL], scored.groups[HELD_OUT]
    assert (everything.problems, unseen.problems) == (6, 2)
    assert (everything.steps_within.pairs, unseen.steps_within.pairs) == (18, 6), "3 right, 1 wrong per problem"
    assert unseen.steps_within.accuracy() == unseen.paths_within.accuracy() == 1.0
    rows = {row["n"]: row for row in everything.best_of.rows()}
    assert (rows[1]["prm0"]["rate"], rows[2]["prm0"]["rate"], rows[2]["oracle"]["rate"]) == (0.5, 1.0, 1.0)
    assert scored.counts == {"gold paths, not measured": 6}
    assert scored.ranked_by == {"mean": 12}


def test_what_cannot_be_measured_is_counted(tmp_path: Path) -> None:
    bare = {"id": "#2", "steps": ["s"], "answer": "3", "correct": False}
    undecided = label(0, 0) | {"settled": False}
    scored = read(
        tmp_path,
        {"id": "a", "paths": [path(0, [0.9], [undecided], True), path(1, [0.2], None, None), bare]},
        {"id": "b"},
    )  # fmt: skip
    assert scored.counts == {
        "steps whose label is undecided": 1, "paths without labels, whose steps are not measured": 1,
        "paths without scores, ranked last": 1,
    }  # fmt: skip
    quality = scored.groups[ALL]
    assert (quality.problems, quality.steps.n, quality.paths.n) == (2, 0, 1)
    assert quality.paths_within.accuracy() == 1.0, "without scores ranks last"


def test_early_stopped_steps_are_known_and_best_of_may_take_a_share(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "paths": [path(0, [0.9], [label(1, 3)], True), path(1, [0.1], [label(0)], False)]}
        for n in range(200)
    ]
    quality = read(tmp_path, *rows, share=0.25, seed=3).groups[ALL]
    assert quality.stopped_early == 200
    assert 20 < quality.best_of.problems < 80
    assert read(tmp_path, *rows, share=0.25, seed=3).groups[ALL].best_of.problems == quality.best_of.problems


def test_a_score_outside_its_range_and_scores_of_another_length_are_errors_with_their_place(tmp_path: Path) -> None:
    for bad in (path(0, [1.5], [label(1)], True), path(0, [0.5, 0.5], [label(1)], True)):
        with pytest.raises(DataError, match=r"scored\.jsonl:2: not a line that sipf score writes"):
            read(tmp_path, scored_line(0), {"id": "a", "paths": [bad]})
