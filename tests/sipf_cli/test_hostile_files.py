"""Data and configuration that would make a library run code: they are read as text or as a table, or refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.code_that_runs import Mark
from tests.sipf_cli.conftest import Sipf


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    return Mark(tmp_path)


def array(mark: Mark) -> bytes:
    """A NumPy file of objects, whose reading would unpickle them."""
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    head = head.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + mark.pickled()


def table(mark: Mark, kind: str) -> bytes:
    """A table whose column says that its type is a pickled class, and whose metadata hold pickles."""
    import pyarrow
    from pyarrow import ipc, parquet

    odd = {"ARROW:extension:name": b"arrow.py_extension_type", "ARROW:extension:metadata": mark.pickled()}
    fields = [pyarrow.field("question", pyarrow.binary(), metadata=odd), pyarrow.field("answer", pyarrow.string())]
    schema = pyarrow.schema(fields, metadata={"PANDAS_ATTRS": mark.pickled(), "pandas": mark.pickled()})
    made, sink = pyarrow.table([[b"1+1?"], ["2"]], schema=schema), pyarrow.BufferOutputStream()
    if kind == "parquet":
        parquet.write_table(made, sink)
    else:
        with ipc.new_file(sink, schema) as file:
            file.write_table(made)
    written: bytes = sink.getvalue().to_pybytes()
    return written


FILES: dict[str, Callable[[Mark], bytes]] = {
    **dict.fromkeys(("rows.pkl", "rows.jsonl", "rows.parquet", "rows.arrow", "rows.csv", "rows.pt"), Mark.pickled),
    **dict.fromkeys(("rows.pkl.gz", "rows.jsonl.gz"), lambda mark: gzip.compress(mark.pickled())),
    **dict.fromkeys(("rows.npy", "array.jsonl"), array),
    "script.py": lambda mark: mark.source.encode(),
    "table.parquet": lambda mark: table(mark, "parquet"),
    "table.arrow": lambda mark: table(mark, "arrow"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_data_runs_nothing(inside: Sipf, tmp_path: Path, mark: Mark, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name](mark))
    said = inside("data", "math", "--path", name, "-o", "problems.jsonl", code=3).stderr
    assert f"{name}:" in said
    assert not mark.left


def test_a_folder_by_the_name_of_a_dataset_runs_nothing(inside: Sipf, tmp_path: Path, mark: Mark) -> None:
    folder = tmp_path / "openai/gsm8k"
    folder.mkdir(parents=True)
    for name in ("gsm8k.py", "__init__.py"):
        (folder / name).write_text(mark.source)
    inside("data", "gsm8k", "--split", "test", "-o", "problems.jsonl", code=3)
    assert not mark.left


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 20_000 + "]" * 20_000, "[sample]\nn = " + "9" * 6000, "[sample]\n__class__ = 1", "sample = 'x'"],
)
def test_an_odd_configuration_is_one_line(inside: Sipf, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.toml").write_text(text)
    (tmp_path / "problems.jsonl").write_text(json.dumps({"id": "a", "task": "math", "question": "?", "answer": "1"}))
    said = inside("--config", "odd.toml", "sample", "problems.jsonl", "-o", "paths.jsonl", code=2).stderr
    assert "Traceback" not in said
