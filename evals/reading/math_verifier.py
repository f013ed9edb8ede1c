r"""math-verify (Hugging Face) as a rule: it parses gold answer and text with SymPy, and compares what they mean.

    with MathVerifier() as verifier:
        verifier.judge("\\frac{1}{2}", "So it is $\\boxed{0.5}$.")       # Judged("\\frac{1}{2}", right=True)

It evaluates what a model wrote, and `9^{9^{9^{9}}}` never ends: so it runs in a process of its own, which has
`DEADLINE_S` for each answer and `MEMORY_MIB` of memory. An answer that needs more is wrong, and the next one gets a
new process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

from evals.errors import UsageError

DEADLINE_S = 10.0
START_S = 120.0
"""Seconds in which the process must have imported SymPy."""
MEMORY_MIB = 2048
LONGEST = 20_000
"""Characters of a text, counted from its end, that are parsed."""


class Judged(NamedTuple):
    """The answer that was found in a text, in math-verify's spelling (None: none), whether it is right, and whether
    time or memory ran out."""

    answer: str | None
    right: bool
    unfinished: bool = False


class MathVerifier:
    """One process with math-verify, started with the first answer; safe to use from many threads, one at a time.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise UsageError("--answer-rule math-verify needs the package math-verify", "pip install 'sipf[math]'")
        self.deadline_s = deadline_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, gold: str, text: str) -> Judged:
        """Whether the answer in a text means the same as the gold one."""
        with self._lock:
            if self._process is None:
                self._process = _start()
                if _reply(self._process, START_S) is None:
                    self._end()
                    raise UsageError("math-verify does not start", "python -c 'import math_verify' says why.")
            asked = {"gold": gold, "text": text[-LONGEST:], "seconds": 2 * self.deadline_s}
            request = json.dumps(asked).encode() + b"\n"
            said = _asked(self._process, request, self.deadline_s)
            if said is None:
                self._end()
                return Judged(None, right=False, unfinished=True)
            return Judged(said["answer"], said["right"])

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        bufsize=0, env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip


def _asked(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> dict[str, Any] | None:
    assert process.stdin is not None
    try:
        process.stdin.write(request)
    except BrokenPipeError:
        return None
    return _reply(process, seconds)


def _reply(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
    """The next line of the process; None if it has ended, or has said nothing in time."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        if not ready.select(seconds):
            return None
    line = process.stdout.readline()  # it is written at once, and is short
    return json.loads(line) if line.endswith(b"\n") else None


def _serve() -> None:
    """The process: a line in, a line out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    from math_verify import parse, verify

    def answer(line: str) -> dict[str, Any]:
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, asked["seconds"])  # ends this process if the one that asks has died
        gold = asked["gold"] if "$" in asked["gold"] or "\\boxed" in asked["gold"] else f"${asked['gold']}$"
        # No time limits of its own: they are signals, which do not interrupt the arithmetic of large numbers.
        wanted, found = (parse(text, parsing_timeout=None) for text in (gold, asked["text"]))
        right = bool(wanted and found) and verify(wanted, found, timeout_seconds=None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {"answer": str(found[-1])[:LONGEST] if found else None, "right": right}

    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)


if __name__ == "__main__":
    _serve()
