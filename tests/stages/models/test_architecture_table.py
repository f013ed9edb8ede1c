"""docs/architectures.md says what happens to each architecture in each stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architectures import CONFIGS, REFUSED
from tests.stages.models.architecture_table import MARK, PAGE, STAGES, table, walk

FOUND: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("name", [*CONFIGS, *REFUSED])
def test_an_architecture_passes_through_the_stages_or_is_refused(tmp_path: Path, name: str) -> None:
    FOUND[name] = walk(name, tmp_path)
    refused = {stage for stage in STAGES if FOUND[name][stage] != "ok"}
    assert refused == ({"sample", "simulate", "eval"} if name in REFUSED else set()), FOUND[name]


def test_the_page_says_so() -> None:
    if FOUND.keys() != {*CONFIGS, *REFUSED}:
        pytest.skip("only where all architectures were walked through")
    told = PAGE.read_text(encoding="utf-8").partition(MARK)[2].strip()
    assert told == table(FOUND).strip(), "python -m tests.stages.models.architecture_table writes it anew"
