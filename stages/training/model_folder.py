"""How a training stage writes the folder of a model: never half, never over another, and resumable.

    OUT.part/run.json            which run this is: stage, options, model and data hashes
    OUT.part/log.jsonl           one line a logged step
    OUT.part/checkpoints/        transformers' checkpoints; those with a file `complete` can be resumed from
    OUT.part/final/              the finished model, with manifest.json written last; then renamed to OUT
    OUT.lock                     held while a run writes

The same command again resumes from the last complete checkpoint, or finds OUT complete and does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Self

from evals.errors import UsageError
from stages.models.loading import CARD

MANIFEST = "manifest.json"
COMPLETE = "complete"


class ModelFolder:
    """OUT while it is being made. Use as a context manager: it holds the lock.

    Args:
        out: the folder to make.
        identity: everything that decides which model comes out, as JSON values.
        overwrite: a finished or half-made model of another run may be replaced.
        main: False for processes that only help (ranks above 0): they read and never write.

    Raises:
        UsageError: OUT belongs to something else, is being written, or was begun with other options or data.
    """

    def __init__(self, out: str, identity: dict[str, Any], overwrite: bool = False, main: bool = True) -> None:
        self.out = Path(out)
        self.part = Path(f"{out}.part")
        self.final = self.part / "final"
        self.checkpoints = self.part / "checkpoints"
        self.log_file = self.part / "log.jsonl"
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._overwrite = overwrite
        self._main = main
        self._lock: IO[str] | None = None
        self._begun = time.monotonic()
        self._seconds_before = 0.0

    def __enter__(self) -> Self:
        if self._main:
            self._take_lock()
        try:
            self._check_out()
            if self._main and not self.done:
                self._open_part()
        except BaseException:
            self._free_lock()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._free_lock()

    @property
    def done(self) -> bool:
        """OUT is complete and is what this run would make."""
        # A helper may look while the main process moves a finished model: it is in the one place or in the other.
        places = (self.out,) if self._main else (self.final, self.out)
        return any((_read(place / MANIFEST) or {}).get("identity") == self.identity for place in places)

    def manifest(self) -> dict[str, Any]:
        """OUT's manifest, which was complete before (empty if there is none)."""
        found = _read(self.out / MANIFEST)
        return {**found, "already complete": True} if found else {}

    def checkpoint(self) -> Path | None:
        """The last complete checkpoint."""
        found = [folder for folder in self.checkpoints.glob("checkpoint-*") if (folder / COMPLETE).is_file()]
        return max(found, key=_step, default=None)

    def seconds(self) -> float:
        """Time spent on this model so far, earlier runs included."""
        return self._seconds_before + time.monotonic() - self._begun

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to the log."""
        with self.log_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**line, "seconds": round(self.seconds(), 3)}, allow_nan=False) + "\n")

    def finish(self, card: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
        """Complete OUT.part/final, which holds the weights already, and put it where it belongs.

        Args:
            card: what `sipf.json` says about the model.
            manifest: what the run has to report.

        Returns:
            The manifest as written.
        """
        _write(self.final / CARD, card)
        if self.log_file.is_file():
            shutil.copyfile(self.log_file, self.final / "log.jsonl")
        full = {**manifest, "seconds": round(self.seconds(), 1), "identity": self.identity}
        _write(self.final / MANIFEST, full)
        self._publish()
        return full

    def _publish(self) -> None:
        if self.out.exists():
            old = Path(f"{self.out}.old")
            shutil.rmtree(old, ignore_errors=True)
            self.out.rename(old)
            self.final.rename(self.out)
            shutil.rmtree(old)
        else:
            self.final.rename(self.out)
        shutil.rmtree(self.part)

    def _check_out(self) -> None:
        if not self.out.exists() or self.done:
            return
        manifest = _read(self.out / MANIFEST)
        if manifest is None and (not self.out.is_dir() or any(self.out.iterdir())):
            raise UsageError(f"{self.out} exists and is no model made by sipf", "Choose another output folder.")
        if manifest is not None and not self._overwrite:
            changed = _differences(manifest.get("identity", {}), self.identity)
            raise UsageError(
                f"{self.out} holds a model made with another {changed}", "Choose another output, or add --overwrite."
            )

    def _open_part(self) -> None:
        before = _read(self.part / "run.json")
        if before is not None and before != self.identity:
            if not self._overwrite:
                raise UsageError(
                    f"{self.part} was begun with another {_differences(before, self.identity)}",
                    "Give the same options to go on, or --overwrite to begin again.",
                )
            shutil.rmtree(self.part)
        elif before is None and self.part.exists():
            shutil.rmtree(self.part)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        _write(self.part / "run.json", self.identity)
        if _read(self.final / MANIFEST) is not None:
            self._publish()
            return
        shutil.rmtree(self.final, ignore_errors=True)
        for folder in self.checkpoints.glob("checkpoint-*"):
            if not (folder / COMPLETE).is_file():
                shutil.rmtree(folder)
        self._cut_log()

    def _cut_log(self) -> None:
        """Forget what was logged after the checkpoint that the run goes on from."""
        checkpoint = self.checkpoint()
        last = _step(checkpoint) if checkpoint else 0
        kept = []
        for text in self.log_file.read_text(encoding="utf-8").splitlines() if self.log_file.is_file() else []:
            try:
                line = json.loads(text)
            except ValueError:  # torn by a kill
                break
            if line["step"] > last:
                break
            kept.append(text)
            self._seconds_before = line["seconds"]
        self.log_file.write_text("".join(f"{text}\n" for text in kept), encoding="utf-8")

    def _take_lock(self) -> None:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        file = Path(f"{self.out}.lock")
        while self._lock is None:
            lock = file.open("w", encoding="utf-8")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.close()
                raise UsageError(f"{self.out} is being written by another run", "Wait for it to end.") from error
            # The one who held it before may have removed the file between our opening and our locking it.
            if file.exists() and os.fstat(lock.fileno()).st_ino == file.stat().st_ino:
                self._lock = lock
            else:
                lock.close()

    def _free_lock(self) -> None:
        if self._lock is not None:
            Path(f"{self.out}.lock").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None


def hash_rows(rows: Iterable[Any]) -> str:
    """sha256 over rows of JSON values, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:  # torn by a kill: as good as not there
        return None
    return value if isinstance(value, dict) else None


def _write(file: Path, value: dict[str, Any]) -> None:
    new = file.with_name(f"{file.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{key} ({_short(before.get(key))}, now {_short(now.get(key))})" for key in keys)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else text[:20] + '..."'
