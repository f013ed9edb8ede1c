"""The trusted end: a child that runs the data set's tests against a proxy of the program.

    {"program": source, "tests": CodeTests.as_dict()}   ->   {"outcome": "wrong", "message": "assert add(1, 2) == 3"}

It lives in a cage and under a deadline of its own, since comparing what a program returns may take for ever; but no
code of the program ever runs here. A proxy's call sends plain data and waits for the reply to exactly that call: an id
of 16 random bytes that nobody can know before. What the program sent unasked, twice or malformed ends the check.
"""

from __future__ import annotations

import builtins
import json
import os
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from evals.code.wire import Channel, Closed, Refused, Violation

MESSAGE = 200
"""Characters of a result's message."""


def serve(channel: int, report: int) -> NoReturn:
    """Read the job from `report`, run it against the program behind `channel`, write the verdict, end."""
    with open(report, "r+b", buffering=0, closefd=False) as stream:
        size = int.from_bytes(_exactly(stream, 4), "big")
        job = json.loads(_exactly(stream, size))
        verdict = _Check(Channel(channel), job["tests"]).run(job["program"])
        stream.write(json.dumps(verdict).encode())
    os._exit(0)


def _exactly(stream: Any, size: int) -> bytes:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            os._exit(0)  # the host is gone
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Final(BaseException):
    """The check is over. No `except Exception` of the tests may catch it."""

    def __init__(self, outcome: str, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome, self.message = outcome, message


class _Check:
    """One program against its tests."""

    def __init__(self, channel: Channel, tests: dict[str, Any]) -> None:
        self.channel, self.tests = channel, tests
        self.over: _Final | None = None
        """What ended the check, kept here as the tests may catch even a BaseException."""
        self.raised: BaseException | None = None
        """The last exception of the program that was raised in the tests."""

    def run(self, program: str) -> dict[str, str]:
        """The verdict: an outcome and a message; outcome "tests" where the tests themselves are at fault."""
        try:
            self._ask("program", program)
            if self.tests.get("weak"):
                self._run_inside()
            else:
                self._run_tests()
        except _Final as final:
            self.over = self.over or final
        except BaseException as error:  # whatever the tests raised is the verdict
            self.over = self.over or self._told(error)
        if self.over is not None:
            return {"outcome": self.over.outcome, "message": one_line(self.over.message)}
        if not self.channel.quiet():
            return {"outcome": "forbidden", "message": "the program spoke without being asked"}
        return {"outcome": "passed", "message": ""}

    def _run_tests(self) -> None:
        tests, entry = self.tests, self.tests.get("entry_point")
        space: dict[str, Any] = {"__name__": "tests"}
        proxies = {name: self._proxy(name) for name in tests["names"]}
        space.update(proxies)
        try:
            exec(compile(tests.get("prelude", ""), "<prelude>", "exec"), space)  # noqa: S102  # the data set's own
            code = compile(tests["code"], "<tests>", "exec")
        except _Final:
            raise
        except BaseException as error:
            raise _Final("tests", f"{type(error).__name__}: {error}") from None
        # In HumanEval's form the prelude is the reference, and what the check calls by name is to be that.
        space.update({name: proxy for name, proxy in proxies.items() if entry is None or name not in space})
        exec(code, space)  # noqa: S102  # as above
        if entry is not None:
            if not callable(space.get("check")):
                raise _Final("tests", "the test code defines no check(candidate)")
            space["check"](proxies.get(entry) or self._proxy(entry))

    def _run_inside(self) -> None:
        """The weak way: the id that comes back is the secret that says that the tests held."""
        tests = self.tests
        try:
            self._ask("tests", tests.get("prelude", ""), tests["code"], tests.get("entry_point"))
        except AssertionError as error:
            raise _Final("wrong", f"AssertionError: {error}") from None

    def _proxy(self, name: str) -> Callable[..., Any]:
        def proxy(*args: Any, **kwargs: Any) -> Any:
            try:
                value, changed = self._ask("call", name, args, kwargs)
            except Refused as error:
                raise self._end("tests", f"{name} is handed {error}; mark the tests weak") from None
            for place, now in changed.items():
                if type(place) is not int or not 0 <= place < len(args) or type(now) is not type(args[place]):
                    raise self._end("forbidden", "the program answered something else than it was asked")
                _become(args[place], now)
            return value

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

    def _ask(self, what: str, *rest: Any) -> tuple[Any, dict[Any, Any]]:
        """Send one request and return the reply's value and changed arguments, or raise what the program raised."""
        if self.over is not None:
            raise self.over
        identity = os.urandom(16)
        try:
            if not self.channel.quiet():
                raise self._end("forbidden", "the program spoke without being asked")
            self.channel.send((what, identity, *rest))
            reply = self.channel.receive()
        except Closed:
            raise self._end("crash", "the program's process ended") from None
        except Violation as error:
            raise self._end("forbidden", f"a reply that is none: {error}") from None
        match reply:
            case ("return", bytes() as answered, value, dict() as changed) if answered == identity:
                return value, changed
            case ("raise", bytes() as answered, str() as kind, str() as name, str() as text) if answered == identity:
                raise self._error(kind, name, text)
        raise self._end("forbidden", "a reply to something that was not asked")

    def _error(self, kind: str, name: str, text: str) -> BaseException:
        """The program's exception as one of the built-in ones, or the end of the check."""
        message = f"{name}: {text}" if text else name
        if kind == "value":
            return self._end("wrong", f"the program returned {text}")
        if kind in ("syntax", "memory", "forbidden"):
            return self._end(kind, message)
        found = getattr(builtins, name, None)
        if kind != "exception" or name == "NameError":
            return self._end("exception", message)
        builtin = found if isinstance(found, type) and issubclass(found, Exception) else Exception
        try:
            error: BaseException = builtin(text)
        except TypeError:  # UnicodeDecodeError and its like want more than a message
            error = Exception(message)
        self.raised = error
        return error

    def _end(self, outcome: str, message: str) -> _Final:
        self.over = self.over or _Final(outcome, message)
        return self.over

    def _told(self, error: BaseException) -> _Final:
        """What an exception that left the tests means."""
        text = f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else _assertion(error)
        if error is self.raised:
            return _Final("exception", f"{type(error).__name__}: {error}")
        if isinstance(error, MemoryError):
            return _Final("memory", "the tests ran out of memory over what the program returned")
        if isinstance(error, NameError | SyntaxError):
            return _Final("tests", text)
        return _Final("wrong", text)


def _assertion(error: AssertionError) -> str:
    """The failed assert's line number and message."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<tests>"]
    where = f"line {lines[-1]} of the tests: " if lines else ""
    return f"{where}AssertionError" + (f": {error}" if error.args else "")


def _become(old: Any, new: Any) -> None:
    """Change a container in place to equal another of its type; inner lists that correspond stay the same objects."""
    if type(old) is list:
        if len(old) == len(new):
            for i, (was, now) in enumerate(zip(old, new, strict=True)):
                if type(was) is type(now) and type(was) in (list, dict, set, deque):
                    _become(was, now)
                else:
                    old[i] = now
        else:
            old[:] = new
        return
    old.clear()
    (old.extend if type(old) is deque else old.update)(new)


def one_line(text: str) -> str:
    """Printable characters only, on one line, at most `MESSAGE` of them."""
    return "".join(c if c.isprintable() else " " for c in text[: 4 * MESSAGE])[:MESSAGE].strip()
