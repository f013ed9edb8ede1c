"""The untrusted end: a child in the cage that runs one program and answers calls of its functions.

    ("program", id, source)             ->  ("return", id, None, {})
    ("call", id, name, args, kwargs)    ->  ("return", id, value, {0: [..the first argument, as it is now..]})
                                        or  ("same", id, 0, {...}) for the first argument itself, where it can change
                                        or  ("object", id, type name, its truth, {...}) for what is not plain data
                                        or  ("raise", id, kind, type name, message)
    ("tests", id, prelude, code, entry) ->  the same, after running the tests in here (the weak way)

The program shares this process and may do anything with it: it can forge, drop or garble every answer, which only
amounts to returning another value or none. The trusted end (judge.py) relies on nothing in here.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, ModuleType
from typing import Any

from evals.sandbox.wire import MUTABLE, Channel, Closed, Refused, decode, encode, is_plain

PROGRAM = "program"
"""The name of the module that the program runs as."""


def serve(descriptor: int) -> None:
    """Answer until the other end is closed; never returns."""
    channel = Channel(descriptor)
    module = ModuleType(PROGRAM)
    sys.modules[PROGRAM] = module
    while True:
        try:
            message = channel.receive()
        except Closed:
            os._exit(0)
        try:
            channel.send(_answer(module, message))
        except Closed:
            os._exit(0)
        except BaseException as error:  # KeyboardInterrupt and SystemExit too: what the program raised is the answer
            channel.send(_failure(message[1], error, _kind(error)))


def _answer(module: ModuleType, message: Any) -> tuple[Any, ...]:
    what, identity, *rest = message
    space = module.__dict__
    if what == "program":
        exec(_compiled(rest[0]), space)  # noqa: S102  # this process is the sandbox that programs run in
        return "return", identity, None, {}
    if what == "tests":
        prelude, code, entry = rest
        exec(compile(prelude, "<prelude>", "exec"), space)  # noqa: S102  # inside the sandbox, as above
        exec(compile(code, "<tests>", "exec"), space)  # noqa: S102  # inside the sandbox, as above
        if entry is not None:
            space["check"](space[entry])
        return "return", identity, None, {}
    name, args, kwargs = rest
    given = {**dict(enumerate(args)), **kwargs}
    before = {place: encode(value) for place, value in given.items() if isinstance(value, (*MUTABLE, tuple))}
    if name not in space:
        raise NameError(f"name {name!r} is not defined")
    value = space[name](*args, **kwargs)
    changed = {}
    for place, was in before.items():
        now = encode(given[place])
        if now != was:
            changed[place] = decode(now)
    for place, item in given.items():
        if item is value and isinstance(value, MUTABLE):
            return "same", identity, place, changed
    if not is_plain(value):
        return "object", identity, type.__getattribute__(type(value), "__name__")[:100], bool(value), changed
    return "return", identity, value, changed


class _NoProgramError(Exception):
    """The source cannot be compiled."""


def _compiled(source: str) -> CodeType:
    try:
        return compile(source, f"<{PROGRAM}>", "exec", dont_inherit=True)
    except Exception as error:  # NUL bytes, lone surrogates and too deep nesting raise other errors than SyntaxError
        raise _NoProgramError(f"{type(error).__name__}: {error}") from None


def _kind(error: BaseException) -> str:
    if isinstance(error, Refused):
        return "value"
    if isinstance(error, _NoProgramError):
        return "syntax"
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, PermissionError):
        return "forbidden"
    return "exception" if isinstance(error, Exception) else "end"


def _failure(identity: Any, error: BaseException, kind: str) -> tuple[Any, ...]:
    try:
        text = str(error)[:400]
    except BaseException:  # the program's own exception class may do anything here
        text = ""
    return "raise", identity, kind, type.__getattribute__(type(error), "__name__")[:100], text
