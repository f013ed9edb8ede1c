"""One check at a time: a pair of warm processes, one for the tests and one for the program.

    worker = Worker("landlock")
    worker.run("def add(a, b): return a + b", tests, CheckLimits())       # CheckResult("passed", cpu_s=0.004, ...)

The two children talk to each other over a socket pair made for this check alone; the verdict comes from the tests' side
over another one. The program's child does only this check, the tests' child several in a row. This module keeps the
time: a child that takes too long, uses too much CPU time, prints too much or starts too many threads is ended. For a
child that dies by itself, its exit status gives the outcome.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from evals.errors import DataError, SandboxError
from evals.programs.checks import CheckLimits, CheckResult, CodeTests, Outcome
from evals.sandbox.judge import JOBS, OUT_OF_MEMORY
from evals.sandbox.warm import Dead, Ended, Warm
from evals.sandbox.zygote import BROKEN

LOOK_EVERY = 0.02
"""Seconds between two readings of what a check has used."""
MAX_THREADS = 64
JUDGE_MIB = 256
"""Memory of the tests' side beyond the program's limit, because it holds both what it sends and what comes back."""
MAX_VERDICT = 1 << 14
"""Bytes; the judge's messages are far shorter."""
LAST_WORDS = 0.5
"""Seconds a child has to end after its channel closed, before it is killed."""
NOT_THEIRS = "they wrote to the checker's own socket"
_TIMED = (signal.SIGXCPU, signal.SIGKILL)


class Worker:
    """A judge and a guest. Not for two threads at a time.

    Args:
        layer: "bubblewrap", "landlock" or "none".
        spawn: runs a function in a thread that lives as long as the processes must (the kernel ties `die with
            parent` to the thread that forked).

    Raises:
        SandboxError: the processes cannot be started.
    """

    def __init__(self, layer: str, spawn: Callable[[Callable[[], Warm]], Warm] = lambda start: start()) -> None:
        self._desk: socket.socket | None = None
        self._desk_limits: CheckLimits | None = None
        self.judge = spawn(lambda: Warm("judge", layer))
        try:
            self.guest = spawn(lambda: Warm("guest", layer))
        except SandboxError:
            self.judge.close()
            raise
        try:
            self.judge.await_ready()
            self.guest.await_ready()
        except SandboxError:
            self.close()
            raise

    def close(self) -> None:
        """End both processes."""
        if self._desk is not None:
            self._desk.close()
        self.judge.close()
        self.guest.close()

    def run(self, program: str, tests: CodeTests, limits: CheckLimits) -> CheckResult:
        """Check one program.

        Raises:
            DataError: the tests themselves are at fault.
            Dead: a warm process did not survive, or a child could not be put in its cage.
        """
        began = time.monotonic()
        job = json.dumps({"program": program, "tests": tests.as_dict()}).encode()
        channel, other_end = socket.socketpair()
        output, printed = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        try:
            with channel, other_end:
                self.guest.order(_limits(limits), [other_end.fileno(), printed])
                watch = _Watch(self.judge, self.guest, self._open_desk(limits), output, limits, began)
                watch.give(job, channel.fileno())
            os.close(printed)
            printed = -1
            try:
                verdict = watch.wait()
            finally:
                guest = watch.end()
            judge = self._settle(verdict, watch)
        finally:
            os.close(output)
            if printed >= 0:
                os.close(printed)
        by_clock = verdict is not None and "last" not in verdict
        if not guest.caged and not by_clock:  # when it timed out it may not have got that far, and nothing has run
            raise Dead("a child could not be put in its cage")
        return replace(
            _result(verdict, judge, guest, limits),
            weak=tests.weak,
            cpu_s=round(guest.cpu_s, 4),
            peak_mib=round(guest.peak_mib, 1),
            wall_s=round(time.monotonic() - began, 4),
        )

    def _open_desk(self, limits: CheckLimits) -> socket.socket:
        """The socket to the judge's current child; starts a new child if there is none."""
        if self._desk_limits != limits:
            self.rest()
        if self._desk is None:
            self._desk, theirs = socket.socketpair()
            self._desk_limits = limits
            with theirs:
                self.judge.order(_limits(limits, JUDGE_MIB, JOBS), [theirs.fileno()])
            self._desk.setblocking(False)
        return self._desk

    def _settle(self, verdict: dict[str, Any] | None, watch: _Watch) -> Ended | None:
        """After a check, end the judge's child unless it can do more; return how it ended, if it did."""
        if verdict is not None and verdict.get("last") is False:
            return None
        return self.rest(ended=self.judge in watch.ended)

    def rest(self, *, ended: bool = False) -> Ended | None:
        """Stop the judge's child, if there is one, unless it has ended; the next check gets a new one."""
        if self._desk is None:
            return None
        self._desk.close()
        self._desk = None
        if not ended:
            self.judge.stop()
        told = self.judge.report()
        if ended and not told.caged:
            raise Dead("a child could not be put in its cage")
        return told


def _limits(limits: CheckLimits, more_mib: int = 0, checks: int = 1) -> dict[str, Any]:
    return {"cpu_s": checks * limits.cpu_s, "memory_mib": limits.memory_mib + more_mib, "files": limits.files}


class _Watch:
    """Watches one check from the host."""

    def __init__(
        self, judge: Warm, guest: Warm, desk: socket.socket, output: int, limits: CheckLimits, began: float
    ) -> None:
        self.judge, self.guest, self.desk, self.output, self.limits = judge, guest, desk, output, limits
        self.began, self.deadline = began, began + limits.wall_s
        self.judge_before: float | None = None
        """CPU time of the judge's child at the first reading: it may have done other checks."""
        self.printed, self.said = 0, b""
        self.ended: dict[Warm, Ended] = {}
        self.watching = False
        self.poll = select.poll()
        for descriptor in (desk.fileno(), output, judge.link.fileno(), guest.link.fileno()):
            self.poll.register(descriptor, select.POLLIN)

    def give(self, job: bytes, channel: int) -> None:
        """Send the judge its job and the channel. It reads at once, so only a dead one can make this wait."""
        try:
            socket.send_fds(self.desk, [len(job).to_bytes(4, "big")], [channel])
        except OSError as error:
            raise Dead("the tests' process has ended") from error
        rest = memoryview(job)
        while rest:
            try:
                rest = rest[self.desk.send(rest) :]
            except BlockingIOError:
                if time.monotonic() > self.deadline:
                    return
                waiting = select.poll()
                waiting.register(self.desk, select.POLLOUT)
                waiting.poll(1000 * LOOK_EVERY)
            except OSError:
                return  # it died; `wait` will notice

    def wait(self) -> dict[str, Any] | None:
        """The judge's verdict, or one for an exceeded limit; None if the judge ended without a verdict."""
        grace = None
        while True:
            now = time.monotonic()
            if now >= self.deadline:
                return {"outcome": "timeout", "message": f"no verdict within {self.limits.wall_s:g} s"}
            for descriptor, _ in self.poll.poll(max(1, min(1000 * LOOK_EVERY, 1000 * (self.deadline - now)))):
                verdict = self._look(descriptor)
                if verdict is not None:
                    return verdict
            verdict = _verdict(self.said)
            if verdict is not None:
                grace = grace or now + LAST_WORDS
                if verdict["outcome"] != "crash" or self.guest in self.ended or now >= grace:
                    return verdict
            elif self.judge in self.ended:
                return None
            elif now - self.began >= LOOK_EVERY:
                used = self._used()
                if used is not None:
                    return used

    def end(self) -> Ended:
        """End the program's child and return what it used."""
        if self.guest not in self.ended:
            self.guest.stop()
        return self.ended.get(self.guest) or self.guest.report()

    def _look(self, descriptor: int) -> dict[str, str] | None:
        if descriptor == self.output:
            return self._drain()
        if descriptor == self.desk.fileno():
            try:
                part = self.desk.recv(1 << 16)
            except OSError:
                part = b""
            self.said += part
            if not part:
                self.poll.unregister(descriptor)
            return None
        warm = self.judge if descriptor == self.judge.link.fileno() else self.guest
        ended = warm.hear()
        if ended is not None:
            self.ended[warm] = ended
            self.poll.unregister(descriptor)
        return None

    def _drain(self) -> dict[str, str] | None:
        """Count what the program printed, and discard it."""
        for _ in range(16):
            try:
                part = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return None
            if not part:
                self.poll.unregister(self.output)
                return None
            self.printed += len(part)
            if self.printed > self.limits.output_bytes:
                return {"outcome": "output-limit", "message": f"more than {self.limits.output_bytes} bytes of output"}
        return None

    def _used(self) -> dict[str, str] | None:
        """Whether the program, or the tests over what it returned, have used more than they may."""
        if not self.watching:
            self.watching = True
            for warm in (self.judge, self.guest):
                if warm not in self.ended:
                    warm.watch()
            return None
        for warm in (self.guest, self.judge):
            used = None if warm in self.ended else warm.used()
            if used is None:
                continue
            cpu_s, threads = used
            if warm is self.judge:
                self.judge_before = cpu_s if self.judge_before is None else self.judge_before
                cpu_s -= self.judge_before
            if cpu_s > self.limits.cpu_s:
                return {"outcome": "timeout", "message": f"more than {self.limits.cpu_s:g} s of CPU time"}
            if threads > MAX_THREADS:
                return {"outcome": "forbidden", "message": f"more than {MAX_THREADS} threads"}
        return None


def _verdict(said: bytes) -> dict[str, Any] | None:
    """The verdict in what came from the judge's child, where the tests may have written too; None if it is not all."""
    if len(said) > MAX_VERDICT:
        return {"outcome": "tests", "message": NOT_THEIRS}
    if not said.endswith(b"\n"):
        return None
    try:
        match json.loads(said):
            case {"outcome": str(outcome), "message": str(message), "last": bool(last)}:
                return {"outcome": outcome, "message": message, "last": last}
    except (ValueError, RecursionError):
        pass  # no JSON, so no verdict either
    return {"outcome": "tests", "message": NOT_THEIRS}


def _result(verdict: dict[str, Any] | None, judge: Ended | None, guest: Ended, limits: CheckLimits) -> CheckResult:
    if verdict is None:
        assert judge is not None
        if judge.exit == OUT_OF_MEMORY:
            return CheckResult("memory", message="the tests ran out of memory over what the program returned")
        if judge.signal or judge.exit == BROKEN:
            raise Dead(f"the tests' process ended with status {judge.exit}")
        outcome, message = "tests", f"they ended their own process, with status {judge.exit}"
    else:
        outcome, message = verdict["outcome"], verdict["message"]
    if outcome == "tests":
        raise DataError(f"tests: {message}", "Correct the test code, or the names that the program must define.")
    if outcome == "crash":
        return _crash(guest, limits)
    outcomes: tuple[Outcome, ...] = get_args(Outcome)
    if outcome not in outcomes:
        raise Dead(f"the tests' process told of an outcome {outcome!r}")
    return CheckResult(outcomes[outcomes.index(outcome)], message=message)


def _crash(guest: Ended, limits: CheckLimits) -> CheckResult:
    """The result for a program whose process ended before its tests did."""
    if guest.signal in _TIMED and guest.cpu_s >= limits.cpu_s:
        return CheckResult("timeout", message=f"more than {limits.cpu_s:g} s of CPU time")
    if guest.signal == signal.SIGSYS:
        return CheckResult("forbidden", message="a system call of another architecture")
    if guest.signal:
        return CheckResult("crash", message=f"ended by {signal.Signals(guest.signal).name}")
    return CheckResult("crash", message=f"ended early with status {guest.exit}")
