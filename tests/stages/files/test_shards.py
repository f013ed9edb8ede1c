from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.errors import UsageError
from stages.files.shards import Shard, refuse_other_counts


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/2/3", "1.0/2", "0/"])
def test_shard_that_is_none_is_refused_with_advice(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Shard.parse(text)
    assert "0/4" in caught.value.advice


def test_lines_are_dealt_out_in_turn() -> None:
    assert [n for n in range(10) if Shard.parse("1/4").holds(n)] == [1, 5, 9]


def slurm(**variables: int) -> dict[str, str]:
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in variables.items()}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (slurm(ID=2, MIN=0, MAX=3, COUNT=4, STEP=1), "2/4"),
        (slurm(ID=7, MIN=1, MAX=7, COUNT=4, STEP=2), "3/4"),
        (slurm(ID=4, MIN=1, MAX=4, COUNT=4), "3/4"),  # --array=1-4%2
        (slurm(ID=9, MIN=0, MAX=9, COUNT=4, STEP=3), "3/4"),
    ],
)
def test_slurm_array_gives_the_shard(variables: dict[str, str], expected: str) -> None:
    assert str(Shard.parse("slurm", variables)) == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "SLURM_ARRAY_TASK_ID, which is not set"),
        (slurm(ID=7, MIN=1, MAX=7, COUNT=3, STEP=1), "not evenly spaced"),  # --array=1,3,7
        (slurm(ID=5, MIN=5, MAX=5, COUNT=1), "no other task"),  # --array=5
        (slurm(ID=2, MIN=1, MAX=7, COUNT=4, STEP=2), "not evenly spaced"),
    ],
)
def test_slurm_without_a_regular_array_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Shard.parse("slurm", variables)


def test_a_task_submitted_again_keeps_its_shard_where_the_number_of_shards_is_named() -> None:
    assert str(Shard.parse("slurm/4", slurm(ID=2, MIN=0, MAX=3, COUNT=4, STEP=1))) == "2/4"
    assert str(Shard.parse("slurm/4", slurm(ID=2, MIN=2, MAX=2, COUNT=1, STEP=1))) == "2/4"
    with pytest.raises(UsageError, match="no shard 4 of 4"):
        Shard.parse("slurm/4", slurm(ID=4, MIN=1, MAX=4, COUNT=4, STEP=1))
    with pytest.raises(UsageError, match="ID, which is not set"):
        Shard.parse("slurm/4", {})


@pytest.mark.parametrize("ending", [".manifest.json", ".part"])
def test_shards_of_another_count_are_not_mixed(tmp_path: Path, ending: str) -> None:
    output = str(tmp_path / "part[1].{shard}.jsonl")
    named = output.replace("{shard}", "3") + ending
    refuse_other_counts(output, Shard(0, 2))
    Path(named).write_text(json.dumps({"stage": "sample", "shard": {"index": 3, "count": 4}}) + "\n")
    refuse_other_counts(output, Shard(0, 4))
    with pytest.raises(UsageError, match="one of 4 shards, and this is one of 2") as caught:
        refuse_other_counts(output, Shard(0, 2))
    assert "slurm/4" in caught.value.advice
