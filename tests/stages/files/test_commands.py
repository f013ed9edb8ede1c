from __future__ import annotations

import pytest

from stages.files.commands import for_shard
from stages.files.shards import Shard


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("--shard 0/4 -o p.{shard}.jsonl", "--shard 2/4 -o p.{shard}.jsonl"),
        ("--shard=slurm/4 -op.{shard}.jsonl", "--shard=2/4 -op.{shard}.jsonl"),
        ("-o p.{shard}.jsonl", "-o p.{shard}.jsonl --shard 2/4"),
        ("--shard 0/4 -o runs/p.00.jsonl.gz", "--shard 2/4 -o runs/p.02.jsonl.gz"),
        ("--shard 0/4 --output=runs/a.jsonl", "--shard 2/4 --output=runs/a.2.jsonl"),
        ("--shard 0/4 -o p0-of-0.jsonl", "--shard 2/4 -o p0-of-0.2.jsonl"),
        ("--shard 0/4", "--shard 2/4 --output a.2.jsonl"),
    ],
)
def test_the_command_of_another_shard_has_its_number_and_its_output(given: str, made: str) -> None:
    words = given.split()
    written = next((word.split("=")[-1] for word in words if word.endswith((".jsonl", ".gz"))), "a.jsonl")
    assert " ".join(for_shard(words, Shard(2, 4), written, 0)) == made


def test_a_command_of_its_own_keeps_its_output_and_a_known_file_is_taken() -> None:
    words = ["--shard", "slurm", "-o", "a.jsonl"]
    assert for_shard(words, Shard(1, 4), "a.jsonl", 1) == ["--shard", "1/4", "-o", "a.jsonl"]
    assert for_shard(words, Shard(2, 4), "a.jsonl", 1, "b.jsonl") == ["--shard", "2/4", "-o", "b.jsonl"]
