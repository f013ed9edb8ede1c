"""`sipf merge` names the shards that are missing or incomplete, with commands that make them as they are printed."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.sipf_cli.commands import SCRIPTED, environment, run
from tests.sipf_cli.warm import warm_program


def commands_in(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if line.strip().startswith(("sipf sample", "env "))]


def run_as_printed(folder: Path, line: str) -> None:
    """In a shell, where `sipf` is this tree's."""
    typed = f'sipf() {{ {shlex.join(warm_program())} "$@"; }}; {line}'
    if line.startswith("env "):
        typed = line.replace(" sipf ", f" {shlex.join(warm_program())} ", 1)
    done = subprocess.run(["bash", "-c", typed], cwd=folder, env=environment(), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def leave_unfinished(output: Path) -> None:
    """As a kill leaves an output of which nothing is done: a journal with its first line."""
    manifest = output.with_name(f"{output.name}.manifest.json")
    made = json.loads(manifest.read_text())
    kept = ("sipf", "stage", "options", "facts", "shard", "input", "command", "window", "started")
    output.with_name(f"{output.name}.part").write_text(json.dumps({name: made[name] for name in kept}) + "\n")
    output.unlink()
    manifest.unlink()


@pytest.mark.parametrize("variables", [{}, {"SIPF_SAMPLE_SEED": "7", "SIPF_API_KEY": "secret"}])
def test_each_missing_or_incomplete_shard_is_made_by_the_printed_command(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 9, "-o", "problems.jsonl")
    env = environment(**variables)
    sample = ("sample", "problems.jsonl", *SCRIPTED, "-n", 2)
    run(tmp_path, *sample, "-o", "whole.jsonl", env=env)
    shards = [f"it's shard {index}.jsonl" for index in range(4)]
    for index in (0, 1, 3):
        array = {"SLURM_ARRAY_TASK_ID": str(index)}
        run(tmp_path, *sample, "--shard", "slurm/4", "-o", "it's shard {shard}.jsonl", env={**env, **array})
    leave_unfinished(tmp_path / shards[3])
    failed = run(tmp_path, "merge", *shards, "-o", "all.jsonl", code=2)
    said = failed.stderr.decode()
    assert f"sipf: {shards[2]} is not complete: it has no manifest; {shards[3]} is not complete" in said
    found = commands_in(said)
    assert [shlex.split(line)[shlex.split(line).index("--shard") + 1] for line in found] == ["3/4", "2/4"]
    assert "secret" not in said
    for line in found:
        run_as_printed(tmp_path, line)
    run(tmp_path, "merge", *shards, "-o", "all.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_shard_that_is_not_named_and_one_under_a_name_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 4, "-o", "problems.jsonl")
    sample = ("sample", "problems.jsonl", *SCRIPTED, "-n", 2)
    run(tmp_path, *sample, "--shard", "0/3", "-o", "a.jsonl")
    run(tmp_path, *sample, "--shard", "1/3", "-o", "b.jsonl")
    said = run(tmp_path, "merge", "a.jsonl", "b.jsonl", "-o", "all.jsonl", code=2).stderr.decode()
    assert "sipf: shard 2/3 is missing\n" in said
    (line,) = commands_in(said)
    assert line.endswith("--shard 2/3 -o a.2.jsonl")
    said = run(tmp_path, "merge", "a.jsonl", "b.jsonl", "c.jsonl", "-o", "all.jsonl", code=2).stderr.decode()
    (line,) = commands_in(said)
    assert line.endswith("--shard 2/3 -o c.jsonl")
    run_as_printed(tmp_path, line)
    run(tmp_path, "merge", "a.jsonl", "b.jsonl", "c.jsonl", "-o", "all.jsonl")


def test_no_key_and_no_password_is_recorded(tmp_path: Path) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 2, "-o", "problems.jsonl")
    server = ("--url", "http://ada:secret@127.0.0.1:9/v1", "--retries", 0)
    variables = {"SIPF_API_KEY": "secret", "SIPF_SAMPLE_TOP_P": "0.9"}
    run(tmp_path, "sample", "problems.jsonl", *SCRIPTED, *server, "-o", "paths.jsonl", env=environment(**variables))
    made = json.loads((tmp_path / "paths.jsonl.manifest.json").read_text())
    assert made["command"][:3] == ["env", "SIPF_SAMPLE_TOP_P=0.9", "sipf"]
    assert "http://127.0.0.1:9/v1" in made["command"]
    assert "secret" not in json.dumps(made)
