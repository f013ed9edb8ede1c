"""The moments in which an output appears: a kill, a failed call or a power cut there, and the same command again."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.errors import Interrupted, UsageError
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.files.manifest import hash_file, read_manifest
from stages.runs.journal import Journal
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet
from stages.runs.whole_file import Beside, WholeFile, Written

HEADER = {"sipf": "0", "stage": "copy", "options": {}, "facts": {}, "shard": None, "input": None}


def killed_at(ending: str, command: Callable[[], object], *, after: bool = False) -> None:
    """Run a command in a fork that is gone at the moment a file of this name would appear, or right after it has."""
    child = os.fork()
    if not child:
        real = os.replace

        def replace(path: str, to: str) -> None:
            if after:
                real(path, to)
            if str(to).endswith(ending):
                os._exit(9)
            if not after:
                real(path, to)

        os.replace = replace  # type: ignore[assignment]  # in the fork alone
        try:
            command()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


async def copied(problem: Problem, tally: Tally) -> Sequence[Problem]:
    return [problem]


def lines(folder: Path, **settings: Any) -> Summary:
    """A run over lines."""
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps({"id": f"p/{i}", "task": "math", "question": "?"}) + "\n" for i in range(9)))
    run = LineRun("copy", str(source), str(folder / "out.jsonl"), {"k": 8}, {}, **settings)
    return asyncio.run(run_lines(run, copied, reporter=Quiet(), flag=StopFlag()))


def whole(folder: Path, value: int = 1, beside: bool = False, **settings: Any) -> Written:
    """A file that is written in one go."""
    (folder / "in.jsonl").write_text("{}\n")
    run = WholeFile("pairs", str(folder / "in.jsonl"), str(folder / "out.jsonl"), {"value": value}, **settings)
    more = Beside(".why.jsonl", lambda: [{"because": value}]) if beside else None
    return run.write([{"value": value}], {"rows": 1}, beside=more)


def test_a_file_written_in_one_go_that_was_killed_before_its_manifest_is_complete_when_run_again(
    tmp_path: Path,
) -> None:
    killed_at("out.jsonl.manifest.json", lambda: whole(tmp_path))
    assert (tmp_path / "out.jsonl").exists()
    assert read_manifest(str(tmp_path / "out.jsonl")) is None
    assert whole(tmp_path).already
    made = read_manifest(str(tmp_path / "out.jsonl"))
    assert made is not None
    assert made["output"]["sha256"] == hash_file(str(tmp_path / "out.jsonl"))
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "out.jsonl.manifest.json"}


def test_a_manifest_is_not_given_to_an_output_that_it_does_not_describe(tmp_path: Path) -> None:
    killed_at("out.jsonl.manifest.json", lambda: whole(tmp_path))
    (tmp_path / "out.jsonl").write_text('{"value": 2}\n')
    with pytest.raises(UsageError, match="no manifest says how it was made"):
        whole(tmp_path)


@pytest.mark.parametrize("command", [lines, whole])
def test_the_second_manifest_is_written_when_the_command_is_run_again(
    command: Callable[..., object], tmp_path: Path
) -> None:
    second = tmp_path / "second.json"
    killed_at("second.json", lambda: command(tmp_path, manifest=str(second)))
    assert not second.exists()
    command(tmp_path, manifest=str(second))
    assert json.loads(second.read_text()) == read_manifest(str(tmp_path / "out.jsonl"))


def test_an_older_manifest_never_stands_beside_a_newer_second_file(tmp_path: Path) -> None:
    whole(tmp_path, beside=True)
    killed_at(".why.jsonl", lambda: whole(tmp_path, 2, beside=True, overwrite=True), after=True)
    assert json.loads((tmp_path / "out.jsonl.why.jsonl").read_text()) == {"because": 2}
    assert read_manifest(str(tmp_path / "out.jsonl")) is None
    whole(tmp_path, 2, beside=True, overwrite=True)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"value": 2}


@pytest.mark.parametrize("again", [False, True])
def test_a_journal_that_cannot_be_deleted_is_an_interruption(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.unlink

    def unlink(path: Any, **how: Any) -> None:
        if str(path).endswith(".part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        real(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        for _ in range(1 + again):
            with pytest.raises(Interrupted, match=r"out\.jsonl\.part: cannot be written"):
                lines(tmp_path)
    assert lines(tmp_path).already
    assert not (tmp_path / "out.jsonl.part").exists()


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_an_entry_that_was_damaged_after_it_was_written_is_done_again(damaged: int, tmp_path: Path) -> None:
    path = str(tmp_path / "out.jsonl.part")
    journal = Journal(path, HEADER)
    for n in range(3):
        journal.add(n, f"{n:016x}", {"tokens": 1}, ["x" * 600])
    journal.close()
    with open(path, "rb") as file:
        starts = [len(file.readline()) for _ in range(3)]
    with open(path, "r+b") as file:  # what a power cut leaves of a page that was not written
        file.seek(sum(starts[: damaged + 1]) + 300)
        file.write(b"\0" * 40)
    journal = Journal(path, HEADER)
    assert journal.done == damaged
    assert journal.cut > 0
    journal.close()
