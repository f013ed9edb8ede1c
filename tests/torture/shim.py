"""The library that is preloaded to count, attack, fail or record what a process does to the files below a folder.

    environment(preloaded(), under=folder, kill="rename:1:before:9")      # variables for a command, see shim.c

It is compiled once per run. On a system without gcc or LD_PRELOAD there is none, and its users are skipped.
"""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("<16sQqQII")


def can_preload() -> bool:
    """Whether this system has what the shim needs."""
    return sys.platform == "linux" and shutil.which("gcc") is not None


@functools.cache
def preloaded() -> str:
    """The path of the library; its folder lasts as long as this process."""
    folder = Path(_kept().name)
    library = folder / "shim.so"
    line = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(line, check=True)
    return str(library)


@functools.cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="shim-")


def variables(under: Path, **more: object) -> dict[str, str]:
    """The shim's variables: `kill`, `said`, `fail`, `short`, `log` and `clock` as shim.c has them."""
    return {"TORTURE_UNDER": str(under), **{f"TORTURE_{name.upper()}": str(value) for name, value in more.items()}}


class Call(NamedTuple):
    """One call that changed or synced a file or folder below the watched one."""

    name: str
    """create, empty, write, pwrite, truncate, fsync, rename, unlink, mkdir or rmdir."""
    inode: int
    offset: int
    """Of a write; the size of a truncate."""
    path: str
    to: str
    data: bytes


def calls(log: Path) -> Iterator[Call]:
    """What TORTURE_LOG has recorded, in order."""
    raw, at = log.read_bytes() if log.exists() else b"", 0
    while at < len(raw):
        name, inode, offset, length, first, second = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        path, to = raw[at : at + first].decode(), raw[at + first : at + first + second].decode()
        at += first + second
        yield Call(name.rstrip(b"\0").decode(), inode, offset, path, to, raw[at : at + length])
        at += length
