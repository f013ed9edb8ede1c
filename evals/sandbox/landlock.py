"""Landlock: a process gives up what it may open, connect to and signal. Linux 5.13 and newer.

    domain = ruleset(readable("/usr/lib/python3.11"))     # a descriptor; nothing but the standard library is readable
    enter(domain)                                         # from here on, for this process and its children

It needs no root and no namespaces. Which rights exist depends on the kernel (`abi`): all that it knows are taken away,
and only reading is given back. It does not hide that a file exists, nor how large it is.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from evals.sandbox.seccomp import libc

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""System call numbers, the same on every architecture."""
_VERSION, _PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights to files, by the version of the interface that introduced them."""
_NET_SINCE, _SCOPE_SINCE = 4, 6
_TCP = 0b11
"""Bind and connect."""
_SCOPES = 0b11
"""Abstract unix sockets and signals to processes outside the domain."""
_O_PATH = 0o10000000
NOT_LIBRARY = frozenset({"site-packages", "dist-packages"})
"""Installed packages are in folders of the standard library; one of them is HumanEval with its tests and references."""


def abi() -> int:
    """The version of the kernel's interface; 0 if there is none."""
    version = libc().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(int(version), 0)


def library_rules(library: str) -> Iterator[tuple[str, int]]:
    """What may be read of a standard library's folder: every entry except installed packages."""
    yield library, READ_DIR
    with os.scandir(library) as entries:
        for entry in entries:
            if entry.name not in NOT_LIBRARY:
                yield entry.path, READ_FILE | READ_DIR if entry.is_dir() else READ_FILE


def ruleset(allowed: Iterator[tuple[str, int]]) -> int:
    """A descriptor of rules that allow these paths and nothing else.

    Raises:
        OSError: the kernel has no landlock, or refuses.
    """
    version = abi()
    if not version:
        raise OSError("the kernel has no landlock")
    files = _FILES[max(known for known in _FILES if known <= version)]
    attributes = struct.pack("=Q", files)
    if version >= _NET_SINCE:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPE_SINCE:
        attributes += struct.pack("=Q", _SCOPES)
    rules = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    for path, rights in allowed:
        try:
            beneath = os.open(path, _O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a link to something that does not exist in here (Debian's sitecustomize.py)
        try:
            _call(_ADD, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), struct.pack("=Qi", rights, beneath), 0)
        finally:
            os.close(beneath)
    return rules


def restrict_self(rules: int) -> None:
    """Put this thread's process under the rules, for good; it must have set no_new_privs."""
    _call(_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0))


def _call(number: int, *arguments: object) -> int:
    result = int(libc().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
