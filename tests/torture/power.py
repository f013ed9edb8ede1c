"""A power cut at any moment of a run: which files it may leave, and what the same command makes of them.

    disk = Disk(before)
    for call in calls(log):                # what TORTURE_LOG has recorded of an undisturbed run
        disk.take(call)
        for state in disk.crashes(): ...   # {"out.jsonl.part": b"..."}: a folder as it may be found afterwards

As in ALICE (Pillai and others, OSDI 2014), what a process has written is on the disk for certain only once it was
synced: a file's bytes by fsync of the file, its name by fsync of the folder. Before that, any part of it may be there.
From every moment these states follow:

    names and bytes as they were synced; all names, but only synced bytes; all bytes, but only synced names;
    all names but one; none but one; the last write half done; one page of what is not synced full of zeros
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.torture.shim import Call

PAGE = 4096
FOLDER = -1
"""In the place of a file's number: the name is that of a folder."""
State = dict[str, bytes | None]
"""The files of a folder by path, with their bytes; None is a folder."""


class _Name(NamedTuple):
    """A change of names that is not synced yet."""

    path: str
    """Appears, or disappears if `file` is None."""
    file: int | None
    moved_from: str = ""


@dataclass
class _File:
    """A file's bytes: as they are, as they are on the disk for certain, and where the latter end to hold."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    last: tuple[int, int] = (0, 0)
    """Where the last write began and ended."""

    @property
    def is_synced(self) -> bool:
        return self.now == self.synced


class Disk:
    """What is known of a folder's files after some of a run's calls.

    Args:
        root: the folder; paths of states are relative to it.
        before: its files before the run, all synced.
    """

    def __init__(self, root: str, before: Mapping[str, bytes | None] | None = None) -> None:
        self.root = root
        self._files: dict[int, _File] = {}
        self._by_inode: dict[int, int] = {}
        self._names: dict[str, int] = {}
        for path, data in (before or {}).items():
            self._names[f"{root}/{path}"] = FOLDER if data is None else self._new(bytearray(data), data)
        self._synced = dict(self._names)
        self._pending: list[_Name] = []

    def _new(self, now: bytearray, synced: bytes = b"") -> int:
        number = len(self._files)
        self._files[number] = _File(now, synced)
        return number

    def take(self, call: Call) -> None:
        """Follow one call. A rename that was not recorded (Rust's libraries ask the kernel themselves) is inferred from
        the file's number."""
        number = self._by_inode.get(call.inode)
        if call.name in ("fsync", "write", "pwrite") and number is not None and call.path not in self._names:
            before = [path for path, one in self._names.items() if one == number]
            if before:
                self._change(_Name(call.path, number, before[0]))
        match call.name:
            case "create":
                number = self._new(bytearray())
                self._by_inode[call.inode] = number
                self._change(_Name(call.path, number))
            case "mkdir":
                self._change(_Name(call.path, FOLDER))
            case "unlink" | "rmdir":
                self._change(_Name(call.path, None))
            case "rename":
                self._rename(call.path, call.to)
            case "fsync":
                self._sync(call)
            case _:
                self._write(call)

    def _change(self, name: _Name) -> None:
        self._pending.append(name)
        _apply(self._names, name)

    def _rename(self, path: str, to: str) -> None:
        if self._names[path] != FOLDER:
            self._change(_Name(to, self._names[path], path))
            return
        # all below it moves at once, by one entry of a folder
        inside = {name: number for name, number in self._names.items() if name.startswith(f"{path}/")}
        self._change(_Name(to, FOLDER, path))
        for name, number in inside.items():
            self._names[to + name.removeprefix(path)] = number
        for name, number in [*self._synced.items()]:
            if name.startswith(f"{path}/"):
                self._synced[to + name.removeprefix(path)] = number
        self._pending = [
            name if not name.path.startswith(f"{path}/") else name._replace(path=to + name.path.removeprefix(path))
            for name in self._pending
        ]

    def _file(self, call: Call) -> _File:
        if call.inode not in self._by_inode:
            self._by_inode[call.inode] = self._names[call.path]
        return self._files[self._by_inode[call.inode]]

    def _write(self, call: Call) -> None:
        file = self._file(call)
        if call.name == "empty":
            self._by_inode[call.inode] = self._names[call.path]
            file = self._file(call)
            del file.now[:]
        elif call.name == "truncate":
            file.now[:] = file.now[: call.offset].ljust(call.offset, b"\0")
        else:
            end = call.offset + len(call.data)
            file.now[:] = file.now.ljust(call.offset, b"\0")
            file.now[call.offset : end] = call.data
            file.last = (call.offset, end)

    def _sync(self, call: Call) -> None:
        if call.path == self.root or self._names.get(call.path) == FOLDER:
            kept = []
            for name in self._pending:
                places = {posixpath.dirname(one) for one in (name.path, name.moved_from) if one}
                if call.path in places:
                    _apply(self._synced, name)
                else:
                    kept.append(name)
            self._pending = kept
            return
        file = self._file(call)
        file.synced = bytes(file.now)

    def crashes(self) -> Iterator[tuple[str, State]]:
        """The states that a power cut may leave now, each with what it is in words. Equal ones may come twice."""
        last = {number: bytes(file.now) for number, file in self._files.items()}
        synced = {number: file.synced for number, file in self._files.items()}
        yield "what is synced", self._state(self._synced, synced)
        yield "all names, synced bytes", self._state(self._names, synced)
        yield "synced names, all bytes", self._state(self._synced, last)
        for i, name in enumerate(self._pending):
            for words, some in (
                (f"all names but {name.path}", [*self._pending[:i], *self._pending[i + 1 :]]),
                (f"of the names only {name.path}", [name]),
            ):
                names = dict(self._synced)
                for one in some:
                    _apply(names, one)
                yield words, self._state(names, last)
                yield f"{words}, synced bytes", self._state(names, synced)
        for number, file in self._files.items():
            if file.is_synced:
                continue
            begin, end = file.last
            half = last[number][: begin + (end - begin) // 2]
            yield "half of the last write", self._state(self._names, {**last, number: half})
            known = len(file.synced) if file.now.startswith(file.synced) else 0
            for page in {known // PAGE, len(file.now) // PAGE // 2}:
                first = max(known, page * PAGE)
                hole = last[number][:first] + b"\0" * len(last[number][first : (page + 1) * PAGE])
                hole += last[number][(page + 1) * PAGE :]
                yield "a page of zeros", self._state(self._names, {**last, number: hole})

    def _state(self, names: Mapping[str, int], data: Mapping[int, bytes]) -> State:
        found: State = {}
        for path in sorted(names):
            short = path.removeprefix(f"{self.root}/")
            above = posixpath.dirname(short)
            if above and found.get(above, b"") is not None:
                continue  # its folder is not there
            found[short] = None if names[path] == FOLDER else data[names[path]]
        return found


def _apply(names: dict[str, int], name: _Name) -> None:
    if name.moved_from:
        inside = [path for path in names if path == name.moved_from or path.startswith(f"{name.moved_from}/")]
        for path in inside:
            number = names.pop(path)
            if path != name.moved_from:
                names[name.path + path.removeprefix(name.moved_from)] = number
    if name.file is None:
        names.pop(name.path, None)
    else:
        names[name.path] = name.file
