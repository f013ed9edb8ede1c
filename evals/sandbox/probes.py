"""Hostile programs that test whether a sandbox holds here. `Checker` runs some at its start, `sipf doctor` all.

    leaks(worker)     # [] if it holds, else the names of what got through, such as ["write a file"]

Every program is checked against one assert, which its `answer` satisfies only after the attack has worked.
"""

from __future__ import annotations

from evals.programs.checks import CheckLimits, CodeTests
from evals.sandbox.warm import Dead
from evals.sandbox.worker import Worker

TESTS = CodeTests("assert answer() == 'done'", ("answer",))
HONEST = "def answer():\n    return 'done'"


def _attack(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"import ctypes, os, socket\nlibc = ctypes.CDLL(None)\ndef answer():\n{body}    return 'done'"


ATTACKS = {
    "write a file": _attack("open('/tmp/sipf-probe', 'w').close()"),
    "read /etc/passwd": _attack("open('/etc/passwd').read()"),
    "open a socket": _attack("socket.socket()"),
    "fork": _attack("if os.fork() == 0: os._exit(0)"),
    "start a program": _attack("os.execv('/bin/true', ['true'])"),
    "signal the parent": _attack("os.kill(os.getppid(), 0)"),
    "trace a process": _attack("if libc.ptrace(0, 0, 0, 0): raise PermissionError"),
    "make a namespace": _attack("if libc.unshare(0x10000000): raise PermissionError"),
}
TRICKS = {
    "exit with 0": "import os\nos._exit(0)",
    "equal everything": "class Same:\n    __eq__ = lambda a, b: True\ndef answer():\n    return Same()",
    "loop for ever": "def answer():\n    while True: pass",
    "fill the memory": "def answer():\n    return 'x' * 10**10",
    "flood the output": "def answer():\n    while True: print('x' * 10**6)",
}
"""Programs that fool a careless checker or never end."""
_QUICK = CheckLimits(cpu_s=2, wall_s=10)
_SHORT = CheckLimits(cpu_s=0.5, wall_s=1)


def leaks(worker: Worker, attacks: dict[str, str] = ATTACKS, limits: CheckLimits = _QUICK) -> list[str]:
    """The attacks that got through; also "check an honest program" if that does not work."""
    through = []
    try:
        if not worker.run(HONEST, TESTS, limits).passed:
            through.append("check an honest program")
        through += [name for name, program in attacks.items() if worker.run(program, TESTS, limits).passed]
    except Dead as error:
        through.append(f"stay alive ({error})")
    return through


def attack(layer: str) -> list[str]:
    """Start a layer and run every hostile program; return what got through.

    Raises:
        SandboxError: the layer cannot be started.
    """
    worker = Worker(layer)
    try:
        return leaks(worker) + leaks(worker, TRICKS, _SHORT)
    finally:
        worker.close()
