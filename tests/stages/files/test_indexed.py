from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from stages.files.indexed import RecordIndex

LINES = b"\xef\xbb\xbf" + b"\r\n".join(json.dumps({"id": f"p{n}", "n": n}).encode() for n in range(50))


def index(source: Path) -> RecordIndex[dict[str, Any]]:
    return RecordIndex(str(source), lambda row, _: dict(row), lambda row: str(row["id"]))


@pytest.mark.parametrize("packed", [False, True])
def test_records_are_found_by_id_in_any_order(tmp_path: Path, packed: bool) -> None:
    source = tmp_path / ("in.jsonl.gz" if packed else "in.jsonl")
    source.write_bytes(gzip.compress(LINES) if packed else LINES)
    with index(source) as found:
        assert found.ids() == {f"p{n}" for n in range(50)}
        assert [(found.get(f"p{n}") or {})["n"] for n in (49, 0, 17, 0)] == [49, 0, 17, 0]
        assert found.get("stranger") is None


def test_what_is_not_whole_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    for more, said in ((b"{", "51: not a line"), (b'{"id": "p3"}', "51: id: 'p3' is already used in line 4")):
        source.write_bytes(LINES + b"\n" + more)
        with pytest.raises(DataError, match=said), index(source):
            pass
    with pytest.raises(UsageError, match="there is no file"), index(tmp_path / "none"):
        pass
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="in any order"), index(tmp_path / "pipe"):
        pass


def test_a_line_that_was_changed_meanwhile_is_told(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(LINES)
    with index(source) as found:
        source.write_bytes(b"x" * len(LINES))
        with pytest.raises(DataError, match="not a line of JSON"):
            found.get("p17")
