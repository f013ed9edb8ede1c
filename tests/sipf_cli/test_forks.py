"""From rollouts to a policy without a reward model: pairs of two continuations of the same right steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import SCRIPTED, read, write


def test_what_a_fork_prefers_is_learnt_behind_its_prefix(tmp_path: Path, inside: Any) -> None:
    inside("data", "chain", "--split", "train", "-n", 12, "-o", "problems.jsonl")
    inside("sample", "problems.jsonl", *SCRIPTED, "-n", 8, "-o", "paths.jsonl")
    roll = ("--strategy", "first-error", "--root", "--keep-forks", 2)
    inside("simulate", "paths.jsonl", *SCRIPTED, *roll, "-o", "labels.jsonl")
    inside("pairs", "labels.jsonl", "--rule", "fork", "-o", "pairs.jsonl")
    pairs = read(tmp_path / "pairs.jsonl")
    forked = [pair for pair in pairs if "prefix" in pair]
    assert len(forked) > 5
    wrong = {path["text"] for line in read(tmp_path / "labels.jsonl") for path in line["paths"] if not path["correct"]}
    assert all(pair.get("prefix", "") + pair["rejected"] in wrong for pair in pairs)

    train = ("-m", "chain-base", "--device", "cpu", "--epochs", 1, "--lr", 1e-9, "--batch", len(pairs), "--json")
    learnt = json.loads(inside("orpo", "pairs.jsonl", *train, "-o", "orpo").stdout)["result"]
    assert json.loads(inside("dpo", "pairs.jsonl", *train, "-o", "dpo").stdout)["result"]["steps"] == 1

    # What is given counts as context: with the same texts as the model's own, the figures are others.
    sides = ("chosen", "rejected")
    whole = [pair | {side: pair.get("prefix", "") + pair[side] for side in sides} | {"prefix": ""} for pair in pairs]
    write(tmp_path / "whole.jsonl", whole)
    other = json.loads(inside("orpo", "whole.jsonl", *train, "-o", "whole").stdout)["result"]
    assert other["chosen_logps"] != pytest.approx(learnt["chosen_logps"], rel=0.01)
