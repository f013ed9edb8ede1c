"""The samples in tests/samples are rows of the whole files, small, and licensed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data import SAMPLES, WHOLE, need, need_whole
from tests.samples.cut import samples


def test_every_sample_is_what_the_whole_files_give() -> None:
    for name in ("gsm8k/train.jsonl", "mbpp/mbpp.jsonl", "mmlu/LICENSE", "processbench/gsm8k.json"):
        need_whole(name)
    made = dict(samples())
    there = {str(path.relative_to(SAMPLES)) for folder in _sets() for path in folder.rglob("*") if path.is_file()}
    assert made.keys() == there
    assert [name for name, data in made.items() if (SAMPLES / name).read_bytes() != data] == []


def test_samples_are_small_and_each_set_names_its_licence() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 500_000
    licences = (SAMPLES / "LICENCES.md").read_text(encoding="utf-8")
    for folder in _sets():
        (line,) = [line for line in licences.splitlines() if line.startswith(f"| `{folder.name}/`")]
        assert "MIT" not in line or (folder / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_without_the_whole_files_a_test_gets_the_sample_or_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("tests.data.WHOLE", tmp_path / "nowhere")
    assert need("gsm8k/train.jsonl") == SAMPLES / "gsm8k/train.jsonl"
    with pytest.raises(pytest.skip.Exception, match="whole public data set"):
        need_whole("gsm8k/train.jsonl")
    monkeypatch.setenv("CI", "true")
    for call in (need, need_whole):
        with pytest.raises(pytest.fail.Exception, match="CI must have it"):
            call("gsm8k/train.jsonl")


def test_with_the_whole_files_a_test_gets_them() -> None:
    need_whole("gsm8k/train.jsonl")
    assert need("gsm8k/train.jsonl") == WHOLE / "gsm8k/train.jsonl"


def _sets() -> list[Path]:
    return [path for path in SAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"]
