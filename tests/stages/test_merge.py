from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.files.manifest import read_manifest
from stages.files.shards import Shard
from stages.merge import merge
from stages.runs.faults import ProblemFailed
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet


async def copy(problem: Problem, tally: Tally) -> Sequence[Problem]:
    tally.count("tokens", 3)
    if problem.id == "p/20":
        raise ProblemFailed("always")
    return [problem]


def go(source: Path, output: Path, shard: Shard | None = None, work: Any = copy, **options: int) -> Summary:
    run = LineRun("copy", str(source), str(output), options, {}, shard=shard, skip_failed=True)
    return asyncio.run(run_lines(run, work, reporter=Quiet(), flag=StopFlag()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """60 lines, some of them bad, blank or double, one that fails."""
    rows = [json.dumps({"id": f"p/{i}", "task": "math", "question": f"{i}?"}) for i in range(60)]
    rows[0], rows[8], rows[9], rows[30], rows[59] = "", "bad", rows[2], "{}", rows[58]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(rows))
    return path


def shards(source: Path, count: int, suffix: str = ".jsonl", work: Any = copy) -> list[Path]:
    paths = [source.with_name(f"shard{i}of{count}{suffix}") for i in range(count)]
    for i, path in enumerate(paths):
        assert go(source, path, Shard(i, count), work).complete
    return paths


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_merged_shards_are_the_bytes_of_the_whole(tmp_path: Path, source: Path, count: int, suffix: str) -> None:
    whole, joined = tmp_path / f"whole{suffix}", tmp_path / f"joined{suffix}"
    go(source, whole)
    paths = shards(source, count, suffix)
    result = merge(paths[::-1], joined)
    assert joined.read_bytes() == whole.read_bytes()
    assert (result["shards"], result["lines"], result["order"], result["bad"], result["failed"]) == (
        count, 54, "input", 4, 1,
    )  # fmt: skip
    one, other = read_manifest(str(whole)), read_manifest(str(joined))
    assert one is not None
    assert other is not None
    for key in ("stage", "options", "facts", "shard", "counts", "bad_lines", "gaps", "failed", "output"):
        assert other[key] == one[key], key
    assert other["input"]["sha256"] == one["input"]["sha256"]
    assert len(other["parents"]) == count
    # the whole run's own command finds it complete
    assert go(source, joined).already
    assert merge(paths, joined)["already"]


def test_missing_doubled_unfinished_and_foreign_shards_are_named(tmp_path: Path, source: Path) -> None:
    a, b, c = shards(source, 3)
    out = tmp_path / "out.jsonl"
    with pytest.raises(UsageError, match="shard 1/3 is missing"):
        merge([a, c], out)
    with pytest.raises(UsageError, match=r"are both shard 1/3"):
        merge([a, b, b, c], out)
    foreign = tmp_path / "foreign.jsonl"
    go(source, foreign, Shard(1, 3), k=9)
    with pytest.raises(UsageError, match=r"foreign\.jsonl and .* are of different runs: .*k was null and is now 9"):
        merge([a, foreign, c], out)
    go(source, foreign.with_name("four.jsonl"), Shard(1, 4))
    with pytest.raises(UsageError, match="the number of shards was 3 and is now 4"):
        merge([a, foreign.with_name("four.jsonl"), c], out)
    go(source, foreign.with_name("whole.jsonl"))
    with pytest.raises(UsageError, match="is not a shard"):
        merge([foreign.with_name("whole.jsonl")], out)
    os.unlink(f"{b}.manifest.json")
    with pytest.raises(UsageError, match="is not complete"):
        merge([a, b, c], out)
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([], out)
    assert not out.exists()


def test_changed_shard_and_shard_as_output_are_refused(tmp_path: Path, source: Path) -> None:
    a, b = shards(source, 2)
    with pytest.raises(UsageError, match="is one of the shards"):
        merge([a, b], b, overwrite=True)
    b.write_text(b.read_text().replace("11?", "12?"))
    with pytest.raises(DataError, match="was changed after it was made"):
        merge([a, b], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_several_records_a_problem_follow_shard_by_shard(tmp_path: Path, source: Path) -> None:
    async def twice(problem: Problem, tally: Tally) -> Sequence[Problem]:
        return [problem, problem]

    a, b = shards(source, 2, work=twice)
    assert merge([b, a], tmp_path / "out.jsonl")["order"] == "shard"
    assert (tmp_path / "out.jsonl").read_bytes() == a.read_bytes() + b.read_bytes()


def test_merge_to_stdout(source: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    paths = shards(source, 2)
    merge(paths, "-")
    whole = source.with_name("whole.jsonl")
    go(source, whole)
    assert capfdbinary.readouterr().out == whole.read_bytes()
