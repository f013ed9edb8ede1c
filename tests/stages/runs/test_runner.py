from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, Interrupted, UsageError
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag, catching_signals
from stages.files.manifest import read_manifest
from stages.files.shards import Shard
from stages.runs.faults import ProblemFailed
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet


class Heard(Quiet):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.begun: tuple[str, int | None, int] | None = None
        self.advanced = 0

    def start(self, stage: str, total: int | None, done: int) -> None:
        self.begun = (stage, total, done)

    def advance(self, tokens: int = 0, tally: Tally | None = None) -> None:
        self.advanced += 1

    def warn(self, text: str) -> None:
        self.warnings.append(text)


async def shuffled(problem: Problem, tally: Tally) -> Sequence[Problem]:
    """Ends after a random while; counts a token."""
    await asyncio.sleep(random.random() * 0.005)
    tally.count("tokens", 3)
    return [problem]


def go(
    source: Path | str,
    output: Path | str,
    work: Callable[..., Any] = shuffled,
    *,
    hungry: Callable[[], bool] = lambda: True,
    reporter: Quiet | None = None,
    flag: StopFlag | None = None,
    options: Mapping[str, Any] | None = None,
    usage: Callable[[], Mapping[str, int]] | None = None,
    **settings: Any,
) -> Summary:
    run = LineRun("copy", str(source), str(output), options or {"k": 8}, {"model": "m"}, **settings)
    return asyncio.run(
        run_lines(run, work, hungry=hungry, reporter=reporter or Quiet(), flag=flag or StopFlag(), usage=usage)
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = ({"id": f"p/{i}", "task": "math", "question": f"{i}?", "mine": {"kept": i}} for i in range(200))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_order_is_restored_and_the_manifest_tells_everything(tmp_path: Path, source: Path) -> None:
    output, reporter = tmp_path / "out.jsonl", Heard()
    summary = go(source, output, reporter=reporter, usage=lambda: {"tokens": 700})
    assert ids(output) == [f"p/{i}" for i in range(200)]
    assert json.loads(output.read_text().splitlines()[7])["mine"] == {"kept": 7}
    assert (summary.done, summary.complete, summary.exit_code) == (200, True, 0)
    assert reporter.begun == ("copy", 200, 0)
    assert reporter.advanced == 200
    made = read_manifest(str(output))
    assert made is not None
    assert made["counts"] == {"problems": 200, "bad lines": 0, "failed": 0, "tokens": 600}
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert made["input"] == {"path": str(source), "sha256": sha256, "lines": 200}
    data = output.read_bytes()
    assert made["output"] == {
        "sha256": hashlib.sha256(data).hexdigest(), "lines": 200, "bytes": len(data), "one_each": True,
    }  # fmt: skip
    assert (made["stage"], made["options"], made["facts"], made["shard"]) == ("copy", {"k": 8}, {"model": "m"}, None)
    assert made["usage"] == {"tokens": 700}
    assert set(made) >= {"sipf", "seconds", "started", "finished", "platform", "parents"}
    assert not list(tmp_path.glob("out.jsonl.[plt]*"))


def test_second_time_touches_nothing_and_other_settings_are_refused(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"
    go(source, output)
    before = output.stat().st_mtime_ns
    again = go(source, output, lambda *_: pytest.fail("worked again"))
    assert again.already
    assert (again.done, again.counts, output.stat().st_mtime_ns) == (200, {"tokens": 600}, before)
    with pytest.raises(UsageError, match="k was 8 and is now 9; top was null and is now") as caught:
        go(source, output, options={"k": 9, "top": 1})
    assert "--overwrite" in caught.value.advice
    with pytest.raises(UsageError, match="shard"):
        go(source, output, shard=Shard(0, 2))
    assert not go(source, output, options={"k": 9}, overwrite=True).already
    source.write_text(source.read_text() + "\n")
    with pytest.raises(UsageError, match="the input's content has changed"):
        go(source, output, options={"k": 9})


def test_changed_output_is_noticed_and_a_foreign_file_kept(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"
    go(source, output)
    made = output.read_bytes()
    for edited in (b"gone\n", made[:-2] + b" \n"):  # the second one of the same size
        output.write_bytes(edited)
        with pytest.raises(UsageError, match="was changed after it was made"):
            go(source, output)
        assert output.read_bytes() == edited
    go(source, output, overwrite=True)
    assert output.read_bytes() == made
    other = tmp_path / "mine.jsonl"
    other.write_text("precious\n")
    with pytest.raises(UsageError, match="already exists"):
        go(source, other)
    assert other.read_text() == "precious\n"


def test_changed_input_is_refused_while_unfinished(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"

    async def fails(problem: Problem, tally: Tally) -> Sequence[Problem]:
        if problem.id == "p/0":
            return [problem]
        raise ProblemFailed("no")

    assert go(source, output, fails).exit_code == 6
    source.write_text(source.read_text().replace("17?", "18?"))
    with pytest.raises(UsageError, match="the input's content has changed"):
        go(source, output)
    assert go(source, output, overwrite=True).complete


def test_an_unfinished_run_that_finished_nothing_protects_nothing(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"

    async def fails(problem: Problem, tally: Tally) -> Sequence[Problem]:
        raise ProblemFailed("no")

    assert go(source, output, fails).exit_code == 6
    source.write_text(source.read_text().replace("17?", "18?"))
    assert go(source, output).resumed == 0
    assert "18?" in output.read_text()


def test_window_bounds_how_far_the_run_is_ahead(tmp_path: Path, source: Path) -> None:
    flying: set[int] = set()
    spread = 0

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        nonlocal spread
        n = int(problem.id[2:])
        flying.add(n)
        spread = max(spread, max(flying) - min(flying))
        await asyncio.sleep(0.05 if n % 50 == 0 else 0)
        flying.discard(n)
        return [problem]

    go(source, tmp_path / "out.jsonl", work, window=16)
    assert spread == 15


def test_admission_follows_the_engines_hunger(tmp_path: Path, source: Path) -> None:
    flying = most = 0

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.001)
        flying -= 1
        return [problem]

    go(source, tmp_path / "one.jsonl", work, hungry=lambda: False)
    assert most == 1
    go(source, tmp_path / "more.jsonl", work, hungry=lambda: flying < 40)
    assert 40 <= most < 40 + 32


def test_bad_lines_are_skipped_counted_and_end_with_3(tmp_path: Path, source: Path) -> None:
    lines = source.read_text().splitlines()
    lines[3] = lines[4] = "{bad"
    lines[9] = ""
    lines[11] = lines[10]
    source.write_text("\n".join(lines))
    output, reporter = tmp_path / "out.jsonl", Heard()
    summary = go(source, output, reporter=reporter)
    assert (summary.done, summary.bad, summary.exit_code, summary.complete) == (196, 3, 3, True)
    assert [text.partition(": ")[2].partition(": ")[0] for text in reporter.warnings] == [
        f"{source}:4", f"{source}:5", f"{source}:12",
    ]  # fmt: skip
    made = read_manifest(str(output))
    assert made is not None
    assert (made["bad_lines"], made["gaps"]) == ([[4, 5], [12, 12]], [[4, 5], [10, 10], [12, 12]])
    assert go(source, output).exit_code == 3  # complete before: said again
    with pytest.raises(DataError, match=":4: not a line of JSON"):
        go(source, tmp_path / "strict.jsonl", strict=True)


def test_bad_lines_count_once_over_a_resume(tmp_path: Path, source: Path) -> None:
    source.write_text("oops\n" + source.read_text())
    output, flag = tmp_path / "out.jsonl", StopFlag()

    async def stops(problem: Problem, tally: Tally) -> Sequence[Problem]:
        if problem.id == "p/150":
            flag.request(signal.SIGTERM)
        return [problem]

    with pytest.raises(Interrupted, match="SIGTERM"):
        go(source, output, stops, flag=flag)
    summary = go(source, output)
    assert summary.resumed > 0
    assert (summary.bad, summary.done) == (1, 200)


@pytest.mark.parametrize("text", ["", "\n\n", "no\nproblem\n"])
def test_input_without_a_good_line_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.jsonl").write_text(text)
    with pytest.raises(DataError, match="no line holds a problem"):
        go(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_failed_problems_are_tried_again_or_left_out_on_request(tmp_path: Path, source: Path) -> None:
    output, tries = tmp_path / "out.jsonl", 0

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        nonlocal tries
        tries += 1
        tally.count("tokens")
        if problem.id in {"p/5", "p/77"}:
            raise ProblemFailed("too long")
        return [problem]

    reporter = Heard()
    summary = go(source, output, work, reporter=reporter)
    assert (summary.failed, summary.complete, summary.exit_code) == (2, False, 6)
    assert f"{source}:6: p/5 failed: too long" in reporter.warnings
    assert not output.exists()
    assert go(source, output, work).resumed == 198
    assert tries == 202
    summary = go(source, output, work, skip_failed=True)
    assert (summary.done, summary.complete, summary.exit_code, summary.counts["tokens"]) == (198, True, 0, 198)
    made = read_manifest(str(output))
    assert made is not None
    assert [(one["line"], one["id"]) for one in made["failed"]] == [(6, "p/5"), (78, "p/77")]
    with pytest.raises(UsageError, match="without 2 problems"):
        go(source, output)


def test_failed_problem_comes_back_to_its_place(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        if problem.id == "p/0":
            raise ProblemFailed("not yet")
        return [problem]

    go(source, output, work, window=8)
    go(source, output, window=8)
    assert ids(output) == [f"p/{i}" for i in range(200)]


def test_bug_in_the_work_ends_the_run_and_keeps_what_is_done(tmp_path: Path, source: Path) -> None:
    output = tmp_path / "out.jsonl"

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        if problem.id == "p/100":
            raise ZeroDivisionError
        await asyncio.sleep(0)
        return [problem]

    with pytest.raises(ZeroDivisionError):
        go(source, output, work)

    async def cancelled(problem: Problem, tally: Tally) -> Sequence[Problem]:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled from inside"):
        go(source, output, cancelled)
    assert go(source, output).resumed >= 64


def test_several_or_no_records_a_problem(tmp_path: Path, source: Path) -> None:
    async def work(problem: Problem, tally: Tally) -> Sequence[Mapping[str, Any]]:
        n = int(problem.id[2:])
        return [{"id": problem.id, "part": part, "text": "\x1e\t\n\u2028"} for part in range(n % 3)]

    output = tmp_path / "out.jsonl"
    go(source, output, work)
    rows = [json.loads(line) for line in output.read_text().split("\n")[:-1]]
    assert [(row["id"], row["part"]) for row in rows] == [(f"p/{n}", part) for n in range(200) for part in range(n % 3)]
    assert rows[0]["text"] == "\x1e\t\n\u2028"


def test_packed_in_and_out_are_the_same_bytes_every_time(tmp_path: Path, source: Path) -> None:
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        go(packed, tmp_path / name)
    go(source, tmp_path / "plain.jsonl")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "plain.jsonl").read_bytes()


def test_torn_input_keeps_the_lines_before_it(tmp_path: Path, source: Path) -> None:
    packed = tmp_path / "in.jsonl.gz"
    whole = gzip.compress(source.read_bytes(), compresslevel=0)
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        go(packed, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_stdin_to_stdout_in_order_with_a_manifest_on_request(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    go(source, tmp_path / "file.jsonl")
    with source.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        summary = go("-", "-", manifest=str(tmp_path / "made.json"))
    assert summary.complete
    assert capfdbinary.readouterr().out == (tmp_path / "file.jsonl").read_bytes()
    made = json.loads((tmp_path / "made.json").read_text())
    assert made["input"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_replaced_stdin_is_read_too(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(source.read_bytes())))
    assert go("-", tmp_path / "out.jsonl").done == 200


def test_failures_on_stdout_are_left_out_and_end_with_6(
    source: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        if problem.id == "p/0":
            await asyncio.sleep(0.05)
            raise ProblemFailed("no")
        return [problem]

    assert go(source, "-", work).exit_code == 6
    assert len(capfdbinary.readouterr().out.splitlines()) == 199


def test_unusable_places_are_refused_before_any_work(tmp_path: Path, source: Path) -> None:
    def never(*_: object) -> None:
        pytest.fail("worked")

    for output, said in [
        (source, "is the input"),
        (tmp_path / "out.parquet", "writes lines, no table"),
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "out.jsonl", "does not exist"),
        (Path("/proc/out.jsonl"), "cannot be written to"),
    ]:
        with pytest.raises(UsageError, match=said):
            go(source, output, never)
    (tmp_path / "link.jsonl").symlink_to(source)
    with pytest.raises(UsageError, match="is the input"):
        go(source, tmp_path / "link.jsonl", never)
    with pytest.raises(UsageError, match="there is no file"):
        go(tmp_path / "absent.jsonl", tmp_path / "out.jsonl", never)


def test_device_as_output_stays_a_device(source: Path) -> None:
    assert go(source, "/dev/null").complete
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["same file system", "another one"])
def test_link_as_output_stays_a_link(tmp_path: Path, source: Path, is_elsewhere: bool) -> None:
    memory = "/dev/shm"
    if is_elsewhere and not (os.path.isdir(memory) and os.stat(memory).st_dev != os.stat(tmp_path).st_dev):
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir=memory if is_elsewhere else tmp_path) as real:
        for name in ("out.jsonl", "copy.json"):
            (tmp_path / name).symlink_to(Path(real) / name)
        go(source, tmp_path / "out.jsonl", manifest=str(tmp_path / "copy.json"))
        assert all((tmp_path / name).is_symlink() for name in ("out.jsonl", "copy.json"))
        assert go(source, Path(real) / "out.jsonl").already
        assert sorted(os.listdir(real)) == ["copy.json", "out.jsonl", "out.jsonl.manifest.json"]


def test_parents_are_told_and_a_changed_one_too(tmp_path: Path, source: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    go(source, first, options={"k": 1})
    go(first, second)
    made = read_manifest(str(second))
    assert made is not None
    assert (made["parents"][0]["path"], made["parents"][0]["options"]) == (str(first), {"k": 1})
    first.write_text(first.read_text().replace("17?", "18?"))
    go(first, second, overwrite=True)
    made = read_manifest(str(second))
    assert made is not None
    assert "changed_since" in made["parents"][0]


def test_second_ctrl_c_does_not_wait() -> None:
    before = signal.getsignal(signal.SIGINT)
    with catching_signals() as flag:
        signal.raise_signal(signal.SIGINT)
        assert flag.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            flag.check()
    assert signal.getsignal(signal.SIGINT) is before
