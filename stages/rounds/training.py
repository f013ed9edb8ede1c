"""How a policy's training went, from its history: the loss, and what ORPO did to chosen and rejected paths.

    training("runs/loop/m1")["loss"]      # {"first": 0.57, "lowest": 0.53, "last": 0.55, "error": 0.02, "lines": 12}

A history line is the mean over `--logging-steps` updates, and jumps from one to the next. So start and end are means
over the first and the last third of the lines, `lowest` is the lowest mean over as many lines in a row, and `error` is
the standard error of the difference of two such means. It comes from the differences between neighbouring lines (von
Neumann 1941), so that a trend is not taken for noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from evals.errors import DataError
from stages.files.manifest import read_model_manifest
from stages.training.history import HELD_OUT_LOSS, HISTORY

FIGURES = ("loss", "chosen_logps", "rejected_logps", "log_odds_ratio")
"""Log-probabilities of ORPO are means per token, in nats; those of DPO are sums over the completion."""


def training(folder: Path) -> dict[str, Any] | None:
    """How the policy in this folder was trained, or None if the folder tells nothing.

    Returns:
        "stage" (orpo, dpo or sft), "keep" (last or best), "lines", "not_finite" (lines whose loss is no number), each
        of `FIGURES` that the history has (see `course`), and "held_out_loss" with "first", "lowest" and "last".

    Raises:
        DataError: manifest or history cannot be read.
    """
    manifest, lines = read_model_manifest(folder), _lines(folder / HISTORY)
    if manifest is None or not lines:
        return None
    steps = [line for line in lines if "loss" in line]
    held_out = [line[HELD_OUT_LOSS] for line in lines if line.get(HELD_OUT_LOSS) is not None]
    told: dict[str, Any] = {
        "stage": manifest.get("stage"),
        "keep": manifest.get("options", {}).get("keep", "last"),
        "lines": len(steps),
        "not_finite": sum(line["loss"] is None for line in steps),
    }
    for name in FIGURES:
        values = [line[name] for line in steps if line.get(name) is not None]
        if values:
            told[name] = course(values)
    if held_out:
        told["held_out_loss"] = {"first": held_out[0], "lowest": min(held_out), "last": held_out[-1]}
    return told


def course(values: Sequence[float]) -> dict[str, Any]:
    """Where a figure began, its lowest and where it ended, over thirds of the lines.

    Returns:
        "first", "lowest", "last", and "error": the standard error of the difference of two of them, or None where fewer
        than six lines do not tell noise from a trend.
    """
    size = max(1, len(values) // 3)
    means = [fmean(values[i : i + size]) for i in range(len(values) - size + 1)]
    noise = math.sqrt(fmean((b - a) ** 2 for a, b in pairwise(values)) / 2) if len(values) > 1 else 0.0
    error = noise * math.sqrt(2 / size) if len(values) >= 6 else None
    return {"first": means[0], "lowest": min(means), "last": means[-1], "error": error}


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
        except ValueError as error:
            raise DataError(f"{file}:{number}: not JSON ({error})", "Train the model again.") from error
        lines.append(line)
    return lines
