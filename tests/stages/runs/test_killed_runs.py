"""A run that is killed at any point and started again writes the bytes of a run that was not."""

from __future__ import annotations

import array
import fcntl
import json
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import environment
from tests.sipf_cli.warm import begin

SCRIPT = Path(__file__).with_name("slow_stage.py")
LINES = 300


def start(*arguments: object, cold: bool = False, **how: Any) -> subprocess.Popen[bytes]:
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **how}
    if cold:
        return subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], **how)
    return begin([SCRIPT, *arguments], env=environment(), **how)


def run(*arguments: object, code: int = 0, cold: bool = False) -> str:
    process = start(*arguments, cold=cold)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code, said
    return said


def write_problems(path: Path, lines: int = LINES) -> Path:
    rows = [{"id": f"p/{i}", "task": "math", "question": f"What is {i}?", "answer": str(i)} for i in range(lines)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def wait_for(path: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    """Until the journal has grown to so many bytes, or the run is over."""
    while process.poll() is None and (not path.exists() or path.stat().st_size < size):
        time.sleep(0.001)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A problem file and what an uninterrupted run makes of it, in a process that hashes texts otherwise."""
    folder = tmp_path_factory.mktemp("whole")
    source, output = write_problems(folder / "in.jsonl"), folder / "out.jsonl"
    run(source, output, cold=True)
    return source, output


@pytest.mark.parametrize("sort", [signal.SIGKILL, signal.SIGTERM])
def test_kills_at_random_points_leave_the_same_bytes(tmp_path: Path, whole: tuple[Path, Path], sort: int) -> None:
    source, expected = whole
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    final = len(expected.read_bytes()) + 45 * LINES
    draws, codes, size = random.Random(sort), set(), 0
    for _ in range(6):
        process = start(source, output, "--delay", 0.02)
        wait_for(part, size + 1 + int(draws.random() * final / 8), process)
        process.send_signal(sort)
        process.communicate(timeout=60)
        size = part.stat().st_size
        codes.add(process.returncode)
        assert not output.exists()
    assert codes == {-9 if sort == signal.SIGKILL else 75}
    said = json.loads(run(source, output))
    assert said["resumed"] > 0
    assert said["done"] == LINES
    assert output.read_bytes() == expected.read_bytes()
    made, plain = (json.loads(Path(f"{path}.manifest.json").read_text()) for path in (output, expected))
    assert made["counts"] == plain["counts"]
    assert made["output"] == plain["output"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.jsonl.manifest.json"]


def test_costs_add_up_over_a_stop_and_a_resume(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    source, expected = whole
    output = tmp_path / "out.jsonl"
    process = start(source, output, "--delay", 0.02)
    wait_for(tmp_path / "out.jsonl.part", 8000, process)
    process.terminate()
    process.communicate(timeout=60)
    run(source, output)
    made, plain = (json.loads(Path(f"{path}.manifest.json").read_text()) for path in (output, expected))
    assert made["usage"] == plain["usage"] == {"tokens": plain["counts"]["tokens"]}


def test_sigterm_says_how_to_go_on_and_waits_for_no_work(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    process = start(whole[0], tmp_path / "out.jsonl", "--delay", 3600)
    wait_for(tmp_path / "out.jsonl.part", 1, process)
    process.terminate()
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 75
    assert said.splitlines()[0] == "stopped by SIGTERM"
    assert "same command again" in said


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    source, expected = whole
    output = tmp_path / "out.jsonl"
    process = start(source, output, "--delay", 0.01)
    wait_for(tmp_path / "out.jsonl.part", 3000, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "never retrieved" not in said
    assert json.loads(run(source, output))["resumed"] > 0
    assert output.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("tail", [b"17\tabcdef", b"\0" * 400, b'299\t0011223344556677\t{"tokens"', b"garbage\n"])
def test_torn_tail_is_cut_and_made_again(tmp_path: Path, whole: tuple[Path, Path], tail: bytes) -> None:
    source, expected = whole
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    process = start(source, output, "--delay", 0.01)
    wait_for(part, 4000, process)
    process.kill()
    process.communicate()
    with part.open("ab") as file:
        file.write(tail)
    assert json.loads(run(source, output))["resumed"] > 0
    assert output.read_bytes() == expected.read_bytes()


def test_every_cut_of_the_journal_can_be_resumed(tmp_path: Path) -> None:
    source = write_problems(tmp_path / "in.jsonl", 6)
    run(source, tmp_path / "whole.jsonl", "--delay", 0)
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    run(source, output, "--delay", 0, "--fail", "p/3", code=6)
    journal = part.read_bytes()
    for cut in random.Random(1).sample(range(len(journal)), 12):
        part.write_bytes(journal[:cut])
        run(source, output, "--delay", 0)
        assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        output.unlink()
        Path(f"{output}.manifest.json").unlink()


def test_kill_between_rename_and_manifest_is_mended(tmp_path: Path) -> None:
    source, output = write_problems(tmp_path / "in.jsonl", 6), tmp_path / "out.jsonl"
    run(source, output, "--delay", 0, "--fail", "p/3", code=6)
    journal = (tmp_path / "out.jsonl.part").read_bytes()
    run(source, output, "--delay", 0)
    data = output.read_bytes()
    Path(f"{output}.manifest.json").unlink()
    (tmp_path / "out.jsonl.part").write_bytes(journal)
    run(source, output, "--delay", 0)
    assert output.read_bytes() == data
    # and when only the journal was left to remove
    (tmp_path / "out.jsonl.part").write_bytes(journal)
    assert json.loads(run(source, output))["already"]
    assert not (tmp_path / "out.jsonl.part").exists()


def test_second_writer_is_refused_by_process_number_under_any_name(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    first = start(whole[0], tmp_path / "out.jsonl", "--delay", 1)
    try:
        wait_for(tmp_path / "out.jsonl.part", 1, first)
        (tmp_path / "folder").symlink_to(tmp_path)
        (tmp_path / "other.jsonl").symlink_to(tmp_path / "out.jsonl")
        for name in ("out.jsonl", "folder/out.jsonl", "other.jsonl"):
            assert f"process {first.pid}" in run(whole[0], tmp_path / name, code=2)
    finally:
        first.kill()
        first.communicate()
    # the lock file of a killed run is there and locks nothing
    assert (tmp_path / "out.jsonl.lock").exists()
    run(whole[0], tmp_path / "out.jsonl")


def test_changed_option_is_named(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    output = tmp_path / "out.jsonl"
    process = start(whole[0], output, "--delay", 0.01)
    wait_for(tmp_path / "out.jsonl.part", 2000, process)
    process.kill()
    process.communicate()
    said = run(whole[0], output, "--k", 16, code=2)
    assert "k was 8 and is now 16" in said
    assert "--overwrite" in said
    run(whole[0], output, "--k", 16, "--overwrite")
    assert json.loads(output.read_text().splitlines()[0])["k"] == 16


def test_pipe_from_one_stage_to_the_next(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    source, expected = whole
    with (
        start(source, "-", "--pad", 0, stdout=subprocess.PIPE) as first,
        subprocess.Popen([sys.executable, "-c", RENAME], stdin=first.stdout, stdout=subprocess.PIPE) as between,
        start("-", "-", stdin=between.stdout, stdout=subprocess.PIPE) as last,
    ):
        data = last.communicate(timeout=60)[0]
    assert data == expected.read_bytes()
    assert last.returncode == 0


RENAME = """import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"id": row["id"], "task": "math", "question": "?"}), flush=True)
"""


def test_closed_pipe_ends_the_run_without_a_traceback(whole: tuple[Path, Path]) -> None:
    process = start(whole[0], "-", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) == 75
    assert "stdout was closed by the program that reads it" in said
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


PIPE_IS_FULL = 60_000
"""Bytes, of the usual 65,536, behind which a line of 4,000 finds no room."""


def unread(process: subprocess.Popen[bytes]) -> int:
    """The bytes that wait in a process's stdout."""
    assert process.stdout is not None
    count = array.array("i", [0])
    fcntl.ioctl(process.stdout, termios.FIONREAD, count)
    return count[0]


def test_sigterm_is_heard_while_nobody_reads_and_nobody_writes(whole: tuple[Path, Path]) -> None:
    stuck = start(whole[0], "-", "--pad", 2000, stdout=subprocess.PIPE)
    idle = start("-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert stuck.stdout is not None
    while unread(stuck) < PIPE_IS_FULL:
        time.sleep(0.01)
    assert idle.stdin is not None
    assert idle.stdout is not None
    idle.stdin.write(b'{"id": "a", "task": "math", "question": "?"}\n')
    idle.stdin.flush()
    idle.stdout.readline()
    for process in (stuck, idle):
        process.terminate()
        assert process.wait(timeout=60) == 75
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_problems_from_a_slow_pipe_go_through_at_once() -> None:
    process = start("-", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for i in range(3):
        process.stdin.write(b'{"id": "%d", "task": "math", "question": "?"}\n' % i)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == str(i)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_piped_input_is_resumed_and_checked_line_by_line(tmp_path: Path, whole: tuple[Path, Path]) -> None:
    source, expected = whole
    output, lines = tmp_path / "out.jsonl", source.read_bytes().splitlines(keepends=True)

    def piped(data: bytes, code: int) -> str:
        process = start("-", output, stdin=subprocess.PIPE)
        said = process.communicate(data, timeout=60)[1].decode()
        assert process.returncode == code, said
        return said

    with source.open("rb") as file:
        process = start("-", output, "--delay", 0.01, stdin=file)
    wait_for(tmp_path / "out.jsonl.part", 4000, process)
    process.kill()
    process.communicate()
    assert "is not the line that was finished before" in piped(b"".join(lines[1:]), 2)
    assert "shorter" in piped(lines[0], 2)
    piped(b"".join(lines), 0)
    assert output.read_bytes() == expected.read_bytes()
    assert json.loads(piped(b"".join(lines), 0))["already"]
    assert "another input" in piped(b"".join(lines[1:]), 2)
