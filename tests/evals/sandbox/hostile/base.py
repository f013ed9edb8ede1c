"""Hostile programs, each attacking one claim, with the outcomes it may end in. None of them may ever pass.

`VICTIM` is a folder that whoever runs the checker may write, `PORT` a port of loopback that listens, `HOST` the process
id of the checker's process. `solve` is asked for squares, unless a case has asserts of its own: those hold only if the
attack got what it wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

SQUARES = "assert solve(2) == 4\nassert solve(3) == 9"
DONE = "assert solve() == 'done'"
NUMBER = "nr = lambda x86, arm: x86 if os.uname().machine == 'x86_64' else arm\n"
TIME = {"timeout"}
DENIED = {"forbidden", "exception"}
ENDED = {"crash"}


@dataclass(frozen=True)
class Hostile:
    """One program, its asserts and the outcomes that are right for it."""

    program: str
    outcomes: frozenset[str]
    tests: str = SQUARES
    names: tuple[str, ...] = ("solve",)


def solve(body: str, before: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"import os, sys, ctypes, signal, time, threading\n{NUMBER}{before}\ndef solve(x=None):\n{lines}\n"


def c(call: str) -> str:
    """A C call that counts as done when it does not fail."""
    return solve(f"libc = ctypes.CDLL(None, use_errno=True)\nif {call} < 0: raise PermissionError\nreturn 'done'")


def done(body: str) -> str:
    return solve(f"{body}\nreturn 'done'")


ALWAYS = """
class Same:
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = lambda self: 0
"""
FORGE = """
import os, struct, sys
from evals.sandbox.wire import encode, decode
def read():
    size = struct.unpack('>I', os.read(3, 4))[0]
    data = b''
    while len(data) < size: data += os.read(3, size - len(data))
    return decode(data)
def write(value):
    data = encode(value)
    os.write(3, struct.pack('>I', len(data)) + data)
def own(depth=0):
    frame = sys._getframe(depth)
    while frame:
        if 'message' in frame.f_locals: return frame.f_locals['message'][1]
        frame = frame.f_back
"""
ANYWHERE = """
import gc, sys
def hunt():
    frame, found = sys._getframe(), []
    while frame:
        found += list(frame.f_locals.values()) + list(frame.f_globals.values())
        frame = frame.f_back
    found += gc.get_objects() + [getattr(m, '__dict__', None) for m in sys.modules.values()]
    for thing in list(found):
        found += gc.get_referents(thing) if not isinstance(thing, (str, bytes, int)) else []
    return [thing for thing in found if isinstance(thing, (str, bytes, int))]
"""


def case(program: str, outcomes: set[str], tests: str = SQUARES, names: tuple[str, ...] = ("solve",)) -> Hostile:
    return Hostile(program, frozenset(outcomes), tests, names)
