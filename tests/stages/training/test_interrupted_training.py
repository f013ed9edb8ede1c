"""Training that is stopped or finds no room at any moment, and ends in the same model when the command is repeated."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file

from evals.errors import Interrupted, ModelError, UsageError
from stages.files.interrupts import catching_signals
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.training.best import BestWeights
from stages.training.failed_writes import failed_write, failed_writes_interrupt
from stages.training.model_folder import ModelFolder
from tests.code_that_runs import Mark
from tests.lines import labelled_problem
from tests.models import build_model

PROBLEMS = [labelled_problem(i) for i in range(12)]
OPTIONS = TrainSettings(epochs=2, batch=4, lr=1e-3, save_steps=2, logging_steps=1, device="cpu")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def train(base: str, out: Path, **more: Any) -> dict[str, Any]:
    return run_sft(PROBLEMS, model=base, out=str(out), options=OPTIONS, **more)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_model(tmp_path_factory.mktemp("base") / "base", "llama", tied=True)


@pytest.fixture(scope="module")
def whole(base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "model"
    train(base, out)
    return out


def losses(model: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (model / "history.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in ("step", "loss", "grad_norm", "learning_rate")} for line in lines]


def assert_same(made: Path, whole: Path) -> None:
    assert losses(made) == losses(whole)
    one, two = (load_file(folder / "model.safetensors") for folder in (made, whole))
    assert all(one[name].equal(two[name]) for name in two)
    assert not list(made.parent.glob("*.part")) + list(made.parent.glob("*.lock"))


def at(patch: pytest.MonkeyPatch, place: str, event: Callable[[], None], call: int = 1) -> None:
    """Let something happen when a function is called for the n-th time, before it does its work."""
    calls = 0
    path, _, name = place.rpartition(".")
    owner = resolve_name(path)
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            event()
        return original(*arguments, **how)

    patch.setattr(owner, name, wrapped)


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fill() -> None:
    raise FULL


MOMENTS = {
    "while the tokenizer is loaded": ("stages.training.run.load_tokenizer", 1),
    "while the weights are loaded": ("stages.training.weights.load_weights", 1),
    "before the first step": ("transformers.Trainer.get_train_dataloader", 1),
    "in a step": ("stages.training.trainer.Guarded._get_grad_norm", 3),
    "in the last step": ("stages.training.trainer.Guarded._get_grad_norm", 6),
    "while a checkpoint is saved": ("transformers.Trainer._save_rng_state", 2),
    "while a checkpoint is marked": ("stages.training.model_folder.ModelFolder.mark_complete", 2),
    "while the final model is saved": ("transformers.Trainer._save", 4),
    "while the card is written": ("stages.training.model_folder.ModelFolder.keep", 1),
    "while the model is put in its place": ("stages.training.model_folder.ModelFolder._publish", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigterm_at_any_moment_ends_in_75_and_the_same_command_in_the_same_model(
    tmp_path: Path, base: str, whole: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patch:
        at(patch, MOMENTS[moment][0], send, MOMENTS[moment][1])
        with pytest.raises(Interrupted, match="SIGTERM"), catching_signals() as flag, flag.at_once():
            train(base, tmp_path / "model", stop=flag)
    assert not (tmp_path / "model").exists()
    train(base, tmp_path / "model")
    assert_same(tmp_path / "model", whole)


WRITES = {
    "the first checkpoint": ("transformers.Trainer._save", 1),
    "a later checkpoint": ("transformers.Trainer._save_rng_state", 2),
    "the final model": ("transformers.Trainer._save", 4),
    "the log that is copied": ("shutil.copyfile", 1),
    "the manifest": ("stages.files.manifest.json.dump", 3),
}


@pytest.mark.parametrize("what", WRITES)
def test_no_room_for_any_file_ends_in_75_and_the_same_command_in_the_same_model(
    tmp_path: Path, base: str, whole: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with monkeypatch.context() as patch:
        at(patch, WRITES[what][0], fill, WRITES[what][1])
        with pytest.raises(Interrupted, match="No space left") as caught:
            train(base, tmp_path / "model")
    assert "same command again" in caught.value.advice
    assert not (tmp_path / "model").exists()
    train(base, tmp_path / "model")
    assert_same(tmp_path / "model", whole)


def test_a_disk_that_is_still_full_is_freed_of_what_no_run_can_use(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # full at first, and still when it is tried again
        with monkeypatch.context() as patch:
            at(patch, "transformers.Trainer._save_rng_state", fill)
            with pytest.raises(Interrupted):
                train(base, tmp_path / "model")
        assert len(list((tmp_path / "model.part" / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("unable to write file to disk"),
    ],
)
def test_a_failed_write_is_known_whichever_library_tells_of_it(tmp_path: Path, error: Exception) -> None:
    outer = RuntimeError("while saving")
    outer.__context__ = error
    with pytest.raises(Interrupted) as caught, failed_writes_interrupt(tmp_path / "m.part"):
        raise outer
    assert caught.value.exit_code == 75
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no disk in sight"),
        FileNotFoundError(errno.ENOENT, "No such file", "elsewhere"),
        RuntimeError("[enforce fail at inline_container.cc:230] . PytorchStreamReader failed reading zip archive"),
        ModelError("the loss is not finite"),
    ],
)
def test_another_error_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    assert failed_write(error, tmp_path) is None
    with pytest.raises(type(error)), failed_writes_interrupt(tmp_path):
        raise error


def test_a_model_that_is_overwritten_leaves_the_folders_beside_it_alone(tmp_path: Path, base: str) -> None:
    for name in ("model.old", "model.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("precious")
    train(base, tmp_path / "model")
    shorter = dataclasses.replace(OPTIONS, epochs=1)
    run_sft(PROBLEMS, model=base, out=str(tmp_path / "model"), options=shorter, overwrite=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["model", "model.old", "model.tmp"]
    assert (tmp_path / "model.old" / "thesis.tex").read_text() == "precious"


def test_a_part_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "m.part").mkdir()
    (tmp_path / "m.part" / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="no unfinished model of sipf"):
        ModelFolder(str(tmp_path / "m"), {"stage": "sft"}, overwrite=True).__enter__()
    assert (tmp_path / "m.part" / "thesis.tex").read_text() == "precious"
    assert not (tmp_path / "m.lock").exists()


def test_what_a_kill_left_beside_a_complete_model_is_removed(tmp_path: Path, base: str, whole: Path) -> None:
    out = tmp_path / "model"
    train(base, out)
    left = tmp_path / "model.part" / "checkpoints" / "checkpoint-6"
    left.mkdir(parents=True)
    assert train(base, out)["already complete"]
    assert_same(out, whole)


def test_a_calibration_ends_after_an_update_though_a_library_has_swallowed_the_signal(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = 0

    def swallowed(self: Any, *arguments: Any, **how: Any) -> Any:
        nonlocal updates
        updates += 1
        with suppress(BaseException):
            send()
        return step(self, *arguments, **how)

    step = transformers.Trainer.training_step
    monkeypatch.setattr(transformers.Trainer, "training_step", swallowed)
    with catching_signals() as flag, pytest.raises(Interrupted), flag.at_once():
        train(base, tmp_path / "model", stop=flag, calibrate=6)
    assert updates == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["rng_state.pth", "optimizer.pt", "scheduler.pt", "training_args.bin"])
def test_a_checkpoint_that_holds_code_is_not_run(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    with monkeypatch.context() as patch:
        at(patch, "stages.training.trainer.Guarded._get_grad_norm", send, 3)
        with pytest.raises(Interrupted), catching_signals() as flag, flag.at_once():
            train(base, tmp_path / "model", stop=flag)
    checkpoint = max(tmp_path.glob("model.part/checkpoints/checkpoint-*"))
    mark = Mark(tmp_path)
    (checkpoint / file).write_bytes(mark.pickled())
    if file == "training_args.bin":  # nobody reads it
        train(base, tmp_path / "model")
    else:
        with pytest.raises(ModelError, match=f"{checkpoint.name} holds something that is no tensor"):
            train(base, tmp_path / "model")
    assert not mark.left


class Synced:
    """Which files and folders were synced before a name appeared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, mark: Path) -> None:
        self.before: set[int] = set()
        real = os.fsync

        def fsync(fd: int) -> None:
            if not mark.exists():
                self.before.add(os.fstat(fd).st_ino)
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def holds(self, *places: Path) -> bool:
        return {place.stat().st_ino for place in places} <= self.before


def test_a_power_cut_leaves_no_checkpoint_that_is_called_complete_and_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelFolder(str(tmp_path / "out"), {"stage": "sft"}) as folder:
        inner = folder.checkpoints / "checkpoint-2" / "inner"
        inner.mkdir(parents=True)
        (inner / "weights").write_bytes(b"1")
        folder.log({"step": 2})
        synced = Synced(monkeypatch, inner.parent / "complete")
        folder.mark_complete(2)
        assert (inner.parent / "complete").exists()
        assert synced.holds(inner / "weights", inner, inner.parent, folder.history.file, folder.part)


def test_a_power_cut_leaves_no_best_weights_that_are_called_complete_and_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Saver:
        def save_model(self, place: str) -> None:
            Path(place).mkdir(parents=True)
            Path(place, "weights").write_bytes(b"1")

    place = tmp_path / "best" / "step-2"
    synced = Synced(monkeypatch, place / "best.json")
    BestWeights(tmp_path / "best").consider(Saver(), 2, 0.5)
    assert (place / "best.json").exists()
    assert synced.holds(place / "weights", place)


@pytest.mark.parametrize("is_there", [False, True], ids=["dangling", "to an empty folder"])
def test_an_output_that_is_a_link_stays_one_and_the_model_lies_where_it_leads(tmp_path: Path, is_there: bool) -> None:
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else tmp_path  # another file system, where there is one
    with tempfile.TemporaryDirectory(dir=memory) as place:
        (tmp_path / "m").symlink_to(Path(place) / "real")
        if is_there:
            (Path(place) / "real").mkdir()
        for done in (False, True):
            with ModelFolder(str(tmp_path / "m"), {"stage": "sft"}) as folder:
                assert folder.done is done
                if not done:
                    folder.final.mkdir()
                    folder.finish({}, {})
        assert (tmp_path / "m").is_symlink()
        assert os.listdir(place) == ["real"]
        assert (tmp_path / "m" / "manifest.json").is_file()
