"""Who may write an output: its true path, the lock on it, and whether it is there already, complete and as asked for.

path = place_of("results/today.jsonl")
with output_lock(path):
    made = standing(path, identity, overwrite=False)
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from evals.errors import UsageError
from stages.files.atomic import NO_ROOM, cannot_write
from stages.files.manifest import differences, hash_file, read_manifest, recover_manifest

CHOOSE_ANOTHER = "Choose another -o, or --overwrite to start over."


def place_of(output: str) -> str | None:
    """The true path of an output file (links followed), or None for stdout, a pipe or a device.

    Raises:
        UsageError: it is a folder, or its folder does not exist.
    """
    if output == "-":
        return None
    if os.path.isdir(output):
        raise UsageError(f"the output {output} is a folder", "Name a file in it: -o FOLDER/NAME.jsonl.")
    if os.path.exists(output) and not stat.S_ISREG(os.stat(output).st_mode):
        return None
    path = os.path.realpath(output)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise UsageError(f"the output's folder {os.path.dirname(output)} does not exist", "Create it first: mkdir -p.")
    return path


@contextmanager
def output_lock(path: str) -> Iterator[None]:
    """Lock the output, a file or a folder, for this process; the lock ends when the process is killed.

    Raises:
        UsageError: another process is writing this output, or the folder it is in cannot be written to.
        Interrupted: the disk has no room for the lock.
    """
    name = f"{path}.lock"
    while True:
        try:
            fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise cannot_write(name, error) from error
            raise UsageError(
                f"the output's folder cannot be written to ({name}: {error.strerror})", "Choose another -o."
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise UsageError(
                    f"{name} cannot be locked ({error.strerror})", "Choose a -o on another file system."
                ) from error
            raise UsageError(
                f"{path} is being written by another run (process {pid})", "Wait for it, or choose another -o."
            ) from error
        with suppress(FileNotFoundError):
            # the previous holder may have removed the file between our open and our lock
            if os.path.samestat(os.fstat(fd), os.stat(name)):
                break
        os.close(fd)
    try:
        with suppress(OSError):  # the number is for people; the lock does not need it, and the disk may be full
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            os.unlink(name)
        os.close(fd)


def standing(path: str, identity: Mapping[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The manifest of an output that is complete and exactly what is asked for; None if there is work to do. There is
    as well where only the file beside it is missing.

    Raises:
        UsageError: the output exists and is something else; every difference is named.
        Interrupted: the manifest that a kill kept from appearing cannot be written.
    """
    if overwrite:
        return None
    made = read_manifest(path)
    size = os.path.getsize(path) if os.path.exists(path) else None
    if made is None and size is not None:
        try:
            recover_manifest(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        made = read_manifest(path)
    if made is None:
        if size and not os.path.exists(f"{path}.part"):
            raise UsageError(f"{path} already exists, and no manifest says how it was made", CHOOSE_ANOTHER)
        return None
    if size is None:
        return None
    found = differences(made, identity)
    if found:
        raise UsageError(f"{path} is complete, but was made differently: {'; '.join(found)}", CHOOSE_ANOTHER)
    _refuse_changed(path, made["output"])
    for ending, facts in made.get("beside", {}).items():
        if not os.path.exists(f"{path}{ending}"):
            return None
        _refuse_changed(f"{path}{ending}", facts)
    return made


def _refuse_changed(path: str, made: Mapping[str, Any]) -> None:
    """Refuse a file that is not as its manifest says it was made."""
    try:
        size = os.path.getsize(path)
        found = "other bytes" if size == made["bytes"] else f"{size} bytes, not {made['bytes']}"
        if size == made["bytes"] and hash_file(path) == made["sha256"]:
            return
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})", CHOOSE_ANOTHER) from error
    raise UsageError(f"{path} was changed after it was made ({found})", CHOOSE_ANOTHER)
