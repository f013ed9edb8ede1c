"""How a training stage writes the folder of a model: never half, never over another, and resumable.

    OUT.part/run.json            which run this is: stage, options, model and data hashes
    OUT.part/history.jsonl       one line per logged step, see `history`
    OUT.part/checkpoints/        transformers' checkpoints; those with a file `complete` can be resumed from
    OUT.part/best/               with --keep best: the weights of the lowest held-out loss so far, see `best`
    OUT.part/final/              the finished model, with manifest.json written last; then renamed to OUT
    OUT.lock                     held while a run writes

The same command again resumes from the last complete checkpoint, or finds OUT complete and does nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from evals.errors import UsageError
from stages.files.atomic import NO_ROOM, cannot_write
from stages.files.locks import CHOOSE_ANOTHER, output_lock
from stages.files.manifest import MODEL_MANIFEST, differences, now, plain, sync_folder, sync_tree
from stages.files.outputs import save_manifest
from stages.models.naming import CARD
from stages.runs.tracking import TENSORBOARD
from stages.training.best import torn
from stages.training.history import HISTORY, History

COMPLETE = "complete"
_RUN = "run.json"
_OURS = {
    _RUN, f"{_RUN}.tmp", HISTORY, "checkpoints", "best", "final", "adapter", "last-good", "replaced", TENSORBOARD,
}  # fmt: skip
Log = Callable[[dict[str, Any]], None]
"""Takes each logged line: "step", "steps", "loss" and what else the trainer logs."""


class ModelFolder:
    """OUT while it is being made. Use as a context manager: it holds the lock.

    Args:
        out: the folder to make.
        identity: what decides which model comes out, as for `manifest.differences`: stage, options, facts, input.
        overwrite: a finished or half-made model of another run may be replaced.
        main: False for processes that only help (ranks above 0): they read and never write.

    Raises:
        UsageError: OUT belongs to something else, is being written, or was begun with other options or data.
        Interrupted: there is no room to write.
    """

    def __init__(self, out: str, identity: Mapping[str, Any], overwrite: bool = False, main: bool = True) -> None:
        # a link stays one: its target may lie on another file system, so all is made beside that
        self.out = Path(os.path.realpath(out) if os.path.islink(out) else out)
        self.part = Path(f"{self.out}.part")
        self.final = self.part / "final"
        self.checkpoints = self.part / "checkpoints"
        self.adapter = self.part / "adapter"
        """Where an adapter lies until it is merged."""
        self.last_good = self.part / "last-good"
        """Weights before a loss that was not finite."""
        self.best = self.part / "best"
        """Where the weights of the lowest held-out loss are kept."""
        self.tensorboard = self.part / TENSORBOARD
        self.history = History(self.part / HISTORY)
        self.identity = plain(identity)
        self._overwrite = overwrite
        self._main = main
        self._held = ExitStack()
        self._begun = time.monotonic()
        self._seconds_before = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as held:
            if self._main:
                _make_parent(self.out)
                held.enter_context(output_lock(str(self.out)))
            self._check_out()
            if self._main:
                self._open_part()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def done(self) -> bool:
        """OUT is complete and is what this run would make."""
        # A helper may look while the main process moves a finished model: it is in the one place or in the other.
        places = (self.out,) if self._main else (self.final, self.out)
        return any(self._is_this(_read(place / MODEL_MANIFEST)) for place in places)

    def manifest(self) -> dict[str, Any]:
        """OUT's manifest, which was complete before (empty if there is none)."""
        found = _read(self.out / MODEL_MANIFEST)
        return {**found, "already complete": True} if found else {}

    def checkpoint(self) -> Path | None:
        """The last complete checkpoint."""
        found = [folder for folder in self.checkpoints.glob("checkpoint-*") if (folder / COMPLETE).is_file()]
        return max(found, key=_step, default=None)

    def resumes_at(self) -> int:
        """The step that this run would resume from, 0 if it would begin; the folder stays as it is.

        Raises:
            UsageError: the unfinished run there is another one.
        """
        before = _read(self.part / _RUN)
        self._refuse_other(before)
        checkpoint = self.checkpoint() if before == self.identity else None
        return 0 if checkpoint is None else _step(checkpoint)

    def mark_complete(self, step: int) -> None:
        """Say of a checkpoint that all of its files are written, and with them the history up to it."""
        folder = self.checkpoints / f"checkpoint-{step}"
        sync_tree(folder)
        self.history.sync()
        (folder / COMPLETE).touch()

    def seconds(self) -> float:
        """Time spent on this model so far, earlier runs included."""
        return self._seconds_before + time.monotonic() - self._begun

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to the history.

        Raises:
            Interrupted: there is no room.
        """
        self.history.append({**line, "seconds": round(self.seconds(), 3)})

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file into the finished model.

        Raises:
            Interrupted: there is no room.
        """
        save_manifest([str(self.final / name)], value)

    def finish(self, card: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Complete OUT.part/final, which holds the weights already, and put it where it belongs.

        Args:
            card: what `sipf.json` says about the model.
            manifest: what the run has to report.

        Returns:
            The manifest as written.

        Raises:
            Interrupted, OSError: there is no room.
        """
        self.keep(CARD, card)
        if self.history.file.is_file():
            shutil.copyfile(self.history.file, self.final / HISTORY)
        if self.tensorboard.is_dir():
            shutil.copytree(self.tensorboard, self.final / TENSORBOARD, dirs_exist_ok=True)
        sync_tree(self.final)
        full = {**manifest, "seconds": round(self.seconds(), 1), "finished": now(), "identity": self.identity}
        self.keep(MODEL_MANIFEST, full)
        self._publish()
        return full

    def _publish(self) -> None:
        if self.out.exists():
            replaced = self.part / "replaced"
            if replaced.exists():
                shutil.rmtree(replaced)
            self.out.rename(replaced)
        self.final.rename(self.out)
        sync_folder(str(self.out))
        shutil.rmtree(self.part)

    def _is_this(self, manifest: Mapping[str, Any] | None) -> bool:
        return manifest is not None and manifest.get("identity") == self.identity

    def _check_out(self) -> None:
        if not self.out.exists() or self.done:
            return
        manifest = _read(self.out / MODEL_MANIFEST)
        if manifest is None and (not self.out.is_dir() or any(self.out.iterdir())):
            raise UsageError(f"{self.out} exists and is no model made by sipf", "Choose another output folder.")
        if manifest is not None and not self._overwrite:
            found = self._changed(manifest.get("identity"))
            raise UsageError(f"{self.out} is complete, but was made otherwise: {found}", CHOOSE_ANOTHER)

    def _changed(self, before: Any) -> str:
        return "; ".join(differences(before if isinstance(before, dict) else {}, self.identity))

    def _open_part(self) -> None:
        before = _read(self.part / _RUN)
        if self.done:
            if before == self.identity or (before is None and self._part_is_ours()):
                shutil.rmtree(self.part)  # what a kill has left after the model was put in its place
            return
        self._refuse_other(before)
        if before != self.identity:
            self._remove_part()
            self._begin_part()
        self._resume_part()

    def _refuse_other(self, before: Any) -> None:
        if before is not None and before != self.identity and not self._overwrite:
            raise UsageError(
                f"{self.part} is an unfinished run with other settings: {self._changed(before)}", CHOOSE_ANOTHER
            )

    def _remove_part(self) -> None:
        if self._part_is_ours():
            shutil.rmtree(self.part)
        elif self.part.exists():
            raise UsageError(f"{self.part} exists and is no unfinished model of sipf", "Choose another output folder.")

    def _part_is_ours(self) -> bool:
        return self.part.is_dir() and all(file.name in _OURS for file in self.part.iterdir())

    def _begin_part(self) -> None:
        try:
            self.checkpoints.mkdir(parents=True)
        except OSError as error:
            raise cannot_write(str(self.checkpoints), error) from error
        save_manifest([str(self.part / _RUN)], self.identity)

    def _resume_part(self) -> None:
        # Nothing is written here before what no run can use has been deleted: the disk may still be full.
        if _read(self.final / MODEL_MANIFEST) is not None:
            self._publish()
            return
        for unusable in (self.final, self.adapter, *self._torn_checkpoints(), *torn(self.best)):
            if unusable.exists():
                shutil.rmtree(unusable)
        checkpoint = self.checkpoint()
        self._seconds_before = self.history.cut(_step(checkpoint) if checkpoint else 0)

    def _torn_checkpoints(self) -> list[Path]:
        return [folder for folder in self.checkpoints.glob("checkpoint-*") if not (folder / COMPLETE).is_file()]


def hash_rows(rows: Iterable[Any]) -> str:
    """sha256 over rows of JSON values, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _make_parent(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise cannot_write(str(out.parent), error) from error
        raise UsageError(
            f"the output's folder {out.parent} cannot be made ({error.strerror})", "Choose another -o."
        ) from error


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:  # written by something else: as good as not there
        return None
    return value if isinstance(value, dict) else None
