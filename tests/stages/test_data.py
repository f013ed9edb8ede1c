"""data: rows of the hub are read as a file's are, and a file of one's own gives its rows their ids."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from evals.programs.steps import LINES
from stages.data import gsm8k_problems, math_problems, mbpp_problems, write_problems
from stages.files.reading import BadLines
from stages.runs.whole_file import WholeFile

GOOD = {"question": "1+1?", "answer": "1+1=2\n#### 2"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """What the dataset hub holds, by name, configuration and split."""
    import datasets

    held: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def load(name: str, configuration: str, *, split: str) -> list[dict[str, Any]]:
        if (name, configuration, split) not in held:
            raise ValueError("unknown split\nand more")
        return held[name, configuration, split]

    monkeypatch.setattr(datasets, "load_dataset", load)
    return held


def test_a_bad_row_of_the_hub_is_told_by_its_number_and_skipped(hub: Any) -> None:
    hub["openai/gsm8k", "main", "test"] = [GOOD, {**GOOD, "answer": "2"}, GOOD]
    said: list[str] = []
    bad = BadLines(tell=lambda fault: said.append(fault.message))
    assert [problem.id for problem in gsm8k_problems("hub", "test", "keep", bad)] == ["gsm8k/test/0", "gsm8k/test/2"]
    assert said == ["openai/gsm8k test: row 2: answer: has no line `#### N`"]
    with pytest.raises(DataError, match=r"^openai/gsm8k cannot be read from the hub: unknown split$"):
        list(gsm8k_problems("hub", "train", "keep", bad))


def test_rows_of_other_splits_are_neither_problems_nor_bad(hub: Any) -> None:
    row = {"task_id": 601, "text": "t", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}
    hub["google-research-datasets/mbpp", "full", "train"] = [{**row, "task_id": 3}, row]
    bad = BadLines()
    assert [problem.id for problem in mbpp_problems("hub", "train", False, LINES, bad)] == ["mbpp/train/601"]
    assert bad.count == 0


@pytest.mark.parametrize("name", ["my.notes.jsonl", "my.notes.jsonl.gz", "my.notes.json", "my.notes"])
def test_problems_without_an_id_are_numbered_by_file_and_line(tmp_path: Path, name: str) -> None:
    text = b'{"question": "a", "answer": 1}\n\n{"question": "b", "answer": 2}\n'
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    stem = "my" if name == "my.notes" else "my.notes"
    found = [problem.id for problem in math_problems(str(tmp_path / name), BadLines())]
    assert found == [f"{stem}/0", f"{stem}/2"]


def test_an_import_of_bad_rows_alone_is_an_error_that_says_how_many(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("{\n[]\n")
    bad = BadLines()
    run = WholeFile("data", str(source), str(output), {"task": "math"})
    with pytest.raises(DataError, match="no problem to write: 2 of 2 rows are bad"):
        write_problems(math_problems(str(source), bad), run, bad)
    assert not output.exists()
