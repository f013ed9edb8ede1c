"""Stages in a pipe, in shards and through gzip make the bytes that they make file by file."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import SCRIPTED, end, environment, read, run, start, write
from tests.sipf_cli.warm import warm_program

SAMPLE = (*SCRIPTED, "-n", 6, "--seed", 3)
PAIRS = ("--rule", "outcome", "--max-per-problem", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the four stages make file by file."""
    folder = tmp_path_factory.mktemp("files")
    run(folder, "data", "chain", "--split", "train", "-n", 50, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SAMPLE, "-o", "paths.jsonl")
    run(folder, "simulate", "paths.jsonl", *SCRIPTED, "-o", "labels.jsonl")
    run(folder, "pairs", "labels.jsonl", *PAIRS, "-o", "pairs.jsonl")
    return folder


def pipe(folder: Path, *commands: tuple[object, ...], cold: bool) -> tuple[bytes, list[tuple[int, str]]]:
    """Run commands as `a | b | c`: what comes out, and how each one ended."""
    processes: list[subprocess.Popen[bytes]] = []
    for command in commands:
        before = processes[-1].stdout if processes else subprocess.DEVNULL
        processes.append(start(folder, *command, cold=cold, stdin=before, stdout=subprocess.PIPE))
        if processes[1:]:
            assert processes[-2].stdout is not None
            processes[-2].stdout.close()
    out, told = processes[-1].communicate(timeout=60)
    ended = []
    for process in processes[:-1]:
        assert process.stderr is not None
        ended.append((process.wait(timeout=60), process.stderr.read().decode()))
        process.stderr.close()
    return out, [*ended, (processes[-1].returncode, told.decode())]


def test_the_whole_chain_in_pipes_equals_the_files(files: Path, tmp_path: Path) -> None:
    out, ended = pipe(
        tmp_path,
        ("data", "chain", "--split", "train", "-n", 50, "-o", "-", "--json"),
        ("sample", "-", *SAMPLE, "-o", "-", "--json"),
        ("simulate", "-", *SCRIPTED, "-o", "-", "--json"),
        ("pairs", "-", *PAIRS, "-o", "-", "--json"),
        cold=True,
    )
    assert out == (files / "pairs.jsonl").read_bytes()
    assert out
    assert [code for code, _ in ended] == [0, 0, 0, 0]
    data, sample, simulate, pairs = (json.loads(told.splitlines()[-1]) for _, told in ended)
    assert data["problems"] == sample["problems"] == simulate["problems"] == 50
    assert sample["counts"]["drawn"] == 300
    assert pairs["counts"]["pairs"] == len(out.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_on_stdout_when_the_lines_are_not(files: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "sample", files / "problems.jsonl", *SAMPLE, "-o", "paths.jsonl", "--json")
    assert json.loads(done.stdout)["problems"] == 50
    assert (tmp_path / "paths.jsonl").read_bytes() == (files / "paths.jsonl").read_bytes()


def test_a_manifest_of_piped_lines_is_written_where_it_was_asked_for(files: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "sample", files / "problems.jsonl", *SAMPLE, "-o", "-", "--manifest", "made.json")
    made = json.loads((tmp_path / "made.json").read_text())
    beside = json.loads((files / "paths.jsonl.manifest.json").read_text())
    assert done.stdout == (files / "paths.jsonl").read_bytes()
    for key in ("stage", "options", "counts"):
        assert made[key] == beside[key]
    assert made["output"]["sha256"] == beside["output"]["sha256"]


def test_a_reader_that_has_enough_ends_the_run_without_a_traceback(files: Path) -> None:
    line = " ".join([*warm_program(), "sample", "problems.jsonl", *map(str, SAMPLE), "-n", "300", "-o", "-"])
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=files, env=environment(), capture_output=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout)["id"] == read(files / "problems.jsonl")[0]["id"]
    said = done.stderr.decode()
    assert done.returncode == 75, said
    assert "stdout was closed by the program that reads it" in said
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_packed_files_in_between_hold_the_same_lines(files: Path, tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl.gz").write_bytes(gzip.compress((files / "problems.jsonl").read_bytes()))
    run(tmp_path, "sample", "problems.jsonl.gz", *SAMPLE, "-o", "paths.jsonl.gz")
    run(tmp_path, "simulate", "paths.jsonl.gz", *SCRIPTED, "-o", "labels.jsonl.gz")
    run(tmp_path, "pairs", "labels.jsonl.gz", *PAIRS, "-o", "pairs.jsonl")
    assert gzip.decompress((tmp_path / "labels.jsonl.gz").read_bytes()) == (files / "labels.jsonl").read_bytes()
    assert (tmp_path / "pairs.jsonl").read_bytes() == (files / "pairs.jsonl").read_bytes()


def test_shards_put_together_equal_the_whole(files: Path, tmp_path: Path) -> None:
    for i in range(3):
        run(tmp_path, "sample", files / "problems.jsonl", *SAMPLE, "--shard", f"{i}/3", "-o", "paths-{shard}.jsonl")
    assert [len(read(tmp_path / f"paths-{i}.jsonl")) for i in range(3)] == [17, 17, 16]
    run(tmp_path, "merge", *(f"paths-{i}.jsonl" for i in (2, 0, 1)), "-o", "paths.jsonl")
    assert (tmp_path / "paths.jsonl").read_bytes() == (files / "paths.jsonl").read_bytes()
    # shards of shards' input work, too: what was merged goes on as if it had never been apart
    run(tmp_path, "simulate", "paths.jsonl", *SCRIPTED, "-o", "labels.jsonl")
    assert (tmp_path / "labels.jsonl").read_bytes() == (files / "labels.jsonl").read_bytes()


def test_a_missing_shard_is_named(files: Path, tmp_path: Path) -> None:
    for i in (0, 2):
        run(tmp_path, "sample", files / "problems.jsonl", *SAMPLE, "--shard", f"{i}/3", "-o", "paths-{shard}.jsonl")
    done = run(tmp_path, "merge", "paths-0.jsonl", "paths-2.jsonl", "-o", "paths.jsonl", code=2)
    assert b"1" in done.stderr.splitlines()[0]
    assert not (tmp_path / "paths.jsonl").exists()


def test_an_array_job_takes_its_shard_from_the_environment(files: Path, tmp_path: Path) -> None:
    for task in (4, 5):
        array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": 4, "SLURM_ARRAY_TASK_MAX": 5}
        array |= {"SLURM_ARRAY_TASK_COUNT": 2, "SLURM_ARRAY_TASK_STEP": 1}
        variables = environment(**{name: str(value) for name, value in array.items()})
        line = ("sample", files / "problems.jsonl", *SAMPLE, "--shard", "slurm", "-o", "paths-{shard}.jsonl")
        run(tmp_path, *line, env=variables)
    run(tmp_path, "merge", "paths-0.jsonl", "paths-1.jsonl", "-o", "paths.jsonl")
    assert (tmp_path / "paths.jsonl").read_bytes() == (files / "paths.jsonl").read_bytes()
    done = run(tmp_path, "sample", files / "problems.jsonl", *SAMPLE, "--shard", "slurm", "-o", "x.jsonl", code=2)
    assert b"SLURM_ARRAY_TASK_ID" in done.stderr


PLANS: list[tuple[str, str, tuple[object, ...], dict[str, int]]] = [
    ("sample", "problems.jsonl", SAMPLE, {"problems": 50, "draws, at least": 300}),
    ("simulate", "paths.jsonl", SCRIPTED, {"problems": 50}),
    ("eval", "problems.jsonl", (*SCRIPTED, "-n", 2), {"problems": 50, "answers": 100}),
    ("sft", "problems.jsonl", ("-m", "chain-base"), {"problems": 50, "with a solution": 50}),
    ("train-prm", "labels.jsonl", ("-m", "chain-base"), {"lines": 50, "bad lines": 0}),
    ("orpo", "pairs.jsonl", ("-m", "chain-base"), {"bad lines": 0}),
    ("pairs", "labels.jsonl", PAIRS, {"bad lines": 0}),
]


@pytest.mark.parametrize(("command", "source", "options", "expected"), PLANS, ids=[plan[0] for plan in PLANS])
def test_a_dry_run_tells_the_cost_and_writes_nothing(
    files: Path, tmp_path: Path, inside: Any, command: str, source: str, options: tuple[object, ...], expected: Any
) -> None:
    done = inside(command, files / source, *options, "-o", "out.jsonl", "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert {name: told[name] for name in expected} == expected
    assert list(tmp_path.iterdir()) == []


def test_the_dry_run_of_simulate_tells_the_rollouts_that_brute_force_takes(files: Path, tmp_path: Path) -> None:
    line = ("simulate", files / "paths.jsonl", *SCRIPTED, "--strategy", "brute", "--json", "-o", "labels.jsonl")
    told = json.loads(run(tmp_path, *line, "--dry-run").stdout)
    made = json.loads(run(tmp_path, *line).stdout)["counts"]
    assert told["rollouts, at most"] == made["rollouts"]
    assert told["prefixes"] == made["prefixes rolled out"]
    assert told["steps"] == made["steps labelled"]


def test_a_dry_run_counts_bad_lines_as_the_run_does(files: Path, tmp_path: Path) -> None:
    good = read(files / "paths.jsonl")[:3]
    astray = {**good[0], "id": "astray", "paths": [{"id": "astray#0", "text": "1+1=2\nThe answer is 2", "steps": []}]}
    unanswered = {key: value for key, value in good[1].items() if key != "answer"} | {"id": "unanswered"}
    write(tmp_path / "paths.jsonl", [*good, astray, unanswered, "{"])
    line = ("simulate", "paths.jsonl", *SCRIPTED, "-o", "labels.jsonl", "--json")
    told = run(tmp_path, *line, "--dry-run", code=3)
    made = run(tmp_path, *line, code=3)
    assert json.loads(told.stdout)["bad lines"] == json.loads(made.stdout)["bad lines"] == 3
    assert json.loads(told.stdout)["problems"] == json.loads(made.stdout)["problems"] == 3
    for n, what in ((4, "paths.0.steps: "), (5, "answer: missing"), (6, "not a line of JSON")):
        assert f"paths.jsonl:{n}: {what}".encode() in told.stderr
        assert f"paths.jsonl:{n}: {what}".encode() in made.stderr
    strict = run(tmp_path, *line, "--dry-run", "--strict", code=3)
    assert strict.stdout == b""


def test_scores_pipe_into_pairs(prm: Path, files: Path, tmp_path: Path, inside: Any, one_thread: None) -> None:
    score = ("score", files / "paths.jsonl", "-m", prm, "--device", "cpu")
    pairs = ("--eta", 0, "--any")
    inside(*score, "-o", "scored.jsonl")
    inside("pairs", "scored.jsonl", *pairs, "-o", "pairs.jsonl")
    out, ended = pipe(tmp_path, (*score, "-o", "-"), ("pairs", "-", *pairs, "-o", "-"), cold=False)
    assert [code for code, _ in ended] == [0, 0]
    assert out == (tmp_path / "pairs.jsonl").read_bytes()
    assert all(row["chosen_score"] >= row["rejected_score"] for row in read(tmp_path / "pairs.jsonl"))


def test_input_that_stops_short_leaves_an_error_and_no_output(tmp_path: Path) -> None:
    process = start(tmp_path, "sample", "-", *SAMPLE, "-o", "paths.jsonl", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    code, said = end(process)
    assert code == 3
    assert "empty" in said
    assert not (tmp_path / "paths.jsonl").exists()
