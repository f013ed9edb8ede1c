"""What a warm process and its children give up before anything untrusted runs in them.

    domain = enter("landlock")          # once, in the warm process: identity, capabilities, files
    confine(domain, CheckLimits(...))        # in each child: limits, files again, system calls

After `enter`, root has become uid 65534 (`nobody`), with the standard library's folder as its root folder if that is
allowed. Every capability is dropped for good, and only files of the standard library can be opened.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
import sysconfig
from math import ceil

from evals.sandbox import landlock, seccomp

NOBODY = 65534
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 4, 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
MIB = 1 << 20


def enter(layer: str) -> int | None:
    """Give up what this process will not need again; returns the landlock rules that children enter again.

    Raises:
        OSError: something could not be given up; the process must not continue.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if layer == "none":
        return None
    library = sysconfig.get_path("stdlib")
    if os.geteuid() == 0:
        library = _move_root(library)
        _become_nobody()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    rules = None
    for more in ((), tuple(seccomp.TRUSTED)):
        seccomp.for_this_process(more)  # so that it is ready for the children
    if layer == "landlock" or landlock.abi():
        rules = landlock.ruleset(landlock.library_rules(library))
        landlock.restrict_self(rules)
    return rules


def confine(
    rules: int | None, *, cpu_s: float, memory_mib: int, files: int, caged: bool, more: tuple[str, ...] = ()
) -> None:
    """Limit this child for good, and leave it only the system calls of `seccomp` and those in `more`. With `rules` it
    enters a landlock domain below the warm process's, so it cannot signal or trace its parent either.

    Raises:
        OSError: a limit could not be set; the child must end.
    """
    seconds = ceil(cpu_s) + 1
    for kind, limit in (
        (resource.RLIMIT_AS, memory_mib * MIB),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    if not caged:
        return
    if rules is not None:
        landlock.restrict_self(rules)
        os.close(rules)
    seccomp.install(seccomp.for_this_process(more))


def _move_root(library: str) -> str:
    """Make the standard library this process's root folder, so that no other file can even be named. Root only. If
    this is not allowed (in a container, for example) the root folder stays the same, and landlock guards the rest."""
    try:
        os.chroot(library)
    except PermissionError:
        return library
    os.chdir("/")
    for module in list(sys.modules.values()):
        paths = getattr(module, "__path__", None)
        if isinstance(paths, list):
            module.__path__ = [path.removeprefix(library) or "/" for path in paths]
    sys.path[:] = ["/", *(path.removeprefix(library) for path in sys.path if path.startswith(f"{library}/"))]
    sys.path_importer_cache.clear()
    return "/"


def _become_nobody() -> None:
    """Stop being root: drop every capability, and change the uid if another one exists."""
    for capability in range(64):
        seccomp.libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        pass  # a container that maps only root; without capabilities this root may do no more than `nobody`
    seccomp.libc().prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    if seccomp.libc().capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")


def _prctl(option: int, value: int) -> None:
    if seccomp.libc().prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
