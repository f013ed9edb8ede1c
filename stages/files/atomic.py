"""Where bytes go: into a file that appears whole or not at all, or straight to a pipe.

with atomic_file("out.jsonl.gz") as sink:
    sink.write(b'{"id": "a"}\\n')
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from evals.errors import Interrupted, SipfError
from stages.files.interrupts import RUN_AGAIN, StopFlag
from stages.files.manifest import remove_manifest, sync_folder

_CHUNK = 1 << 16
PARQUET = ".parquet"
"""What the name of an output that is a table ends in."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The error numbers of a write when the disk, or the user's quota on it, is full."""


def cannot_write(path: str, error: OSError) -> Interrupted:
    """The error for a failed write; no finished work is lost."""
    if isinstance(error, BrokenPipeError):
        return Interrupted(
            "stdout was closed by the program that reads it", "Write to a file with -o to keep what is done."
        )
    return Interrupted(f"{path}: cannot be written ({error.strerror or error})", f"Fix that. {RUN_AGAIN}")


class AtomicFile:
    """A file being written, compressed if its name ends in .gz, a table if it ends in .parquet. Counts lines and bytes,
    and hashes them.

    The compressor gets pieces of one size, so the compressed bytes depend on the data alone.
    """

    def __init__(self, path: str, packed: bool, table: bool = False) -> None:
        self._path, self._buffer, self._table = path, bytearray(), table
        self.lines = self.bytes = 0
        self._hash = hashlib.sha256()
        try:
            self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._packer = gzip.GzipFile("", "wb", 6, _Tap(self), mtime=0) if packed else None

    def write(self, data: bytes) -> None:
        """Add whole lines."""
        self.lines += data.count(b"\n")
        self._buffer += data
        while not self._table and len(self._buffer) >= _CHUNK:
            self._send(bytes(self._buffer[:_CHUNK]))
            del self._buffer[:_CHUNK]

    def _send(self, data: bytes) -> None:
        if self._packer is None:
            self.emit(data)
        else:
            self._packer.write(data)

    def emit(self, data: bytes) -> None:
        """Write bytes to the disk as they are."""
        try:
            self._file.write(data)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._hash.update(data)
        self.bytes += len(data)

    def close(self) -> None:
        """Flush everything to the disk, and close the file."""
        if self._table:
            from stages.files.tables import parquet_of

            self._send(parquet_of(bytes(self._buffer)))
        else:
            self._send(bytes(self._buffer))
        self._buffer.clear()
        if self._packer is not None:
            self._packer.close()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def drop(self) -> bool:
        """Close and delete the file; False if it was not there any more: then it has got its name."""
        with suppress(OSError, SipfError):
            self._file.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the output."""
        return {"sha256": self._hash.hexdigest(), "lines": self.lines, "bytes": self.bytes}


class _Tap:
    """The file object that the compressor writes to."""

    def __init__(self, sink: AtomicFile) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        self._sink.emit(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""


@contextmanager
def atomic_file(
    path: str, ready: Callable[[], None] = lambda: None, undo: Callable[[], None] = lambda: None
) -> Iterator[AtomicFile]:
    """Write `path` as a whole: it appears under its name if the block ends without an error, else not at all.

    Args:
        ready: called when all bytes are on the disk, before the file appears; an OSError is one of writing.
        undo: called if the file does not appear. A signal can come after it has: then it is not called.
    """
    sink = AtomicFile(f"{path}.tmp", path.endswith(".gz"), path.endswith(PARQUET))
    try:
        yield sink
        sink.close()
        try:
            ready()
            remove_manifest(path)
            os.replace(f"{path}.tmp", path)
        except OSError as error:
            raise cannot_write(path, error) from error
        sync_folder(path)
    except BaseException:
        if sink.drop():
            undo()
        raise


class StreamOutput:
    """Lines written at once to stdout, a pipe or a device. Never blocks for long, so a stop signal is noticed soon."""

    def __init__(self, output: str, flag: StopFlag) -> None:
        self._name = "stdout" if output == "-" else output
        self._flag, self._fd, self._own = flag, -1, False
        self._hash, self.bytes, self.lines = hashlib.sha256(), 0, 0
        try:
            if output != "-":
                self._fd, self._own = os.open(output, os.O_WRONLY), True
            else:
                sys.stdout.flush()
                with suppress(OSError, ValueError, AttributeError):  # stdout was replaced by a non-file
                    self._fd = sys.stdout.fileno()
        except OSError as error:
            raise cannot_write(self._name, error) from error
        self._waits = self._fd >= 0 and not stat.S_ISREG(os.fstat(self._fd).st_mode)

    def write(self, data: bytes) -> None:
        """Write whole lines.

        Raises:
            Interrupted: the reader has closed the pipe, or the disk is full.
        """
        self._hash.update(data)
        self.bytes += len(data)
        self.lines += data.count(b"\n")
        try:
            self._write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not self._own and self._fd >= 0:
                # discard what the interpreter still buffers for stdout: it would fail again at exit
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._fd)
                os.close(null)
            raise cannot_write(self._name, error) from error

    def _write(self, data: bytes) -> None:
        if self._fd < 0:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        view = memoryview(data)
        while view:
            # a pipe that is ready takes this much without blocking, so a signal never has to wait for the reader
            piece = view[: select.PIPE_BUF] if self._waits else view
            if self._waits:
                self._flag.check()
                if not select.select([], [self._fd], [], 0.1)[1]:
                    continue
            view = view[os.write(self._fd, piece) :]

    def close(self) -> None:
        """Close what was opened here."""
        if self._own:
            os.close(self._fd)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the output."""
        return {"sha256": self._hash.hexdigest(), "lines": self.lines, "bytes": self.bytes}
