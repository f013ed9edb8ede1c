"""What a round made of its paths, from the manifests: pairs, labels and what they cost, the reward model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.counts import Count
from stages.files.manifest import read_manifest, read_model_manifest
from stages.strategies.cost import EVERY, against_brute, cost_report


def pair_yield(folder: Path) -> dict[str, Any] | None:
    """Pairs, problems, problems with a pair, and each rule's pairs before shares and caps; None without pairs."""
    manifest = read_manifest(str(folder / "pairs.jsonl"))
    if manifest is None:
        return None
    counts = manifest["counts"]
    rules: Mapping[str, Any] = manifest.get("pairs", {}).get("rules", {})
    return {
        "pairs": counts.get(Count.PAIRS, 0),
        "problems": counts.get("problems", 0),
        "problems_with_a_pair": counts.get("problems with a pair", 0),
        "by_rule": {name: rule["counts"].get(Count.PAIRS, 0) for name, rule in rules.items()},
    }


def label_cost(folder: Path) -> dict[str, Any] | None:
    """What labelling took, and as a share of brute force over every prefix; None without labels."""
    manifest = read_manifest(str(folder / "labels.jsonl"))
    if manifest is None:
        return None
    counts = manifest["counts"]
    cost = cost_report(counts)
    return {
        "problems": counts.get(Count.PROBLEMS_LABELLED, 0),
        "steps": counts.get(Count.STEPS_LABELLED, 0),
        "rollouts": counts.get(Count.ROLLOUTS, 0),
        "tokens": counts.get(Count.ROLLOUT_TOKENS, 0),
        "seconds": manifest.get("seconds"),
        "of_brute_force": cost.get(against_brute("rollouts", EVERY)),
        "of_brute_force_tokens": cost.get(against_brute("tokens", EVERY)),
    }


def reward_model(folder: Path) -> dict[str, Any] | None:
    """The round's reward model on held-out problems (see `stages.train_prm.evaluate`); None without one.

    Raises:
        DataError: its manifest cannot be read.
    """
    manifest = read_model_manifest(folder / "prm")
    return None if manifest is None else dict(manifest.get("eval", {})) or None
