from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evals.errors import Interrupted, UsageError
from stages.files.interrupts import StopFlag
from stages.files.locks import output_lock
from stages.files.manifest import read_manifest
from stages.files.outputs import atomic_lines

PAIRS = {"stage": "pairs", "options": {"eta": 0.1}, "facts": {}, "input": {"path": "in.jsonl", "sha256": "00"}}


def test_output_appears_whole_with_its_manifest(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    with atomic_lines(path, lambda: {"counts": {"pairs": 2}}, identity=PAIRS) as out:
        out.write({"prompt": "a"})
        out('{"prompt": "b"}')
        assert not path.exists()
    assert path.read_text() == '{"prompt":"a"}\n{"prompt": "b"}\n'
    made = read_manifest(str(path))
    assert made is not None
    assert (made["counts"], made["options"], made["output"]["lines"]) == ({"pairs": 2}, {"eta": 0.1}, 2)
    assert sorted(os.listdir(tmp_path)) == ["pairs.jsonl", "pairs.jsonl.manifest.json"]


def test_complete_output_is_not_made_again_and_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    for _ in range(2):
        with atomic_lines(path, identity=PAIRS) as out:
            if out.already is None:
                out.write({"prompt": "a"})
    assert out.already is not None
    assert out.already["options"] == {"eta": 0.1}
    other = {**PAIRS, "options": {"eta": 0.2}}
    with pytest.raises(UsageError, match=r"eta was 0.1 and is now 0.2"), atomic_lines(path, identity=other):
        pytest.fail("was let in")
    with pytest.raises(UsageError, match="already exists"), atomic_lines(path):
        pytest.fail("was let in")
    with atomic_lines(path, identity=other, overwrite=True) as out:
        out.write({"prompt": "c"})
    assert path.read_text() == '{"prompt":"c"}\n'


def test_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    with atomic_lines(path, identity=PAIRS) as out:
        out.write({"prompt": "a"})
    flag = StopFlag()

    def stopped() -> None:
        with atomic_lines(path, identity=PAIRS, overwrite=True, flag=flag) as out:
            out.write({"prompt": "b"})
            flag.request(signal.SIGTERM)
            out.write({"prompt": "c"})

    with pytest.raises(Interrupted):
        stopped()
    assert path.read_text() == '{"prompt":"a"}\n'
    assert sorted(os.listdir(tmp_path)) == ["pairs.jsonl", "pairs.jsonl.manifest.json"]


@pytest.mark.parametrize(
    "place", ["os.replace", "stages.files.atomic.sync_folder", "stages.files.outputs.publish_manifest"]
)
def test_a_signal_after_the_output_has_appeared_leaves_what_the_next_run_needs(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pairs.jsonl"
    replace = os.replace

    def interrupted(*given: str) -> None:
        if place == "os.replace":
            replace(*given)
        if path.exists():
            raise KeyboardInterrupt

    def write() -> bool:
        with atomic_lines(path, identity=PAIRS) as out:
            if out.already is None:
                out.write({"prompt": "a"})
        return out.already is not None

    with monkeypatch.context() as patched:
        patched.setattr(place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write()
    assert path.exists()
    assert write(), "the next run finds it complete"
    assert sorted(os.listdir(tmp_path)) == ["pairs.jsonl", "pairs.jsonl.manifest.json"]


def test_stdout_gets_the_lines_and_a_file_the_manifest(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with atomic_lines("-", identity=PAIRS, manifest=str(tmp_path / "m.json")) as out:
        out.write({"prompt": "é"})
    assert capfdbinary.readouterr().out == '{"prompt":"é"}\n'.encode()
    assert json.loads((tmp_path / "m.json").read_text())["stage"] == "pairs"


def test_lock_is_held_by_one_and_left_by_the_dead(tmp_path: Path) -> None:
    path = str(tmp_path / "out.jsonl")
    code = "import os, sys\nfrom stages.files.locks import output_lock\nwith output_lock(sys.argv[1]): os._exit(9)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code, path], cwd=root).returncode == 9
    assert os.path.exists(f"{path}.lock")
    with output_lock(path), pytest.raises(UsageError, match=f"process {os.getpid()}"), output_lock(path):
        pytest.fail("was let in")
    assert not os.listdir(tmp_path)
