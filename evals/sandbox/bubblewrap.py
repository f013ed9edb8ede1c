"""bubblewrap's command line: a hardened container for each warm process.

    bwrap --unshare-user --disable-userns --uid 65534 ... -- python -c "..."

Run by root with its usual flags, it would leave the code every capability and a writable tmpfs of half the machine's
memory. Instead there is a separate user namespace with an unprivileged uid, without capabilities and without a way to
make further namespaces. The container has its own processes, network and host name, an empty environment, and read-only
folders (Python's and the system's libraries, installed packages hidden) on a read-only root. It dies with its parent.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from evals.sandbox.cage import NOBODY
from evals.sandbox.landlock import NOT_LIBRARY

INSIDE = "/sandbox"
"""Where this package's own modules are inside."""
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/libx32", "/lib", "/lib64", "/lib32", "/libx32")


def command(python: str, package: Path) -> list[str]:
    """Everything before the command to run inside.

    Args:
        python: the interpreter's real path.
        package: the folder that holds the package `evals`.

    Raises:
        FileNotFoundError: bwrap is not installed.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise FileNotFoundError("bwrap is not installed")
    line = [
        bwrap,
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL"),
        *(
            "--hostname",
            "sandbox",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
            "--setenv",
            "PYTHONHASHSEED",
            "0",
        ),
    ]
    for folder in dict.fromkeys((*_SYSTEM, *_python_folders())):
        line += _bound(folder)
    line += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--ro-bind", python, python]
    for hidden in _installed_packages():
        line += ["--tmpfs", hidden, "--remount-ro", hidden]
    line += ["--ro-bind", str(package / "evals/__init__.py"), f"{INSIDE}/evals/__init__.py"]
    line += ["--ro-bind", str(package / "evals/sandbox"), f"{INSIDE}/evals/sandbox"]
    return [*line, "--remount-ro", "/", "--chdir", "/"]


def _bound(folder: str) -> list[str]:
    if os.path.islink(folder):  # /lib is usr/lib on most systems
        return ["--symlink", os.readlink(folder), folder]
    return ["--ro-bind-try", folder, folder]


def _python_folders() -> Iterator[str]:
    for lib in ("lib", "lib64"):
        folder = os.path.join(sys.base_prefix, lib)
        if folder not in _SYSTEM and os.path.isdir(folder):
            yield folder


def _installed_packages() -> Iterator[str]:
    """Folders of installed packages inside the bound ones: one package is HumanEval with its tests and references."""
    standard = Path(sysconfig.get_path("stdlib"))
    homes = [standard, *(Path(lib, name) for lib in _SYSTEM[:2] for name in ("python3", standard.name))]
    for parent in dict.fromkeys(homes):
        for name in sorted(NOT_LIBRARY):
            if (parent / name).is_dir():
                yield str(parent / name)
