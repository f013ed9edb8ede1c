"""What can be done to one run of a command, drawn by chance.

attack = signalled(recipe, counts, random.Random(7))
# Attack(kind="call", signal="SIGKILL", at="rename:1:before:9")
"""

from __future__ import annotations

import errno
import random
import signal
from collections import Counter
from dataclasses import dataclass

from tests.torture.recipes import Recipe

SIGNALS = {"SIGKILL": 55, "SIGTERM": 20, "SIGINT": 15, "SIGSTOP": 10}
"""How often each is sent; a stopped process is continued after a while."""
ERRORS = {"ENOSPC": 30, "EDQUOT": 15, "EIO": 40, "EROFS": 15}
"""How often a call fails with each."""
AT_CALLS = ("rename", "fsync", "unlink", "create", "empty", "truncate", "write", "pwrite", "mkdir", "rmdir", "any")


@dataclass
class Attack:
    """What is done to one run of a command, and what came of it."""

    kind: str
    """call (a signal at a call of shim.c), time, start or child; fault (a call fails), short or clock; edit (killed,
    and what it has left is edited)."""
    signal: str
    """Its name, or that of the error."""
    at: str = ""
    """The call as shim.c takes it, or a share of the undisturbed run's seconds."""
    warm: bool = True
    """Whether the command was forked from a process that has the libraries imported."""
    moment: str = ""
    """Where it hit, in words; empty if the command was over before."""
    code: int | None = None
    victim: str = ""
    """The child that was attacked, or the file that was edited and how."""


def signalled(recipe: Recipe, calls: Counter[str], draws: random.Random) -> Attack:
    """A signal to a command that makes so many calls of each name when it is left alone."""
    sort = draws.choices(list(SIGNALS), list(SIGNALS.values()))[0]
    is_shared = any(word in recipe.stage for word in ("workers", "ray", "code"))
    kinds = {"call": 60, "time": 20, "start": 5, "child": 80 if is_shared else 0}
    kind = draws.choices(list(kinds), list(kinds.values()))[0]
    warm = draws.random() > (0.3 if kind == "start" else 0.03)
    if kind == "call":
        call = _call(calls, draws)
        if not call:
            return Attack("time", sort, f"{draws.random():.3f}", warm)
        when = draws.choice(["before", "after"])
        return Attack("call", sort, f"{call}:{when}:{int(signal.Signals[sort])}", warm)
    if kind == "start":
        return Attack("start", sort, f"{draws.random() * (0.05 if warm else 2):.4f}", warm)
    return Attack(kind, sort, f"{draws.random():.3f}", warm)


def failing(calls: Counter[str], draws: random.Random) -> Attack:
    """A call that fails, short writes, or a clock that was set back."""
    kind = draws.choices(["fault", "short", "clock"], [80, 10, 10])[0]
    if kind == "short":
        return Attack(kind, "short writes", "1")
    if kind == "clock":
        return Attack(kind, "clock set back", str(-draws.choice([1, 3600, 86400 * 400])))
    call = _call(calls, draws)
    sort = draws.choices(list(ERRORS), list(ERRORS.values()))[0]
    return Attack(kind, sort, f"{call}:{getattr(errno, sort)}:{draws.choice([0, 1])}")


def before_an_edit(calls: Counter[str], draws: random.Random) -> Attack:
    """A kill, mostly in the journal, or none: then the finished output is edited."""
    if draws.random() < 0.3:
        return Attack("edit", "edited")
    name = "pwrite" if calls["pwrite"] and draws.random() < 0.7 else ""
    return Attack("edit", "edited", f"{_call(calls, draws, name)}:after:{int(signal.SIGKILL)}")


def _call(calls: Counter[str], draws: random.Random, name: str = "") -> str:
    """One of a command's calls as shim.c takes it; empty if it makes none."""
    names = [name] if name else [name for name in AT_CALLS if calls[name]]
    if not names:
        return ""
    chosen = draws.choice(names)
    return f"{chosen}:{draws.randint(1, calls[chosen])}"
