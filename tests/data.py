"""The public data sets: whole files in ../shared/data beside the project, and small samples of them in tests/samples.

A test that holds for some rows as for all of them takes `need`. One that states a figure of the whole file takes
`need_whole`, and is skipped where that is not there; in CI it must be there. PUBLIC_DATA names another folder than
../shared/data; with one that does not exist, the tests run as in a clone with nothing beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parent / "samples"
PLACE = os.environ.get("PUBLIC_DATA") or "../shared/data"
WHOLE = (Path(__file__).resolve().parents[1] / PLACE).resolve()
"""The folder of the whole files, which may not be there."""


def need(name: str) -> Path:
    """The path of a public file, e.g. `gsm8k/train.jsonl`: the whole file, or its sample where that is not there."""
    whole = (WHOLE / name).exists() or os.environ.get("CI")
    return need_whole(name) if whole else SAMPLES / name


def need_whole(name: str) -> Path:
    """The path of a whole public file; the calling test is skipped without it, and in CI fails."""
    path = WHOLE / name
    if not path.exists():
        missing = f"{PLACE}/{name}" if WHOLE.exists() else PLACE
        if os.environ.get("CI"):
            pytest.fail(f"{missing} is not there, and CI must have it")
        pytest.skip(f"needs a whole public data set, and {missing} is not there")
    return path
