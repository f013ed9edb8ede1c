"""The filter lets exactly its list through, on both architectures: run here by an interpreter of its instructions."""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Sequence

import pytest

from evals.sandbox.seccomp import (
    ALLOW,
    ALLOWED,
    ARCHITECTURES,
    CHECKED,
    ERROR,
    KILL,
    NEVER_CLONE,
    X32_BIT,
    assemble,
    for_this_process,
)

PID = 4711
X86, ARM = "x86_64", "aarch64"
BOTH = pytest.mark.parametrize("machine", [X86, ARM])
NEVER = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "socket": (41, 198),
    "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "sendto": (44, 206), "sendmsg": (46, 211),
    "recvmsg": (47, 212), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "prctl": (157, 167), "arch_prctl": (158, None), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "setuid": (105, 146), "setresuid": (117, 147),
    "capset": (126, 91), "setrlimit": (160, 164), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "truncate": (76, 45),
    "ftruncate": (77, 46), "creat": (85, None), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "chown": (92, None), "fchown": (93, 55), "fchownat": (260, 54), "utimensat": (280, 88), "setxattr": (188, 5),
    "mknod": (133, None), "mknodat": (259, 33), "openat2": (437, 437), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "seccomp": (317, 277), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mlock": (149, 228), "mlockall": (151, 230),
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "setsid": (112, 157),
    "setpgid": (109, 154), "chdir": (80, 49), "fchdir": (81, 50), "kexec_load": (246, 104), "reboot": (169, 142),
    "init_module": (175, 105), "finit_module": (313, 273), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "personality": (135, 92), "modify_ldt": (154, None), "splice": (275, 76),
    "vmsplice": (278, 75), "sendfile": (40, 71), "kcmp": (312, 272), "process_madvise": (440, 440),
    "landlock_restrict_self": (446, 446), "timer_create": (222, 107), "inotify_init1": (294, 26),
    "fanotify_init": (300, 262), "quotactl": (179, 60), "syslog": (103, 116), "settimeofday": (170, 170),
    "clock_settime": (227, 112), "swapon": (167, 224), "acct": (163, 89), "fallocate": (285, 47), "pwrite64": (18, 68),
    "copy_file_range": (326, 285), "set_mempolicy": (238, 237), "move_pages": (279, 239), "ioperm": (173, None),
    "iopl": (172, None), "sethostname": (170, 161), "io_setup": (206, 0), "remap_file_pages": (216, 234),
}  # fmt: skip


def verdict(machine: str, number: int, arguments: Sequence[int] = (), architecture: int | None = None) -> int:
    """What the filter says to one call."""
    data = struct.pack("=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *[*arguments, *[0] * 6][:6])
    code = assemble(machine, PID)
    accumulator = at = 0
    for _ in range(len(code)):
        kind, jump_true, jump_false, operand = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        if kind == 0x20:
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif kind == 0x06:
            return int(operand)
        elif kind == 0x05:
            at += operand
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            at += jump_true if holds[kind] else jump_false
    raise AssertionError("the filter does not end")


def number(table: dict[str, tuple[int | None, int | None]], name: str, machine: str) -> int:
    found = table[name][[X86, ARM].index(machine)]
    assert found is not None
    return found


@BOTH
def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    column = [X86, ARM].index(machine)
    listed = {numbers[column] for numbers in ALLOWED.values() if numbers[column] is not None}
    checked = {numbers[column] for numbers in CHECKED.values() if numbers[column] is not None}
    for call in range(600):
        if call not in checked:
            expected = ALLOW if call in listed else ERROR | (errno.ENOSYS if call == 435 else errno.EPERM)
            assert verdict(machine, call) == expected, call


@BOTH
def test_no_call_is_listed_twice(machine: str) -> None:
    column = [X86, ARM].index(machine)
    numbers = [pair[column] for pair in [*ALLOWED.values(), *CHECKED.values()] if pair[column] is not None]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("name", NEVER)
@BOTH
def test_dangerous_calls_are_refused(name: str, machine: str) -> None:
    call = NEVER[name][[X86, ARM].index(machine)]
    if call is not None:
        assert verdict(machine, call) == ERROR | errno.EPERM


@BOTH
def test_clone3_is_unknown_so_that_the_c_library_falls_back_to_clone(machine: str) -> None:
    assert verdict(machine, 435) == ERROR | errno.ENOSYS


@BOTH
def test_another_architecture_is_death(machine: str) -> None:
    other = ARCHITECTURES[ARM if machine == X86 else X86]
    for architecture in (other, 0x40000003, 0x40000028):  # i386 and 32-bit arm
        for call in (0, 1, 11, 39, 172):
            assert verdict(machine, call, architecture=architecture) == KILL


def test_the_x32_variants_are_refused() -> None:
    for call in (*range(600), X32_BIT - 1):
        assert verdict(X86, X32_BIT | call) == ERROR | errno.EPERM


@BOTH
def test_files_open_for_reading_only(machine: str) -> None:
    call = number(CHECKED, "openat", machine)
    for flags in (0, 0o2000000, 0o200000, 0o100000):  # plain, O_CLOEXEC, O_DIRECTORY or O_NOFOLLOW
        assert verdict(machine, call, [2**32 - 100, 0, flags]) == ALLOW
    for flags in (1, 2, 3, 0o100, 0o1000, 0o20000000, 0o20200000 | 2, 0o2000000 | 1):
        assert verdict(machine, call, [2**32 - 100, 0, flags, 0o600]) == ERROR | errno.EACCES
        assert verdict(machine, call, [2**32 - 100, 0, flags | 2**32]) == ERROR | errno.EACCES
    if machine == X86:
        assert verdict(machine, 2, [0, 0]) == ALLOW
        assert verdict(machine, 2, [0, 0o101]) == ERROR | errno.EACCES


@BOTH
def test_clone_makes_threads_only(machine: str) -> None:
    call = number(CHECKED, "clone", machine)
    thread = 0x3D0F00  # what pthread_create asks for
    assert verdict(machine, call, [thread]) == ALLOW
    for flags in (0, 17, 0x1200011, 0x4111, *(thread | 1 << bit for bit in range(32) if NEVER_CLONE >> bit & 1)):
        assert verdict(machine, call, [flags]) == ERROR | errno.EPERM


@pytest.mark.parametrize("name", ["kill", "tgkill"])
@BOTH
def test_signals_reach_the_process_itself_only(name: str, machine: str) -> None:
    call = number(CHECKED, name, machine)
    assert verdict(machine, call, [PID, 9]) == ALLOW
    for other in (0, 1, PID + 1, 2**32 - 1, 2**64 - 1, 2**64 - PID):
        assert verdict(machine, call, [other, 9]) == ERROR | errno.EPERM


@BOTH
def test_limits_can_be_read_but_not_set(machine: str) -> None:
    call = number(CHECKED, "prlimit64", machine)
    assert verdict(machine, call, [0, 7, 0, 12345]) == ALLOW
    for new in (1, 2**32, 2**63, 0x7FFF00000000):
        assert verdict(machine, call, [0, 7, new, 0]) == ERROR | errno.EPERM


@BOTH
def test_descriptors_can_be_copied_but_aim_no_signals(machine: str) -> None:
    call = number(CHECKED, "fcntl", machine)
    assert {command for command in range(2048) if verdict(machine, call, [3, command]) == ALLOW} == {0, 1, 2, 3, 1030}
    call = number(CHECKED, "ioctl", machine)
    allowed = {command for command in range(0x5400, 0x8A00) if verdict(machine, call, [0, command]) == ALLOW}
    assert allowed == {0x5401, 0x5450, 0x5451}


def test_a_process_gets_the_filter_of_its_own_id() -> None:
    assert for_this_process() == assemble(platform.machine(), os.getpid())


def test_there_is_no_filter_for_an_unknown_architecture() -> None:
    with pytest.raises(KeyError):
        assemble("riscv64", PID)
