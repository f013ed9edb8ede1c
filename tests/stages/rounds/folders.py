"""Folders of a loop as examples/loop.sh leaves them, written by hand: what a round measured, drew, made and trained."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

N = 200
"""Problems that a policy is measured on."""


def manifest(file: Path, **more: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{file}.manifest.json").write_text(json.dumps({"complete": True, **more}))


def write_lines(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def results(
    folder: Path, number: int, right: int | Iterable[int], *, kind: str = "eval", split: str | None = "test", n: int = N
) -> None:
    """A policy's complete results: of n problems the first `right` are right, or those that are named."""
    chosen = set(range(right) if isinstance(right, int) else right)
    file = folder / kind / (f"round{number}.jsonl" if number else "sft.jsonl")
    lines = [
        {
            "id": f"{kind}/{split}/{i}", "task": "chain", "question": "?", "answer": "1",
            **({} if split is None else {"split": split}),
            "paths": [
                {
                    "id": f"{kind}/{split}/{i}#0", "source": "eval", "text": "x", "correct": i in chosen, "tokens": 20,
                    "finish": "length" if i % 10 == 0 else "stop",
                }
            ],
        }
        for i in range(n)
    ]  # fmt: skip
    before = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    write_lines(file, [*before, *lines])
    manifest(file)


def paths(folder: Path, number: int, distinct: Sequence[int], draws: int = 4) -> None:
    """What a round drew: per question so many different paths out of `draws`; those of the same number are equal."""
    file = folder / f"r{number - 1}" / "paths.jsonl"
    lines = [
        {
            "id": f"q{number}/{i}", "task": "chain", "question": "?", "answer": "1", "drawn": draws,
            "paths": [_path(f"q{number}/{i}", number, j, 1 + (draws - count) * (j == 0)) for j in range(count)],
        }
        for i, count in enumerate(distinct)
    ]  # fmt: skip
    write_lines(file, lines)
    manifest(file, counts={"drawn": draws * len(distinct), "dropped: unfinished": 3})


def _path(question: str, number: int, j: int, times: int) -> dict[str, Any]:
    step = f"1+{j}={1 + j}"
    return {
        "id": f"{question}#{j}", "round": number - 1, "text": step, "steps": [step], "answer": str(1 + j),
        "correct": j == 0, "tokens": 10, "times": times,
    }  # fmt: skip


def pairs(folder: Path, number: int, made: int = 33) -> None:
    """A round's pairs."""
    counts = {"pairs": made, "problems": 90, "problems with a pair": 20}
    rules = {"consistent": {"counts": {"pairs": 30}}, "outcome": {"counts": {"pairs": 12}}}
    manifest(folder / f"r{number - 1}" / "pairs.jsonl", counts=counts, pairs={"rules": rules})


def labels(folder: Path, number: int) -> None:
    """What labelling cost in a round."""
    counts = {
        "problems labelled": 5, "steps labelled": 40, "rollouts": 100, "rollout tokens": 900,
        "brute rollouts, every prefix": 320, "brute tokens, every prefix": 1800,
    }  # fmt: skip
    manifest(folder / f"r{number - 1}" / "labels.jsonl", counts=counts, seconds=12.5)


def reward_model(folder: Path, number: int, **more: Any) -> None:
    """A round's reward model on held-out problems; a good one unless told otherwise."""
    place = folder / f"r{number - 1}" / "prm"
    place.mkdir(parents=True, exist_ok=True)
    measured = {
        "steps": 200, "accuracy": 0.8, "majority_accuracy": 0.7, "auc": 0.85, "pair_accuracy": 0.8, "pairs": 400,
        "calibration_error": 0.05, "brier": 0.15, **more,
    }  # fmt: skip
    (place / "manifest.json").write_text(json.dumps({"eval": measured}))


def trained(
    folder: Path, number: int, losses: Sequence[float | None], *, stage: str = "orpo", keep: str = "last", **more: Any
) -> None:
    """How a round's policy was trained: a line of the history per loss; `more` are further figures, one list each."""
    place = folder / f"m{number}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "manifest.json").write_text(json.dumps({"stage": stage, "options": {"keep": keep}}))
    held_out = more.pop("held_out_loss", ())
    lines: list[dict[str, Any]] = [
        {"step": 10 * i, "loss": loss, **{name: values[i] for name, values in more.items()}}
        for i, loss in enumerate(losses)
    ]
    lines += [{"step": 10 * i, "held_out_loss": loss} for i, loss in enumerate(held_out)]
    write_lines(place / "history.jsonl", lines)


def healthy_loop(folder: Path, rounds: int = 1) -> Path:
    """A loop of which each round gains 20 points and shows no sign."""
    results(folder, 0, 60)
    for number in range(1, rounds + 1):
        results(folder, number, 60 + 40 * number)
        paths(folder, number, [3, 4] * 20)
        pairs(folder, number)
        labels(folder, number)
        reward_model(folder, number)
        trained(folder, number, [1.0, 0.8, 0.7, 0.6, 0.5, 0.5])
    return folder
