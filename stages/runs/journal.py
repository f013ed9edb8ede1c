"""The record of what a run has finished. A run that is killed at any time resumes from it.

    OUT.part
    {"stage": "sample", "options": {...}, "input": {...}, "started": "..."}   the header: what decides the data
    17 \\t <digest of input line 17> \\t <checksum> \\t {"tokens": 118} \\t <output lines, joined by \\x1e> \\n
    # \\t {"attempt": 0, "seconds": 12.5, "usage": {...}} \\n

There is one line of the first kind per problem; one of the second says what was spent so far, and an attempt's last one
counts. JSON escapes control characters, so tabs and \\x1e occur nowhere else. Lines are in the order in which the
problems finished; an index on disk (24 bytes per line, by position) gives them back in input order.

The header is synced, the rest is not: a power cut may take the last lines, or leave zeros in the middle of one. By its
checksum such a line is known, and it and all after it are done again.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from evals.errors import DataError, UsageError
from stages.files.atomic import cannot_write
from stages.files.interrupts import RUN_AGAIN
from stages.files.locks import CHOOSE_ANOTHER
from stages.files.manifest import differences, sync_folder

_SLOT = struct.Struct("<QQ8s")  # offset of the payload, its length + 1 (0: empty slot), digest of the input line
_BLOCK = 1024  # slots read at once
SEPARATOR = b"\x1e"

_encode = json.JSONEncoder(separators=(",", ":")).encode


def journal_matches(path: str, header: Mapping[str, Any], *, remove: bool = False) -> bool:
    """Whether the `.part` file belongs to this run's header; with `remove` it is then deleted."""
    try:
        with open(path, "rb") as file:
            same = not differences(json.loads(file.readline()), header)
    except (OSError, ValueError, AttributeError):
        return False
    if same and remove:
        _remove(path)
    return same


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error


def _checksum(number: bytes, digest: bytes, tally: bytes, payload: bytes) -> bytes:
    return b"%08x" % zlib.crc32(payload, zlib.crc32(b"\t".join((number, digest, tally))))


class Journal:
    """The `.part` file of one output, open for reading and appending. Only one process may hold it (`output_lock`).

    Args:
        path: the `.part` file.
        header: what decides the data, plain JSON; `started` is kept from the first attempt.
        step: distance between the line numbers it holds (the number of shards).
        overwrite: discard a journal of other data instead of refusing it.
        read_only: only look at what is finished; the file, which must be there, stays as it is.

    Raises:
        UsageError: the journal belongs to other options, another input or another version.
        Interrupted: it cannot be written.
    """

    def __init__(
        self, path: str, header: Mapping[str, Any], step: int = 1, overwrite: bool = False, *, read_only: bool = False
    ) -> None:
        self.path, self._step, self._read_only = path, step, read_only
        self.sums: Counter[str] = Counter()
        self.resumed = 0
        self.cut = 0
        """Bytes of a damaged tail that were cut off."""
        self.done = 0
        self.highest = -1
        """The highest position (line number // step) that is finished."""
        self._spent: dict[int, dict[str, Any]] = {}
        self._block, self._block_at = b"", -1
        try:
            self._index = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
            self._fd = os.open(path, os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            self._open(header, overwrite)
        except BaseException:
            self.close()
            raise

    def _open(self, header: Mapping[str, Any], overwrite: bool) -> None:
        with open(self._fd, "rb", closefd=False) as file:
            first = file.readline()
            known = self._known(first, header, overwrite, file)
            if known is None:
                self.size = 0
                self._shorten()
                self.header = dict(header)
                if not self._read_only:
                    self._append(json.dumps(self.header, ensure_ascii=False).encode() + b"\n")
                    self._sync()
            else:
                self.header = known
                self.size = self._scan(file, len(first))
                self.cut = os.fstat(self._fd).st_size - self.size
                self._shorten()
        self.resumed = self.done
        self.attempt = max(self._spent, default=-1) + 1

    def _known(self, first: bytes, header: Mapping[str, Any], overwrite: bool, rest: Any) -> dict[str, Any] | None:
        """The header of the existing journal, or None to start over; `rest` are the lines after it."""
        if not first.endswith(b"\n"):
            return None  # new, or killed while the header was written
        try:
            known = json.loads(first)
            found = differences(known, header)
            if known["sipf"] != header["sipf"]:
                found.insert(0, f"the toolkit's version was {known['sipf']} and is now {header['sipf']}")
        except (ValueError, KeyError, AttributeError) as error:
            if overwrite:
                return None
            raise UsageError(f"{self.path} is not the journal of an unfinished run", CHOOSE_ANOTHER) from error
        # if nothing was finished (a mistyped model name, for example) there is nothing to protect
        if found and not overwrite and not all(raw.startswith(b"#\t") for raw in rest):
            raise UsageError(
                f"{self.path} is an unfinished run with other settings: {'; '.join(found)}", CHOOSE_ANOTHER
            )
        return None if found else known

    def _scan(self, file: Any, offset: int) -> int:
        """Read all entries; return the offset after the last whole one. Problems damaged by a crash are done again."""
        for raw in file:
            if not self._entry(raw, offset):
                return offset
            offset += len(raw)
        return offset

    def _entry(self, raw: bytes, offset: int) -> bool:
        if not raw.endswith(b"\n"):
            return False
        try:
            if raw.startswith(b"#\t"):
                note = json.loads(raw[2:])
                self._spent[note["attempt"]] = note
                return True
            number, digest, checksum, tally, payload = raw[:-1].split(b"\t", 4)
            if checksum != _checksum(number, digest, tally, payload):
                return False
            counts = json.loads(tally)
            position, mark = int(number) // self._step, bytes.fromhex(digest.decode())
        except (ValueError, KeyError, TypeError):
            return False
        if self.digest(position) is None:  # after a kill between writing and counting, a problem may be here twice
            self._place(position, offset + len(raw) - 1 - len(payload), len(payload), mark)
            self.sums.update(counts)
        return True

    def _place(self, position: int, offset: int, length: int, mark: bytes) -> None:
        try:
            os.pwrite(self._index.fileno(), _SLOT.pack(offset, length + 1, mark), position * _SLOT.size)
        except OSError as error:
            raise cannot_write("the folder for temporary files", error) from error
        if self._block_at == position // _BLOCK:
            self._block_at = -1
        self.done += 1
        self.highest = max(self.highest, position)

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        sync_folder(self.path)

    def _shorten(self) -> None:
        if self._read_only:
            return
        try:
            os.ftruncate(self._fd, self.size)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _append(self, data: bytes) -> None:
        view, offset = memoryview(data), self.size
        try:
            while view:
                written = os.pwrite(self._fd, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise cannot_write(self.path, error) from error
        self.size = offset

    def digest(self, position: int) -> str | None:
        """The digest of the input line that was finished at a position in an earlier attempt, or None."""
        if position > self.highest:
            return None
        block, slot = divmod(position, _BLOCK)
        if block != self._block_at:
            size = _BLOCK * _SLOT.size
            self._block, self._block_at = os.pread(self._index.fileno(), size, block * size), block
        if (slot + 1) * _SLOT.size > len(self._block):
            return None
        _, length, mark = _SLOT.unpack_from(self._block, slot * _SLOT.size)
        return mark.hex() if length else None

    def add(self, n: int, digest: str, counts: Mapping[str, int], payload: list[str]) -> None:
        """Write down a finished problem: line number, digest of its line, its counts, its output lines.

        Raises:
            Interrupted: it cannot be written; the journal is left as it was.
        """
        data = SEPARATOR.join(line.encode() for line in payload)
        number, mark, tally = str(n).encode(), digest.encode(), _encode(counts).encode()
        head = b"\t".join((number, mark, _checksum(number, mark, tally, data), tally, b""))
        offset = self.size + len(head)
        self._append(head + data + b"\n")
        self._place(n // self._step, offset, len(data), bytes.fromhex(digest))
        self.sums.update(counts)

    def note(self, seconds: float, usage: Mapping[str, int]) -> None:
        """Write down what this attempt has spent so far."""
        spent = {"attempt": self.attempt, "seconds": round(seconds, 3), "usage": dict(usage)}
        self._append(b"#\t" + json.dumps(spent).encode() + b"\n")
        self._spent[self.attempt] = spent

    def spent(self) -> tuple[float, dict[str, int]]:
        """Seconds and usage, summed over all attempts."""
        usage: Counter[str] = Counter()
        for note in self._spent.values():
            usage.update(note["usage"])
        return round(sum(note["seconds"] for note in self._spent.values()), 3), dict(usage)

    def payloads(self) -> Iterator[bytes]:
        """What was written for each finished problem, in input order: its lines joined by `SEPARATOR`.

        Raises:
            DataError: the journal has become shorter.
        """
        size = _BLOCK * _SLOT.size
        for start in range(0, (self.highest + 1) * _SLOT.size, size):
            for offset, length, _ in _SLOT.iter_unpack(os.pread(self._index.fileno(), size, start)):
                if not length:
                    continue
                payload = os.pread(self._fd, length - 1, offset)
                if len(payload) != length - 1:
                    raise DataError(f"{self.path}: was changed while it was read", RUN_AGAIN)
                yield payload

    def close(self) -> None:
        """Close the files; the `.part` file is kept."""
        self._index.close()
        fd = getattr(self, "_fd", -1)
        if fd >= 0:
            os.close(fd)

    def remove(self) -> None:
        """Delete the `.part` file: the output is complete.

        Raises:
            Interrupted: it cannot be deleted.
        """
        _remove(self.path)
