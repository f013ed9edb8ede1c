"""The untrusted end: a child in the cage that runs one program and answers calls of its functions.

    ("program", id, source)             ->  ("return", id, None, {})
    ("call", id, name, args, kwargs)    ->  ("return", id, value, {0: [..the first argument, as it is now..]})
                                        or  ("raise", id, kind, type name, message)
    ("tests", id, prelude, code, entry) ->  the same, after running tests in here (the weak way)

The program shares this process and may do with it what it likes: it can forge, drop or garble every answer, which
amounts to returning another value or none. Nothing here is relied on by the trusted end (judge.py).
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from evals.code.wire import Channel, Closed, Refused, decode, encode

PROGRAM = "program"
"""The name of the module that the program runs as."""
_MUTABLE = ("list", "dict", "set", "deque")


def serve(descriptor: int) -> None:
    """Answer until the other end is gone; never returns."""
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
        except BaseException as error:  # KeyboardInterrupt and SystemExit too: the program raised it, it is the answer
            channel.send(_failure(message[1], error, _kind(error, message[0])))


def _answer(module: ModuleType, message: Any) -> tuple[Any, ...]:
    what, identity, *rest = message
    space = module.__dict__
    if what == "program":
        _run(rest[0], f"<{PROGRAM}>", space)
        return "return", identity, None, {}
    if what == "tests":
        prelude, code, entry = rest
        _run(prelude, "<prelude>", space)
        _run(code, "<tests>", space)
        if entry is not None:
            space["check"](space[entry])
        return "return", identity, None, {}
    name, args, kwargs = rest
    before = [encode(value) if type(value).__name__ in _MUTABLE else None for value in args]
    if name not in space:
        raise NameError(f"name {name!r} is not defined")
    value = space[name](*args, **kwargs)
    encode(value)  # refused here rather than in the reply, whose message would be lost
    changed = {}
    for place, was in enumerate(before):
        if was is not None:
            now = encode(args[place])
            if now != was:
                changed[place] = decode(now)
    return "return", identity, value, changed


def _run(source: str, filename: str, space: dict[str, Any]) -> None:
    try:
        code = compile(source, filename, "exec", dont_inherit=True)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:  # NUL bytes; nesting beyond the parser
        raise SyntaxError(str(error) or type(error).__name__, (filename, 1, 0, "")) from None
    exec(code, space)  # noqa: S102  # that is what the cage is for


def _kind(error: BaseException, asked: str) -> str:
    if isinstance(error, Refused):
        return "value"
    if isinstance(error, SyntaxError) and error.filename == f"<{PROGRAM}>" and asked == "program":
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
