"""The code checker: says whether a program passes its tests, without ever trusting the program.

    with Checker() as checker:
        checker.check("def add(a, b):\\n    return a + b", CodeTests("assert add(1, 2) == 3", ("add",)))
    # CheckResult(outcome="passed", weak=False, cpu_s=0.003, wall_s=0.006, peak_mib=21.4, message="", rerun=False)

Two processes take part in a check. The program alone runs in one (guest.py); the data set's test code runs in the other
(judge.py) and calls the program through a proxy. Only plain data crosses between them (wire.py). A verdict of "passed"
means that the test code ran to its end in its own process, so a program cannot print, raise, overwrite or exit its way
to it. Both are forked from warm processes (zygote.py), the program's anew for each check. Each has its own cage:
bubblewrap, landlock, seccomp and limits if bubblewrap works, else landlock, seccomp and limits. If neither works,
nothing runs unless `unsafe` is set.

What this does not cover:
- Bugs in the kernel. The program talks to the real one, through about 70 system calls. For programs from people who
  have a reason to attack you, use a virtual machine.
- Side channels. A program can measure time, and through it the caches and the load of the machine.
- Knowledge. A program may return from memory what these tests expect, or recompute the answer in any way it likes.
- Weak results (`CheckResult.weak`): program and tests share a process, so a program written for the purpose can pass.
- Identity. What a program returns is a copy, except an argument itself, so tests with `is` on the parts of a result, or
  on what a container that is no list holds, cannot tell a copy from the original.
- A program can return values so large or so deep that the tests cannot hand them back to it; its problem is then
  reported as one whose tests are at fault.
- An exception of the program ends the check, unless the tests have `try`, `with` or `assertRaises` in them; where they
  have, Python itself may swallow it, as `getattr` with a default does.
- In a container that has one user only, a program is root by name, without a capability.
- Landlock alone does not hide that a file exists, how large it is or who owns it; bubblewrap does, and so does the root
  folder that processes started by root get. It guards signals and abstract sockets from Linux 6.12 on; on older kernels
  only the filter of system calls does.
- With `unsafe` and no sandbox, only the limits hold: a program can do nearly anything that this user can.
- Memory is limited per process (address space), not per control group. Between two checks, 20 ms apart, a program can
  start more than the 64 threads it may have.
- Programs may use the parts of Python's standard library that work without files, processes and network, and no
  installed package.
- The test code is trusted to be honest about its verdict, and not to change the verdicts of the next tests: up to 16
  checks share a process. It runs in the same kind of cage, so a file of problems from elsewhere cannot harm the machine
  through its tests.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from evals.errors import DataError, SandboxError
from evals.programs.checks import DEFAULT_LIMITS, CheckLimits, CheckResult, CodeTests
from evals.sandbox import landlock, probes, seccomp
from evals.sandbox.warm import Dead, Warm
from evals.sandbox.worker import Worker

Layer = Literal["auto", "bubblewrap", "landlock", "none"]
LAYERS: tuple[Layer, ...] = ("bubblewrap", "landlock")
"""Strongest first."""
MAX_PROGRAM = 1 << 20
"""Bytes of a program; models write a few thousand."""


class Checker:
    """Checks programs, several at a time; safe to use from many threads.

    Args:
        workers: checks that run at once; the number of this process's cores by default. Started when needed.
        limits: what one check may take.
        layer: the sandbox: "bubblewrap", "landlock", or "auto" for the first that works. "none" needs `unsafe`.
        unsafe: if no sandbox works, run programs with limits alone instead of refusing.
        rerun: whether a program that timed out is run again, alone, before the timeout counts.

    Raises:
        SandboxError: no sandbox works on this machine, or not the one asked for.
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: CheckLimits = DEFAULT_LIMITS,
        layer: Layer = "auto",
        unsafe: bool = False,
        rerun: bool = True,
    ) -> None:
        self.rerun = rerun
        self.workers = workers if workers is not None else len(os.sched_getaffinity(0))
        self.limits = limits
        self._gate = _Gate(self.workers)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._closed = False
        self._spawner = ThreadPoolExecutor(1, "sandbox")
        try:
            self.layer, first = self._first(layer, unsafe)
        except BaseException:
            self._spawner.shutdown()
            raise
        self._idle.append(first)

    def check(self, program: str, tests: CodeTests) -> CheckResult:
        """Run a program against its tests; waits for a free worker.

        A program that times out while other checks are running is run again, alone, before the timeout counts.

        Raises:
            DataError: the test code itself is at fault.
            SandboxError: the sandbox does not work, so there is no verdict.
        """
        if len(program.encode("utf-8", "surrogatepass")) > MAX_PROGRAM:
            return CheckResult("syntax", weak=tests.weak, message=f"a program of more than {MAX_PROGRAM} bytes")
        with self._gate.beside():
            result = self._run(program, tests)
        if result.outcome == "timeout" and self.rerun:
            with self._gate.alone():
                result = replace(self._run(program, tests), rerun=True)
        return result

    def close(self) -> None:
        """End the warm processes; running checks still finish."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
        self._spawner.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, program: str, tests: CodeTests) -> CheckResult:
        """One run. A warm process that dies is replaced once; a second death is an error, never a verdict."""
        for _ in range(2):
            worker = self._take()
            try:
                result = worker.run(program, tests, self.limits)
            except Dead as error:
                worker.close()
                said = str(error) or "a warm process died"
            except DataError:
                self._give(worker)
                raise
            except BaseException:  # an interruption may have left a child behind
                worker.close()
                raise
            else:
                self._give(worker)
                return result
        raise SandboxError(
            f"the sandbox broke twice over one program: {said}", "See `sipf doctor`. Is the machine out of memory?"
        )

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise SandboxError("the checker is closed")
            if self._idle:
                return self._idle.pop()
        return self._start(self.layer)

    def _give(self, worker: Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.close()

    def _start(self, layer: Layer) -> Worker:
        # The thread that starts a process must outlive it: see Worker.
        def spawn(start: Callable[[], Warm]) -> Warm:
            return self._spawner.submit(start).result()

        try:
            return Worker(layer, spawn)
        except RuntimeError as error:  # the spawner has been shut down: this program is ending
            raise SandboxError("the checker is closed") from error

    def _first(self, layer: Layer, unsafe: bool) -> tuple[Layer, Worker]:
        """The layer to use and its first worker."""
        if layer == "none" and not unsafe:
            raise SandboxError(
                "running programs without a sandbox was not allowed", "Add --unsafe-exec if you mean it."
            )
        why = []
        for name in LAYERS if layer == "auto" else (layer,):
            try:
                worker = self._start(name)
            except SandboxError as error:
                why.append(error.message)
                continue
            leaks = probes.leaks(worker) if name != "none" else []
            if not leaks:
                return name, worker
            worker.close()
            why.append(f"{name}: it does not hold: {', '.join(leaks)}")
        if layer == "auto" and unsafe:
            return "none", self._start("none")
        raise SandboxError(f"no sandbox works here: {'; '.join(why)}", advice())


def advice() -> str:
    """What to do if no sandbox works."""
    if not seccomp.supported():
        return "Code tasks need Linux on x86_64 or aarch64. Use such a machine or container."
    if not landlock.abi():
        return "Install bubblewrap, or use Linux 5.13 or newer with landlock. --unsafe-exec runs code unguarded."
    return "Install bubblewrap (apt-get install bubblewrap). --unsafe-exec runs code unguarded."


class _Gate:
    """Admits checks: up to `places` at once, or one alone. A check that needs to be alone goes first."""

    def __init__(self, places: int) -> None:
        self._places, self._inside, self._waiting = places, 0, 0
        self._alone = False
        self._changed = threading.Condition()

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting and self._inside < self._places)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._inside)
            finally:
                self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
