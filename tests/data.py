"""The public data beside the project, in ../shared/data: a test without them is skipped, and in CI it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def need(name: str) -> Path:
    """The path of a public file, e.g. `gsm8k/train.jsonl`; without it the calling test cannot run."""
    path = SHARED / name
    if not path.exists():
        why = f"../shared/data/{name} is not there"
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and CI must have it")
        pytest.skip(why)
    return path
