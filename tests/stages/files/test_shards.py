from __future__ import annotations

import pytest

from evals.errors import UsageError
from stages.files.shards import Shard


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
        (slurm(ID=5, MIN=5, MAX=5, COUNT=1), "0/1"),
    ],
)
def test_slurm_array_gives_the_shard(variables: dict[str, str], expected: str) -> None:
    assert str(Shard.parse("slurm", variables)) == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "SLURM_ARRAY_TASK_ID, which is not set"),
        (slurm(ID=7, MIN=1, MAX=7, COUNT=3, STEP=1), "not evenly spaced"),  # --array=1,3,7
        (slurm(ID=2, MIN=1, MAX=7, COUNT=4, STEP=2), "not evenly spaced"),
    ],
)
def test_slurm_without_a_regular_array_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Shard.parse("slurm", variables)
