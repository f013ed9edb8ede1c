"""Rounds and results written by hand, whose problems the browser of problems shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.files.reading import BadLines
from stages.pairs import write_pairs
from stages.settings.pairs import PairSettings
from tests.stages.pairing.questions import solved


def written(path: Path, rows: Iterable[Mapping[str, Any]], **manifest: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")
    if manifest:
        Path(f"{path}.manifest.json").write_text(json.dumps({"complete": True, **manifest}))
    return path


def line(identity: str, *paths: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = [{**path, "id": f"{identity}#{i}"} for i, path in enumerate(paths)]
    row = {"id": identity, "task": "chain", "question": f"What is {identity}?", "answer": "76", "paths": made}
    return {**row, "split": "train", **fields}


RIGHT = solved(0, "ab", True, labels=[True, True], scores=[0.9, 0.8])
WRONG = solved(1, "acd", labels=[True, False, False], scores=[0.9, 0.2, 0.1])
BY_WRONG_STEP = solved(2, "ab", True, labels=[False, True], scores=[0.1, 0.9])
ODD = solved(3, "ab", labels=[True, False], scores=[0.9, 0.8])


def save_rounds(folder: Path) -> Path:
    """Two rounds of forty problems, the second scored and with ten of its own, and two policies' results."""
    kinds = [[RIGHT, WRONG], [BY_WRONG_STEP, WRONG], [WRONG, ODD], [WRONG]]
    first = [line(f"q/{i}", *({**path, "scores": None} for path in kinds[i % 4])) for i in range(40)]
    second = [line(f"q/{i}", *kinds[i % 4]) for i in range(50)]
    written(folder / "r0/labels.jsonl", first)
    written(folder / "r1/paths.jsonl", [])
    scored = written(folder / "r1/scored.jsonl", second)
    write_pairs(str(scored), str(scored.with_name("pairs.jsonl")), PairSettings(rule=("outcome",)), BadLines())
    for number, name in enumerate(("sft", "round1")):
        answers = [solved(0, "ab", number == 1 or i % 2 == 0, source="eval") for i in range(20)]
        rows = [line(f"t/{i}", answer, split="test") for i, answer in enumerate(answers)]
        written(folder / f"eval/{name}.jsonl", rows, finished=f"2026-01-0{number + 1}")
    return folder
