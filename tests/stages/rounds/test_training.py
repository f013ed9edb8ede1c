"""What a history says about a training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evals.errors import DataError
from stages.rounds.training import course, training
from tests.stages.rounds.folders import trained


def test_start_and_end_are_thirds_and_noise_is_told_from_a_trend() -> None:
    found = course([3.0, 1.0, 1.0, 2.0, 2.0, 4.0])
    assert (found["first"], found["lowest"], found["last"]) == (2.0, 1.0, 3.0)
    assert found["error"] == pytest.approx(math.sqrt((4 + 0 + 1 + 0 + 4) / 5 / 2))
    assert course([5.0, 4.0]) == {"first": 5.0, "lowest": 4.0, "last": 4.0, "error": None}
    assert course([1.0]) == {"first": 1.0, "lowest": 1.0, "last": 1.0, "error": None}


def test_a_history_is_read_with_its_held_out_lines_and_lines_without_a_number(tmp_path: Path) -> None:
    trained(tmp_path, 1, [1.0, None, 0.5], chosen_logps=[-2.0, -1.0, None], held_out_loss=[0.9, 0.7, 0.8])
    found = training(tmp_path / "m1")
    assert found is not None
    assert (found["stage"], found["lines"], found["not_finite"]) == ("orpo", 3, 1)
    assert (found["loss"]["first"], found["loss"]["last"]) == (1.0, 0.5)
    assert found["chosen_logps"]["last"] == -1.0
    assert found["held_out_loss"] == {"first": 0.9, "lowest": 0.7, "last": 0.8}
    assert "rejected_logps" not in found
    assert training(tmp_path / "m2") is None


def test_a_damaged_history_is_named_by_its_line(tmp_path: Path) -> None:
    trained(tmp_path, 1, [1.0, 0.9])
    (tmp_path / "m1/history.jsonl").write_text('{"loss": 1.0}\n{"lo')
    with pytest.raises(DataError, match=r"history\.jsonl:2: not JSON"):
        training(tmp_path / "m1")
    (tmp_path / "m1/manifest.json").write_text("[]")
    with pytest.raises(DataError, match=r"manifest\.json: holds no JSON object"):
        training(tmp_path / "m1")
