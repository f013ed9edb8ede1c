"""A loop's folder written by hand: results, rounds, scores, histories, all small and known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOSTILE = "<script>alert(1)</script>\"'&<!--]]> \u202egnp\u202c\x00\x1b[2J" + "</style></svg></details></main>"
"""A text that would be a script, close what is open, turn the text after it round, and hold what cannot be seen."""
WORLD = {"start": 4, "operations": [["+", 3, 1]], "states": [7]}
SOUND, UNSOUND = "4+3=7", "9-2=7"


def save_manifest(file: Path, stage: str, **more: Any) -> None:
    """The manifest beside a complete output."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = {"complete": True, "sipf": "0.1.0", "stage": stage, "finished": "2026-01-01T00:00:00+00:00"}
    Path(f"{file}.manifest.json").write_text(json.dumps(made | more))


def save_lines(file: Path, rows: Sequence[Mapping[str, Any]], stage: str, **more: Any) -> None:
    """A complete file of lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    save_manifest(file, stage, **({"output": {"lines": len(rows)}, "counts": {"problems": len(rows)}} | more))


def result(identity: str, split: str, right: Sequence[bool], *, sound: bool = True) -> dict[str, Any]:
    """An evaluated line with an answer for each verdict; the first one's steps are right or not."""
    step = SOUND if sound else UNSOUND
    paths = [
        {"id": f"{identity}#{n}", "source": "eval", "text": step, "steps": [step], "answer": "7" if ok else str(n)}
        | {"correct": ok}
        for n, ok in enumerate(right)
    ]
    line = {"id": identity, "task": "chain", "question": "?", "answer": "7", "split": split, "world": WORLD}
    return line | {"paths": paths}


def save_results(folder: Path, name: str, hour: int, right: Mapping[str, set[int]], n: int = 10) -> None:
    """A result file: of each split's n problems those numbered are right."""
    rows = [result(f"{split}/{i}", split, [i in numbers]) for split, numbers in right.items() for i in range(n)]
    save_lines(folder / "eval" / f"{name}.jsonl", rows, "eval", finished=f"2026-01-01T{hour:02}:00:00+00:00")


def scores(*steps: float) -> dict[str, Any]:
    """The scores of a path; the mean ranks it."""
    product = 1.0
    for step in steps:
        product *= step
    mean = sum(steps) / len(steps)
    return {"steps": list(steps), "mean": mean, "min": min(steps), "product": product, "last": steps[-1]}


def label(hits: int, draws: int = 8) -> dict[str, Any]:
    """A step of which `draws` rollouts were made."""
    return {"k": 8, "delta": 0, "draws": draws, "hits": hits, "settled": True}


def scored_line(number: int) -> dict[str, Any]:
    """A problem with a right path (0.9, 0.7; both steps right), a wrong one (0.6, 0.2; the second step wrong), and its
    gold path, which is not measured."""
    paths = [
        {"id": f"q/{number}#0", "text": "a\nb", "steps": ["a", "b"], "answer": "7", "correct": True}
        | {"labels": [label(8), label(6)], "scores": {"prm0": scores(0.9, 0.7)}},
        {"id": f"q/{number}#1", "text": "a\nc", "steps": ["a", "c"], "answer": "8", "correct": False}
        | {"labels": [label(8), label(0)], "scores": {"prm0": scores(0.6, 0.2)}},
        {"id": f"q/{number}#gold", "source": "gold", "text": "a", "steps": ["a"], "answer": "7", "correct": True}
        | {"labels": [label(0, 0) | {"gold": True}], "scores": {"prm0": scores(0.1)}},
    ]
    return {"id": f"q/{number}", "task": "math", "question": "?", "answer": "7", "paths": paths}


def save_model(folder: Path, history: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """A trained model, without its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"seconds": 2.5, **more}))
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))


def save_loop(folder: Path) -> Path:
    """Two rounds with a reward model in the first: round1 has 6 of sft's 4 wrong ones more, round2 falls behind."""
    save_results(folder, "base", 1, {"test": {0}, "ood": set()})
    save_results(folder, "sft", 2, {"test": {0, 1, 9}, "ood": {0, 1}})
    save_results(folder, "round1", 3, {"test": {*range(8)}, "ood": {0}})
    save_results(folder, "round2", 4, {"test": {*range(7)}, "ood": {0}})
    first = folder / "r0"
    save_manifest(first / "paths.jsonl", "sample", seconds=3.0, usage={"tokens": 600}, counts={
        "drawn": 80, "kept": 60, "dropped: duplicate": 19, "dropped: no steps": 1, "bad lines": 0,
    })  # fmt: skip
    save_manifest(first / "labels.jsonl", "simulate", seconds=4.0, usage={"tokens": 900}, counts={
        "problems labelled": 5, "steps labelled": 40, "rollouts": 100, "rollout tokens": 900,
        "brute rollouts, every prefix": 320, "brute rollouts, unique prefixes": 200,
    })  # fmt: skip
    counts = {"pairs": 33, "problems without a pair: no right path": 12, "pairs left out: max-per-problem": 4}
    save_manifest(first / "pairs.jsonl", "pairs", seconds=0.5, counts={"pairs": 33}, pairs={
        "rules": {"threshold": {"counts": counts, "sweep": {"0": {"pairs": 33, "problems": 9}}}},
    })  # fmt: skip
    save_lines(first / "scored.jsonl", [scored_line(n) for n in range(30)], "score", options={"name": "prm0"})
    save_model(first / "prm", [{"step": 1, "loss": 0.7}, {"step": 2, "held_out_loss": 0.6}], stage="train-prm",
               held_out_share=0.5, options={"seed": 42, "lr": 0.0003}, eval={
                   "accuracy": 0.646, "majority_accuracy": 0.708, "auc": 0.95, "pair_accuracy": 0.6,
                   "first_error_accuracy": 0.7, "calibration_error": 0.1, "problems": 7,
               })  # fmt: skip
    for number in (1, 2):
        steps = [
            {"step": n, "loss": 1 / n, "chosen_logps": -0.1 * n, "rejected_logps": -0.5 * n, "log_odds_ratio": 0.3 * n}
            for n in range(1, 6)
        ]
        save_model(folder / f"m{number}", steps, stage="orpo", options={"lr": 0.0002, "epochs": 1.0},
                   model={"name": "m0"}, identity={"input": {"sha256": "0123456789abcdef"}}, sipf="0.1.0",
                   finished="2026-01-01T02:03:04+00:00")  # fmt: skip
    return folder


def save_hostile(folder: Path) -> Path:
    """A loop whose every text, name and key is hostile."""
    rows = [result(f"q/{i}{HOSTILE}", HOSTILE, [i == 1]) for i in range(3)]
    save_lines(folder / "eval" / "sft.jsonl", rows, "eval", facts={HOSTILE: HOSTILE}, options={"template": HOSTILE},
               input={"path": HOSTILE, "sha256": HOSTILE})  # fmt: skip
    save_lines(folder / "eval" / "ro<b>und1.jsonl", rows, "eval")
    save_manifest(folder / "r0" / "paths.jsonl", HOSTILE, counts={f"dropped: {HOSTILE}": 3})
    save_manifest(folder / "r0" / "pairs.jsonl", "pairs", pairs={
        "rules": {HOSTILE: {"counts": {f"problems without a pair: {HOSTILE}": 2}}},
    })  # fmt: skip
    paths = [{"id": "a", "text": HOSTILE, "steps": [HOSTILE], "answer": HOSTILE, "correct": True, "labels": [label(1)],
              "scores": {HOSTILE: scores(0.5)}}]  # fmt: skip
    row = {"id": HOSTILE, "task": HOSTILE, "question": HOSTILE, "paths": paths}
    save_lines(folder / "r0" / "scored.jsonl", [row], "score", options={"name": HOSTILE})
    save_model(folder / "m1", [{"step": 1, "loss": 1.0}], stage=HOSTILE, versions={HOSTILE: HOSTILE})
    sign = {"sign": HOSTILE, "advice": HOSTILE}
    (folder / "health.jsonl").write_text(
        json.dumps(
            {
                "round": 1,
                "signs": [sign],
                HOSTILE: HOSTILE,
                "best": HOSTILE,
                "best_model": HOSTILE,
                "chosen_on": HOSTILE,
                "stop": {"sign": HOSTILE},
            }
        )
    )
    return folder
