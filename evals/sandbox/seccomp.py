"""The system calls a program may make: a short list. The kernel refuses everything else.

    install(assemble("x86_64", os.getpid()))     # from here on: no fork, no exec, no socket, no write to a file

The filter is classic BPF, written out by hand for x86_64 and aarch64. What is not listed ends with EPERM, `clone3` with
ENOSYS (the C library then falls back to `clone`, whose flags can be checked), a foreign architecture's calls with the
process's death, and the x32 variants with EPERM. These calls are allowed with certain arguments only:

    open, openat      read-only: no write mode, O_CREAT, O_TRUNC or O_TMPFILE
    clone             threads of this process, no namespaces
    kill, tgkill      this process itself
    prlimit64         reading limits, not setting them
    fcntl             copying descriptors and their flags; no F_SETOWN, which sends signals to others
    ioctl             the requests that Python makes when it opens a file
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable
from functools import cache

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "access": (21, None), "alarm": (37, None), "brk": (12, 214), "clock_getres": (229, 114),
    "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "close": (3, 57), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fstat": (5, 80), "futex": (202, 98), "getcpu": (309, 168), "getcwd": (79, 17), "getdents64": (217, 61),
    "getegid": (108, 177), "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158),
    "getitimer": (36, 102), "getpgid": (121, 155), "getpgrp": (111, None), "getpid": (39, 172), "getppid": (110, 173),
    "getrandom": (318, 278), "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163),
    "getrusage": (98, 165), "getsid": (124, 156), "gettid": (186, 178), "gettimeofday": (96, 169),
    "getuid": (102, 174), "lseek": (8, 62), "lstat": (6, None), "madvise": (28, 233), "mmap": (9, 222),
    "mprotect": (10, 226), "mremap": (25, 216), "munmap": (11, 215), "nanosleep": (35, 101), "newfstatat": (262, 79),
    "pause": (34, None), "pipe": (22, None), "pipe2": (293, 59), "poll": (7, None), "ppoll": (271, 73),
    "pread64": (17, 67), "pselect6": (270, 72), "read": (0, 63), "readlink": (89, None), "readlinkat": (267, 78),
    "readv": (19, 65), "restart_syscall": (219, 128), "rseq": (334, 293), "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "sched_getaffinity": (204, 123), "sched_yield": (24, 124), "select": (23, None),
    "set_robust_list": (273, 99), "setitimer": (38, 103), "sigaltstack": (131, 132), "stat": (4, None),
    "statx": (332, 291), "sysinfo": (99, 179), "time": (201, None), "times": (100, 153), "uname": (63, 160),
    "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
"""Name to number on x86_64 and on aarch64; None where the architecture has no such call."""

CHECKED: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "fcntl": (72, 25), "ioctl": (16, 29), "kill": (62, 129), "open": (2, None),
    "openat": (257, 56), "prlimit64": (302, 261), "tgkill": (234, 131),
}  # fmt: skip
"""Allowed with the right arguments."""

TRUSTED: dict[str, tuple[int | None, int | None]] = {"recvmsg": (47, 212)}
"""What the tests' side also needs: it receives a new descriptor for each check."""

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's numbers for them in a filter (AUDIT_ARCH_*)."""
CLONE3 = 435
X32_BIT = 0x40000000

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x00010000
NEVER_CLONE = 0x7E020000 | 0x00002000
"""Namespaces (CLONE_NEW*) and CLONE_PTRACE."""
WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000
"""O_ACCMODE, O_CREAT, O_TRUNC and the bit of O_TMPFILE."""
FCNTL = (0, 1, 2, 3, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC."""
IOCTL = (0x5401, 0x5451, 0x5450)
"""TCGETS, FIOCLEX, FIONCLEX."""

_LOAD, _JUMP, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: one `struct sock_filter`."""


def assemble(machine: str, pid: int, more: tuple[str, ...] = ()) -> bytes:
    """The filter for the process with this id on this architecture, in the kernel's format.

    Args:
        machine: the output of `uname -m`.
        pid: the process that may be signalled.
        more: calls of `TRUSTED` that are also allowed.

    Raises:
        KeyError: there is no table for the architecture.
    """
    column = list(ARCHITECTURES).index(machine) if machine in ARCHITECTURES else -1
    program: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, ARCHITECTURES[machine]),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, X32_BIT), _refuse(errno.EPERM)]
    numbers = [pair[column] for pair in (*ALLOWED.values(), *(TRUSTED[name] for name in more))]
    listed = [number for number in numbers if number is not None]
    program += [(_EQUAL, len(listed) - i, 0, number) for i, number in enumerate(listed)]
    program += [(_JUMP, 0, 0, 1), _ALLOWED]
    for name, pair in CHECKED.items():
        program += _case(pair[column], _CHECKS[name](pid))
    program += _case(CLONE3, [_refuse(errno.ENOSYS)])
    program.append(_refuse(errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _case(number: int | None, body: list[Instruction]) -> list[Instruction]:
    """Run the body if the call has this number; every path through the body returns."""
    return [] if number is None else [(_EQUAL, 0, len(body), number), *body]


def _refuse(code: int) -> Instruction:
    return _RETURN, 0, 0, ERROR | code


_ALLOWED: Instruction = (_RETURN, 0, 0, ALLOW)


def _low(argument: int) -> Instruction:
    """Load an argument's low half; the kernel uses only this half of flags, commands and process ids."""
    return _LOAD, 0, 0, 16 + 8 * argument


def _high(argument: int) -> Instruction:
    return _LOAD, 0, 0, 20 + 8 * argument


def _reading(argument: int) -> Callable[[int], list[Instruction]]:
    return lambda pid: [_low(argument), (_ANY_BIT, 0, 1, WRITING), _refuse(errno.EACCES), _ALLOWED]


def _one_of(argument: int, values: tuple[int, ...]) -> Callable[[int], list[Instruction]]:
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return lambda pid: [_low(argument), *tests, _refuse(errno.EPERM), _ALLOWED]


def _itself(pid: int) -> list[Instruction]:
    return [_low(0), (_EQUAL, 0, 1, pid), _ALLOWED, _refuse(errno.EPERM)]


_CHECKS: dict[str, Callable[[int], list[Instruction]]] = {
    "clone": lambda pid: [
        _low(0),
        (_ANY_BIT, 2, 0, NEVER_CLONE),
        (_ANY_BIT, 0, 1, CLONE_THREAD),
        _ALLOWED,
        _refuse(errno.EPERM),
    ],
    "fcntl": _one_of(1, FCNTL),
    "ioctl": _one_of(1, IOCTL),
    "kill": _itself,
    "open": _reading(1),
    "openat": _reading(2),
    "prlimit64": lambda pid: [
        _low(2),
        (_EQUAL, 0, 3, 0),
        _high(2),
        (_EQUAL, 0, 1, 0),
        _ALLOWED,
        _refuse(errno.EPERM),
    ],
    "tgkill": _itself,
}


@cache
def libc() -> ctypes.CDLL:
    """The C library, loaded once."""
    return ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


def supported() -> bool:
    """Whether there is a table for this machine."""
    return platform.machine() in ARCHITECTURES and os.uname().sysname == "Linux"


_STAND_IN = 0x7A7A7A7A
"""A process id above the kernel's largest, replaced by the real one."""


@cache
def _template(machine: str, more: tuple[str, ...]) -> list[bytes]:
    return assemble(machine, _STAND_IN, more).split(struct.pack("=I", _STAND_IN))


def for_this_process(more: tuple[str, ...] = ()) -> bytes:
    """`assemble` for this process; a first call in the warm process makes it fast in its children."""
    return struct.pack("=I", os.getpid()).join(_template(platform.machine(), more))


def install(program: bytes) -> None:
    """Put this process under the filter for good; it must have set no_new_privs.

    Raises:
        OSError: the kernel refuses.
    """
    pointer = ctypes.byref(_Program(len(program) // 8, program))
    if libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refuses the seccomp filter")
