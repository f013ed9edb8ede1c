"""A small dose of `make torture`, and what its parts say of themselves."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sipf_cli.commands import environment
from tests.torture.__main__ import table
from tests.torture.attack import Attacker
from tests.torture.cuts import content, cut, lay, states
from tests.torture.misbehaving import misbehaving
from tests.torture.outcome import Wrong, complete
from tests.torture.power import Disk
from tests.torture.recipes import Recipe
from tests.torture.shim import Call, calls, can_preload, preloaded, variables

pytestmark = pytest.mark.skipif(not can_preload(), reason="no gcc, or no LD_PRELOAD")
SEED = 4


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacker]:
    with misbehaving(SEED) as server:
        yield Attacker(tmp_path_factory.mktemp("torture"), server.url)


@pytest.mark.parametrize(("group", "cases"), [("scripted", 6), ("faults", 4), ("edits", 3), ("server", 2)])
def test_attacked_commands_end_in_the_files_of_undisturbed_ones(group: str, cases: int, attacker: Attacker) -> None:
    rows = [attacker.case(group, SEED, number) for number in range(cases)]
    wrong = [(row["case"], row["wrong"], row["lines"]) for row in rows if row["wrong"]]
    assert not wrong, f"python -m tests.torture --seed {SEED} --group {group} --case N: {wrong}"
    assert sum(bool(attack["moment"]) for row in rows for attack in row["attacks"]) > cases // 2


def test_the_table_counts_by_stage_attack_and_moment() -> None:
    def attack(sort: str, moment: str) -> dict[str, object]:
        return {"signal": sort, "moment": moment, "warm": True}

    attacks = [
        attack("SIGKILL", "before rename out.jsonl.tmp"), attack("SIGKILL", "after pwrite out.jsonl.part"),
        attack("SIGINT", "at any time"), attack("SIGKILL", ""),
    ]  # fmt: skip
    found = table([{"stage": "sample", "attacks": attacks, "wrong": []}]).splitlines()
    assert found[0] == "| stage | attack | any time | journal | rename | all |"
    assert found[2:] == [
        "| sample | SIGINT | 1 |  |  | 1 |", "| sample | SIGKILL |  | 1 | 1 | 2 |", "| all | SIGINT | 1 |  |  | 1 |",
        "| all | SIGKILL |  | 1 | 1 | 2 |", "", "1 cases, 3 attacks hit, 3 of them forked commands; wrong: 0.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["data chain --split train -n 9", "eval {problems} --engine scripted --script gold:0.5"]
)
def test_a_command_survives_a_kill_after_every_change_of_names(line: str, attacker: Attacker, tmp_path: Path) -> None:
    words = line.format(problems=attacker.inputs.some("problems", 3)).split()
    recipe = Recipe(words[0], [[*words, "-o", "out.jsonl"]])
    attacks = attacker.killed_after_each(recipe, tmp_path, ("create", "rename", "unlink"))
    hits = [attack.moment for attack in attacks if attack.code == -9]  # not those of a call that failed
    assert len(hits) >= 6
    assert {f"after rename {name}.tmp" for name in ("out.jsonl", "out.jsonl.manifest.json")} <= set(hits)


def test_a_power_cut_leaves_nothing_that_the_same_command_cannot_finish(attacker: Attacker) -> None:
    row = cut(attacker, "faults", SEED, 0, most=8)
    assert not row["wrong"], "\n".join(row["wrong"])
    assert row["states"] == 8


def test_a_power_cut_while_an_output_appears_leaves_it_complete_or_not_at_all(
    attacker: Attacker, tmp_path: Path
) -> None:
    recipe, run = (
        Recipe("data", [["data", "chain", "--split", "train", "-n", "2", "-o", "out.jsonl"]]),
        tmp_path / "run",
    )
    log, before, whole = attacker.recorded(recipe, tmp_path, lambda: content(run))
    found = [one for one in states(log, run, before, 1000, random.Random(0)) if "out.jsonl" in one[1]]
    assert len(found) > 5
    for _, state in found:
        lay(state, run)
        for manifest in run.glob("*.manifest.json"):
            complete(manifest)
        attacker.finish(recipe, whole, 0, run, tmp_path)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path]:
    """A folder, and the record of a program that writes a file there in the usual safe way."""
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    program = """
import os
with open("new.tmp", "wb") as file:
    file.write(b"whole")
    file.flush()
    os.fsync(file.fileno())
os.replace("new.tmp", "new")
fd = os.open(".", os.O_RDONLY)
os.fsync(fd)
"""
    env = environment(LD_PRELOAD=preloaded(), **variables(folder, log=log))
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=env, check=True)
    return folder, log


def test_a_record_has_every_call_with_its_data(recorded: tuple[Path, Path]) -> None:
    folder, log = recorded
    found = [(call.name, os.path.relpath(call.path, folder), call.data) for call in calls(log)]
    assert found == [
        ("create", "new.tmp", b""), ("write", "new.tmp", b"whole"), ("fsync", "new.tmp", b""),
        ("rename", "new.tmp", b""), ("fsync", ".", b""),
    ]  # fmt: skip


def test_a_file_that_was_synced_before_its_name_is_whole_wherever_the_power_is_cut(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, log = recorded
    found = [state for _, state in states(log, folder, {}, 100, random.Random(0))]
    assert all(state.get("new", b"whole") == b"whole" for state in found)
    assert {} in found
    assert {"new": b"whole"} in found
    assert {"new.tmp": b""} in found
    lay({"a": None, "a/b": b"1"}, tmp_path / "made")
    assert (tmp_path / "made" / "a" / "b").read_bytes() == b"1"


def test_what_was_not_synced_may_be_missing_half_there_or_full_of_zeros() -> None:
    disk = Disk("/f")
    disk.take(Call("create", 7, 0, "/f/x", "", b""))
    disk.take(Call("write", 7, 0, "/f/x", "", b"abcd"))
    disk.take(Call("rename", 0, 0, "/f/x", "/f/y", b""))
    found = [state for _, state in disk.crashes()]
    for state in ({}, {"x": b"abcd"}, {"y": b""}, {"y": b"abcd"}, {"y": b"ab"}, {"y": b"\0\0\0\0"}):
        assert state in found, state
    disk.take(Call("fsync", 7, 0, "/f/y", "", b""))
    disk.take(Call("fsync", 9, 0, "/f", "", b""))
    assert [state for _, state in disk.crashes()] == [{"y": b"abcd"}] * 3


def test_a_call_can_be_made_to_fail_and_a_write_to_be_short(tmp_path: Path) -> None:
    program = "import os\nfd = os.open('x', os.O_WRONLY | os.O_CREAT)\nprint(os.write(fd, b'abcd'))"
    for more, said in (({"short": 1}, "2"), ({"fail": "write:1:28:1"}, "No space left on device")):
        env = environment(LD_PRELOAD=preloaded(), **variables(tmp_path, **more))
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert said in done.stdout + done.stderr


def test_a_manifest_beside_another_output_is_seen(tmp_path: Path) -> None:
    manifest = tmp_path / "out.manifest.json"
    manifest.write_text(json.dumps({"output": {"sha256": "0"}}))
    with pytest.raises(Wrong, match="does not describe"):
        complete(manifest)
