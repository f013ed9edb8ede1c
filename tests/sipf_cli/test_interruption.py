"""Commands that are killed or stopped at any point, and run again, write the bytes of a run that was left alone."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import (
    ON_CPU,
    SCRIPTED,
    end,
    finished,
    hold,
    release,
    run,
    start,
    wait_for,
    wait_until_it_listens,
)

AFTERWARDS, AFTERWARDS_SCRIPTED = 8, 64
"""Problems that may still be finished between SIGTERM and the run's next look at it: by a model, by a script."""
# few rows and small batches, so that the lines finish one after the other and there is something to interrupt
COMMANDS = {
    "sample": ("sample", "problems.jsonl", "-m", "chain-base", "-n", 4, "--batch-rows", 8, *ON_CPU),
    "simulate": ("simulate", "paths.jsonl", "-m", "chain-base", "--k", 3, "--batch-rows", 8, *ON_CPU),
    "score": ("score", "many.jsonl", "-m", "prm", "--batch-tokens", 64, *ON_CPU),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, prm: Path) -> Path:
    """Inputs, and the reward model."""
    folder = tmp_path_factory.mktemp("interruption")
    (folder / "prm").symlink_to(prm)
    run(folder, "data", "chain", "--split", "train", "-n", 14, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 2, "-o", "paths.jsonl")
    run(folder, "data", "chain", "--split", "train", "-n", 160, "-o", "more.jsonl")
    run(folder, "sample", "more.jsonl", *SCRIPTED, "-n", 4, "-o", "many.jsonl")
    run(folder, "data", "chain", "--split", "train", "-n", 400, "-o", "most.jsonl")
    run(folder, "data", "chain", "--split", "train", "-n", 200, "-o", "half.jsonl")
    run(folder, "sample", "half.jsonl", *SCRIPTED, "-n", 4, "-o", "half-paths.jsonl")
    return folder


def interrupted(sipf: Any, folder: Path, line: tuple[object, ...], sorts: list[signal.Signals], seed: int) -> None:
    """Interrupt a command as often as there are signals, each time somewhat later, then let it end, and compare with
    one that was left alone."""
    draws = random.Random(seed)
    whole, output, part = folder / "whole.jsonl", folder / "again.jsonl", folder / "again.jsonl.part"
    sipf(*line, "-o", whole.name)
    final, size = len(whole.read_bytes()), 0
    for sort in sorts:
        process = start(folder, *line, "-o", output.name, cold=False)
        wait_for(part, size + 1 + int(0.6 * draws.random() * final / len(sorts)), process)
        time.sleep(draws.random() * 0.02)
        hold(process)
        before = finished(part)
        release(process, sort)
        code, said = end(process)
        assert code == (-9 if sort == signal.SIGKILL else 75), said
        most = AFTERWARDS_SCRIPTED if "scripted" in line else AFTERWARDS
        assert finished(part) - before <= (0 if sort == signal.SIGKILL else most)
        assert "Traceback" not in said
        assert not output.exists()
        size = part.stat().st_size
    done = json.loads(sipf(*line, "-o", output.name, "--json").stdout)
    assert done["resumed"] > 0
    assert output.read_bytes() == whole.read_bytes()
    made, left_alone = (json.loads(Path(f"{path}.manifest.json").read_text()) for path in (output, whole))
    assert made["counts"] == left_alone["counts"]
    assert made["output"] == left_alone["output"]
    assert {path.name for path in folder.glob("again.jsonl*")} == {"again.jsonl", "again.jsonl.manifest.json"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_model_that_is_killed_and_stopped_in_its_work_goes_on(
    name: str, folder: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    interrupted(inside, tmp_path, COMMANDS[name], [signal.SIGKILL, signal.SIGTERM], seed=len(name))


@pytest.mark.parametrize(("name", "interruptions"), [("sample", 12), ("simulate", 6)])
def test_a_run_survives_one_interruption_after_another(
    name: str, interruptions: int, folder: Path, tmp_path: Path, inside: Any
) -> None:
    source = folder / {"sample": "most.jsonl", "simulate": "half-paths.jsonl"}[name]
    line = (name, source, *SCRIPTED, *{"sample": ("-n", 20), "simulate": ("--k", 4)}[name])
    sorts = [signal.SIGKILL, signal.SIGTERM] * (interruptions // 2)
    random.Random(1).shuffle(sorts)
    interrupted(inside, tmp_path, line, sorts, seed=2)


@pytest.mark.parametrize("after", [0.5, 1.2, 2.0])
@pytest.mark.parametrize("name", ["sample", "score"])
def test_sigterm_is_heard_while_libraries_and_models_are_loaded(
    name: str, after: float, folder: Path, tmp_path: Path
) -> None:
    source = {"sample": "most.jsonl", "score": "many.jsonl"}[name]
    model = folder / "prm" if name == "score" else "chain-base"
    process = start(tmp_path, name, folder / source, "-m", model, *ON_CPU, "-o", "out.jsonl")
    wait_until_it_listens(process)
    time.sleep(after)
    hold(process)
    before = finished(tmp_path / "out.jsonl.part")
    release(process, signal.SIGTERM)
    code, said = end(process)
    assert code == 75, said
    assert finished(tmp_path / "out.jsonl.part") - before <= AFTERWARDS
    assert said.splitlines()[-2:] == ["sipf: stopped by SIGTERM", said.splitlines()[-1]]
    assert "Traceback" not in said
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("at", ["while it loads", "at work", "with a script"])
def test_ctrl_c_keeps_what_is_done_and_ends_with_130(at: str, folder: Path, tmp_path: Path) -> None:
    engine = SCRIPTED if at == "with a script" else ("-m", "chain-base", *ON_CPU, "--batch-rows", 8)
    line = ("sample", folder / "most.jsonl", *engine, "-n", 20, "-o", "out.jsonl")
    process = start(tmp_path, *line, cold=at != "at work")
    if at == "while it loads":
        wait_until_it_listens(process)
        time.sleep(1)
    else:
        wait_for(tmp_path / "out.jsonl.part", 3000, process)
    process.send_signal(signal.SIGINT)
    code, said = end(process)
    assert code == 130, said
    advice = "sipf: interrupted\n      Run the same command again: it resumes from here.\n"
    assert said.endswith(advice) or at == "while it loads"
    assert "Traceback" not in said
    assert "never retrieved" not in said
    if at != "while it loads":
        assert (tmp_path / "out.jsonl.part").stat().st_size >= 3000
