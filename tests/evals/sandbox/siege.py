"""Runs every hostile program through a checker and prints, as JSON, what became of them and of everything around.

    python tests/evals/sandbox/siege.py landlock 65534 ROOT   # layer, uid to become, the folder with evals/ and tests/
    python tests/evals/sandbox/siege.py auto 0 ROOT quick     # without the programs that use up their limits
    IN_A_ROW=10000 python tests/evals/sandbox/siege.py ...    # and so many more checks, with what they leave

A script of its own, since it gives up root, adopts whatever processes are left over (so that each is seen), and needs
nothing but the standard library: an interpreter that another user may run is seldom the one of the environment.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[3])

from evals.programs.checks import CheckLimits, CodeTests
from evals.sandbox.checker import Checker
from tests.evals.sandbox.hostile import CASES, SLOW
from tests.evals.sandbox.hostile.base import Hostile

LIMITS = CheckLimits(cpu_s=0.35, wall_s=0.7, memory_mib=256)
PATIENT = CheckLimits(cpu_s=10, wall_s=20, memory_mib=256)
WORKERS = 3
KEY = "KEY-5f1d"
IN_A_ROW = int(os.environ.get("IN_A_ROW", "200"))
_PR_SET_CHILD_SUBREAPER = 36
QUICK = {name: case for name, case in CASES.items() if name not in SLOW}


def main(layer: str, uid: int, root: str, cases: dict[str, Hostile]) -> dict[str, Any]:
    """The siege, as this user, of this layer, with these programs."""
    if uid != os.getuid():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ["SECRET"] = KEY
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as port:
        called: list[str] = []
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0sipf-{port.getsockname()[1]}")
        abstract.listen()
        for listening in (port, abstract):
            threading.Thread(target=_listen, args=(listening, called), daemon=True).start()
        Path(home, "precious").write_text(KEY, encoding="utf-8")
        places = {"VICTIM": home, "PORT": str(port.getsockname()[1]), "HOST": str(os.getpid())}
        places |= {"CODE": f"{root}/evals/sandbox", "DATASET": f"{root}/evals/__init__.py"}
        watched = [Path(home), Path(root), Path("/tmp"), Path("/dev/shm")]
        before, files_before = _tree(home), _names(watched)
        report = _besiege(layer, places, cases)
        report["changed"] = _tree(home) != before
        report["new files"] = sorted(_names(watched) - files_before)
        report["called"] = called
    report["left"] = _left()
    return report


def _besiege(layer: str, places: dict[str, str], cases: dict[str, Hostile]) -> dict[str, Any]:
    descriptors = len(os.listdir("/proc/self/fd"))
    with Checker(workers=WORKERS, limits=LIMITS, layer=layer, rerun=False) as checker:  # type: ignore[arg-type]  # from argv
        with ThreadPoolExecutor(WORKERS) as pool:
            told_each = pool.map(lambda case: _attack(checker, case, places), cases.values())
            results = dict(zip(cases, told_each, strict=True))
        for name, told in results.items():
            if told["wall_s"] > LIMITS.wall_s + 0.5:  # a busy machine, perhaps: once more, alone
                results[name] = _attack(checker, CASES[name], places)
            if told["outcome"] == "timeout" and "timeout" not in CASES[name].outcomes:  # too slow for its own end
                with Checker(workers=1, limits=PATIENT, layer=layer, rerun=False) as patient:  # type: ignore[arg-type]  # as above
                    results[name]["outcome"] = _attack(patient, CASES[name], places)["outcome"]
        steady = _state(checker)
        quick = list(QUICK.values())
        for number in range(IN_A_ROW):
            _attack(checker, quick[number % len(quick)], places)
        drift = {"before": steady, "after": _state(checker)}
        honest = checker.check("def solve(x):\n    return x * x", CodeTests("assert solve(3) == 9", ("solve",)))
    return {
        "layer": checker.layer,
        "results": results,
        "drift": drift,
        "honest": honest.outcome,
        "descriptors": len(os.listdir("/proc/self/fd")) - descriptors,
    }


def _attack(checker: Checker, case: Hostile, places: dict[str, str]) -> dict[str, Any]:
    program = case.program
    for name, place in places.items():
        program = program.replace(name, place)
    result = checker.check(program, CodeTests(case.tests, case.names))
    return {"outcome": result.outcome, "wall_s": result.wall_s, "message": result.message}


def _state(checker: Checker) -> dict[str, Any]:
    """What must not grow: processes, descriptors and memory, of this process and of the warm ones."""
    for worker in checker._idle:
        worker.rest()
    time.sleep(0.1)
    own = _children()
    warm = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_ours(entry)]
    return {
        "children": len(own),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "warm MiB": sum(_resident(pid) for pid in warm),
        "warm": len(warm),
    }


def _is_ours(entry: Path) -> bool:
    """Whether a process descends from this one."""
    pid = int(entry.name)
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = _parent(pid)
    return False


def _parent(pid: int) -> int:
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
    except OSError:
        return 0


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20
    except OSError:
        return 0.0


def _left() -> list[str]:
    """Children that still run five seconds after the end; what has ended waits for no one but its new parent."""
    deadline = time.monotonic() + 5
    while _children() and time.monotonic() < deadline:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        time.sleep(0.01)
    return _children()


def _children() -> list[str]:
    """This process's children, orphans it has adopted among them."""
    stats = (
        (entry / "stat").read_text(encoding="utf-8", errors="replace")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(int(entry.name)) == os.getpid()
    )
    return [stat.split(")")[0] for stat in stats]


def _listen(listening: socket.socket, called: list[str]) -> None:
    while True:
        try:
            listening.accept()[0].close()
        except OSError:
            return
        called.append(str(listening.family))


def _tree(folder: str) -> str:
    """A fingerprint of every name, mode, time and byte below."""
    digest = hashlib.sha256()
    for path in sorted([Path(folder), *Path(folder).rglob("*")]):
        state = path.lstat()
        digest.update(f"{path} {state.st_mode} {state.st_uid} {state.st_mtime_ns} {os.listxattr(path)}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _names(folders: list[Path]) -> set[str]:
    """The names in these folders; of /tmp, where others work too, those that hostile programs write."""
    return {
        str(path)
        for folder in folders
        for path in folder.glob("*")
        if folder != Path("/tmp") or path.name.startswith(("sipf-probe", "sipf.")) or path.name == "sipf"
    }


if __name__ == "__main__":
    chosen = QUICK if sys.argv[4:] == ["quick"] else CASES
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], chosen)))
