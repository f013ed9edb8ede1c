"""The trusted end: a child that runs the data set's tests against a proxy of the program.

    {"program": source, "tests": CodeTests.as_dict()}   ->   {"outcome": "wrong", "message": "...", "last": false}

It has its own cage and deadline, because comparing what a program returns may take forever; but no code of the program
ever runs here. A proxy's call sends plain data and waits for the reply to exactly that call, named by an id of 16
random bytes that cannot be known in advance. A message that is unasked, repeated or malformed ends the check.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import random
import re
import resource
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from evals.sandbox.wire import MUTABLE, Channel, Closed, Refused, Violation

MESSAGE = 200
"""Characters of a result's message."""
JOBS = 16
"""Checks that one child does in a row: tests are trusted not to affect the next ones, and a program has no way to."""
HEAVY_MIB = 64
CLEAN = ("passed", "wrong", "exception", "syntax", "crash")
"""Outcomes after which the same child continues."""
ENDED = "the program's process ended"
HANDLES_ERRORS = re.compile(r"\b(try|with|assertRaises\w*)\b")
"""What test code that may catch an exception of the program has in it. Where nothing of this is, only the language can
swallow one: `map` and `for` take a StopIteration for the end, `getattr` and `hasattr` an AttributeError for no."""
OUT_OF_MEMORY = 112
"""Exit status if not even a verdict could be written."""


def serve(desk: int) -> NoReturn:
    """Do the jobs that arrive on the socket `desk`, each with the channel to its program. End after `JOBS`, or earlier
    if a check took so much memory that the next one should not inherit it."""
    host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=desk)
    for number in range(1, JOBS + 1):
        size, descriptors, _, _ = socket.recv_fds(host, 4, 1)
        if not size:
            break
        job = json.loads(_exactly(desk, int.from_bytes(size, "big")))
        random.seed(0)  # equal programs, equal verdicts
        sys.setrecursionlimit(1000)
        try:
            verdict: dict[str, Any] = Check(Channel(descriptors[0]), job["tests"]).run(job["program"])
            heavy = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > HEAVY_MIB << 10
            verdict["last"] = number == JOBS or heavy or verdict["outcome"] not in CLEAN
            os.write(desk, json.dumps(verdict).encode() + b"\n")
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        os.close(descriptors[0])
    os._exit(0)


def _exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(descriptor, size)
        if not part:
            os._exit(0)  # the host has closed the socket
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Final(BaseException):
    """The check is over. No `except Exception` of the tests may catch it."""

    def __init__(self, outcome: str, message: str = "") -> None:
        super().__init__(outcome, message)
        self.outcome, self.message = outcome, message


class Opaque:
    """An object that stayed in the program's process, such as a match: it equals nothing, but is true or false."""

    def __init__(self, kind: str, truth: bool) -> None:
        self.kind, self.truth = kind, truth

    def __bool__(self) -> bool:
        return self.truth


class _Given(NamedTuple):
    """An argument, by its place, that the program has returned itself."""

    place: int | str


class Check:
    """One program against its tests."""

    def __init__(self, channel: Channel, tests: dict[str, Any]) -> None:
        self.channel, self.tests = channel, tests
        self.space: dict[str, Any] = {"__name__": "tests"}
        self.over: _Final | None = None
        """What ended the check; kept because the tests may catch even a BaseException."""
        self.raised: BaseException | None = None
        """The last exception of the program that was raised in the tests."""
        self.opaque: Opaque | None = None
        """The last object of the program that could not cross."""
        self.asked = False
        """Whether the tests have called the program; until then, any error is their own fault."""

    def run(self, program: str) -> dict[str, str]:
        """The verdict: an outcome and a message; outcome "tests" if the tests themselves are at fault."""
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
        finally:
            self.space.clear()
        if self.over is not None:
            return {"outcome": self.over.outcome, "message": one_line(self.over.message)}
        try:
            self._need_silence()
        except _Final as final:
            return {"outcome": final.outcome, "message": final.message}
        return {"outcome": "passed", "message": ""}

    def _need_silence(self) -> None:
        """End the check if the program has sent anything, or has ended, before it was asked."""
        if self.channel.quiet():
            return
        try:
            spoken = os.read(self.channel.descriptor, 1)  # whatever it is, nothing is read after it
        except ConnectionResetError:
            spoken = b""
        if spoken:
            raise self._end("forbidden", "the program spoke without being asked")
        raise self._end("crash", ENDED)

    def _run_tests(self) -> None:
        tests, entry, space = self.tests, self.tests.get("entry_point"), self.space
        proxies = {name: self._proxy(name) for name in tests["names"]}
        space.update(proxies)
        self.asked = False
        try:
            exec(compile(tests.get("prelude", ""), "<prelude>", "exec"), space)  # noqa: S102  # inside the sandbox, whose job it is
            code = compile(tests["code"], "<tests>", "exec")
        except Exception as error:
            if self.asked:
                raise
            raise _Final("tests", _text(error)) from None
        # In HumanEval's form the prelude is the reference, and names that the check calls must mean the reference's.
        space.update({name: proxy for name, proxy in proxies.items() if entry is None or name not in space})
        exec(code, space)  # noqa: S102  # the data set's tests, in a sandboxed process of their own
        if entry is not None:
            if not callable(space.get("check")):
                raise _Final("tests", "the test code defines no check(candidate)")
            space["check"](proxies.get(entry) or self._proxy(entry))

    def _run_inside(self) -> None:
        """The weak way: the id that comes back is the secret that proves that the tests held."""
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
                if self.opaque is not None:
                    raise self._end("wrong", self._unplain(self.opaque)) from None
                raise self._end("tests", f"{name} is called with {error}; mark the tests weak") from None
            given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
            for place, now in changed.items():
                if type(now) not in (*MUTABLE, tuple) or not isinstance(given.get(place), type(now)):
                    raise self._end("forbidden", "the program changed something other than its arguments")
                _become(given[place], now)
            if isinstance(value, _Given):
                if not isinstance(given.get(value.place), MUTABLE):
                    raise self._end("forbidden", "the program returned an argument that it was not given")
                return given[value.place]
            return value

        proxy.__name__ = proxy.__qualname__ = name
        return proxy

    def _ask(self, what: str, *rest: Any) -> tuple[Any, dict[Any, Any]]:
        """Send one request and return the reply's value and changed arguments, or raise what the program raised."""
        if self.over is not None:
            raise self.over
        identity = os.urandom(16)
        try:
            self._need_silence()
            self.channel.send((what, identity, *rest))
            self.asked = True
            reply = self.channel.receive()
        except Closed:
            raise self._end("crash", ENDED) from None
        except Violation as error:
            raise self._end("forbidden", f"a malformed reply: {error}") from None
        except MemoryError:
            raise self._end("memory", "what the program returned does not fit in memory") from None
        match reply:
            case ("return", bytes() as answered, value, dict() as changed) if answered == identity:
                return value, changed
            case ("same", bytes() as answered, int() | str() as place, dict() as changed) if answered == identity:
                return _Given(place), changed
            case ("object", bytes() as answered, str() as kind, bool() as truth, dict() as changed) if (
                answered == identity
            ):
                self.opaque = Opaque(one_line(kind), truth)
                return self.opaque, changed
            case ("raise", bytes() as answered, str() as kind, str() as name, str() as text) if answered == identity:
                raise self._error(kind, name, text)
        raise self._end("forbidden", "a reply to something that was not asked")

    def _error(self, kind: str, name: str, text: str) -> BaseException:
        """The program's exception as one of the built-in ones, or the end of the check."""
        message = f"{name}: {text}" if text else name
        if kind == "value":
            return self._end("wrong", f"the program returned {text}")
        if kind in ("syntax", "memory", "forbidden"):
            return self._end(kind, text if kind == "syntax" else message)
        found = getattr(builtins, name, None)
        if kind != "exception" or name == "NameError":
            return self._end("exception", message)
        builtin = found if isinstance(found, type) and issubclass(found, Exception) else Exception
        try:
            error: BaseException = builtin(text)
        except TypeError:  # UnicodeDecodeError and similar ones need more than a message
            error = Exception(message)
        self.raised = error
        if isinstance(error, StopIteration | StopAsyncIteration) or not self._handles_errors():
            return self._end("exception", _text(error))
        return error

    def _handles_errors(self) -> bool:
        """Whether the test code may mean to catch what the program raises; `_run_inside` does."""
        parts = (self.tests.get(part, "") for part in ("prelude", "code"))
        return bool(self.tests.get("weak")) or any(HANDLES_ERRORS.search(part) for part in parts)

    def _end(self, outcome: str, message: str) -> _Final:
        self.over = self.over or _Final(outcome, message)
        return self.over

    def _told(self, error: BaseException) -> _Final:
        """The verdict for an exception that left the tests."""
        if error is self.raised:
            return _Final("exception", _text(error))
        if isinstance(error, MemoryError):
            return _Final("memory", "the tests ran out of memory over what the program returned")
        if isinstance(error, NameError) and not self._assigned(error.name or ""):
            return _Final("tests", _text(error))
        why = f" ({self._unplain(self.opaque)})" if self.opaque is not None else ""
        return _Final("wrong", f"{self._place(error)}{_text(error)}{why}")

    @staticmethod
    def _unplain(opaque: Opaque) -> str:
        return f"the program returned an object of type {opaque.kind}, which is not plain data"

    def _place(self, error: BaseException) -> str:
        """The line of the tests where it happened; with its text where the error says nothing itself."""
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<tests>"]
        if not lines or lines[-1] is None:
            return ""
        text = self.tests["code"].split("\n")[lines[-1] - 1].strip()[: MESSAGE // 2]
        shown = f", {text}" if type(error) is AssertionError and not error.args else ""
        return f"line {lines[-1]} of the tests{shown}: "

    def _assigned(self, name: str) -> bool:
        """Whether the tests define a name anywhere: if so, it may be missing because of what the program returned."""
        tree = ast.parse(f"{self.tests.get('prelude', '')}\n{self.tests['code']}")
        return any(
            (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name)
            or getattr(node, "name", None) == name
            for node in ast.walk(tree)
        )


def _text(error: BaseException) -> str:
    """An exception's type, and its message if that can be printed."""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:  # the `__str__` of a program's own exception may raise anything; then the type alone is told
        said = ""
    return f"{name}: {said}" if said else name


def _become(old: Any, new: Any) -> None:
    """Change a container in place to equal another of its type; inner lists that correspond stay the same objects. Of a
    tuple only what it holds can change."""
    if isinstance(old, tuple):
        for was, now in zip(old, new, strict=False):
            if type(was) is type(now) and type(was) in (*MUTABLE, tuple):
                _become(was, now)
        return
    if isinstance(old, list) and len(old) == len(new):
        for i, (was, now) in enumerate(zip(old, new, strict=True)):
            if type(was) is type(now) and type(was) in MUTABLE:
                _become(was, now)
            else:
                old[i] = now
        return
    old.clear()
    (old.extend if isinstance(old, list | deque) else old.update)(new)


def one_line(text: str) -> str:
    """Printable characters only, on one line, at most `MESSAGE` of them."""
    return "".join(c if c.isprintable() else " " for c in text[: 4 * MESSAGE])[:MESSAGE].strip()
