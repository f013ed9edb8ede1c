"""A disk that fills up while a model is written: what the libraries make of that, and what a person is told.

SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)
RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evals.errors import SipfError
from stages.files.atomic import NO_ROOM, cannot_write

_RUST = re.compile(r"\(os error (\d+)\)")
_TORCH = re.compile("inline_container(?!.*StreamReader)|PytorchStreamWriter|unable to write|iostream error", re.S)
_LITTLE = 1 << 16
"""Bytes below which a disk counts as full; torch names no reason for a write that failed."""


@contextmanager
def failed_writes_interrupt(folder: Path) -> Iterator[None]:
    """Make a write into `folder` that failed, whichever library made it, an error after which a run can resume.

    Raises:
        Interrupted: no room, or another failure to write there.
    """
    try:
        yield
    except SipfError:
        raise
    except Exception as error:
        failed = failed_write(error, folder)
        if failed is None:
            raise
        raise cannot_write(str(folder), failed) from error


def failed_write(error: BaseException, folder: Path) -> OSError | None:
    """The failed write into `folder` that is behind an error; None where the error is of another kind."""
    cause: BaseException | None = error
    while cause is not None:
        found = _from_system(cause, folder) or _from_library(str(cause), folder)
        if found is not None:
            return found
        cause = cause.__cause__ or cause.__context__
    return None


def _from_system(error: BaseException, folder: Path) -> OSError | None:
    if not isinstance(error, OSError):
        return None
    inside = isinstance(error.filename, str) and Path(error.filename).absolute().is_relative_to(folder.absolute())
    return error if error.errno in NO_ROOM or (inside and not isinstance(error, FileNotFoundError)) else None


def _from_library(text: str, folder: Path) -> OSError | None:
    number = _RUST.search(text)
    if number is not None and int(number[1]) in NO_ROOM:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    if not _TORCH.search(text):
        return None
    where = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    disk = os.statvfs(where)
    if disk.f_bavail * disk.f_frsize < _LITTLE:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.EIO, f"torch could not write: {text.splitlines()[0]}")
