"""A file that is written as a whole: counted, known when it is complete, and never by halves."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, Interrupted, UsageError
from stages.files.manifest import hash_file, read_manifest
from stages.files.reading import BadLines
from stages.files.records import RecordReader
from stages.runs.whole_file import Beside, WholeFile, Written


def copied(run: WholeFile, bad: BadLines) -> Written:
    """Write the rows of the source that have an `x`, and count them."""
    counts: Counter[str] = Counter()

    def parse(row: Any, _: object) -> dict[str, Any]:
        if "x" not in row:
            raise DataError("x: missing")
        return dict(row)

    def rows() -> Iterator[dict[str, Any]]:
        assert run.source is not None
        for row in bad.good(RecordReader(run.source, parse)):
            counts["rows"] += 1
            yield row

    return run.write(rows(), counts, bad, lambda: {"sum": {"of": counts["rows"]}})


@pytest.fixture
def run(tmp_path: Path) -> WholeFile:
    (tmp_path / "in.jsonl").write_text('{"x": 1}\n{}\n{"x": 2}\n')
    return WholeFile("pairs", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), {"eta": 1})


def test_rows_counts_and_parents_are_written_and_the_same_again_does_nothing(run: WholeFile) -> None:
    made = copied(run, BadLines())
    assert made.summary() == {"rows": 2, "bad lines": 1}
    assert made.summary("sum") == {"of": 2}
    manifest = read_manifest(run.output)
    assert manifest is not None
    assert (manifest["stage"], manifest["options"], manifest["counts"]) == ("pairs", {"eta": 1}, made.summary())
    assert manifest["parents"][0]["path"] == manifest["input"]["path"] == run.source
    again = copied(run, BadLines(strict=True))
    assert again.summary() == {"already complete": True, "rows": 2, "bad lines": 1}
    other = WholeFile("pairs", run.source, run.output, {"eta": 2})
    with pytest.raises(UsageError, match="eta was 1 and is now 2"):
        copied(other, BadLines())


def test_with_strict_nothing_is_written(run: WholeFile) -> None:
    with pytest.raises(DataError, match=r"in\.jsonl:2: x: missing"):
        copied(run, BadLines(strict=True))
    assert not os.path.exists(run.output)


def test_what_is_made_from_no_lines_has_neither_parents_nor_bad_lines(tmp_path: Path) -> None:
    run = WholeFile("data", None, str(tmp_path / "out.jsonl"), {"n": 1})
    assert run.write([{"x": 1}], {"problems": 1}).summary() == {"problems": 1}
    assert "parents" not in (read_manifest(run.output) or {})


def test_a_second_file_appears_with_the_output_or_not_at_all(run: WholeFile) -> None:
    second = f"{run.output}.notes.jsonl"
    beside = Beside(".notes.jsonl", lambda: [{"why": "é"}])
    run.write([{"x": 1}], {}, beside=beside)
    assert Path(second).read_text(encoding="utf-8") == '{"why":"é"}\n'
    assert (read_manifest(run.output) or {})["beside"] == {
        ".notes.jsonl": {"sha256": hash_file(second), "lines": 1, "bytes": os.path.getsize(second)}
    }
    assert run.write([], {}, beside=Beside(".notes.jsonl", pytest.fail)).already

    def failing() -> Iterator[dict[str, Any]]:
        yield {"why": "new"}
        raise DataError("no more")

    again = WholeFile("pairs", run.source, run.output, {"eta": 2}, overwrite=True)
    with pytest.raises(DataError, match="no more"):
        again.write([{"x": 2}], {}, beside=Beside(".notes.jsonl", failing))
    assert json.loads(Path(run.output).read_text()) == {"x": 1}
    assert json.loads(Path(second).read_text()) == {"why": "é"}
    assert len(list(Path(run.output).parent.iterdir())) == 4, "input, output, notes and manifest"


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_stops_at_once_while_a_row_is_made(
    run: WholeFile, number: signal.Signals, error: type[BaseException]
) -> None:
    reached = []

    def rows() -> Iterator[dict[str, Any]]:
        yield {"x": 1}
        os.kill(os.getpid(), number)
        reached.extend(json.dumps(n) for n in range(1000))
        yield {"x": 2}

    with pytest.raises(error):
        run.write(rows(), {})
    gc.collect()
    assert len(reached) < 1000
    assert not os.path.exists(run.output)


def test_an_output_that_is_the_input_is_refused_and_the_input_kept(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"x": 1}\n')
    (tmp_path / "link.jsonl").symlink_to(source)
    for output in (source, tmp_path / "link.jsonl"):
        with pytest.raises(UsageError, match="is the input"):
            copied(WholeFile("copy", str(source), str(output), {}, overwrite=True), BadLines())
    assert source.read_text() == '{"x": 1}\n'
