"""How a run is asked to stop: signals set a flag, which the run checks where stopping is safe.

with catching_signals() as flag:
    asyncio.run(run_lines(..., flag=flag))
"""

from __future__ import annotations

import dis
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

from evals.errors import Interrupted

RUN_AGAIN = "Run the same command again: it resumes from here."
NOTHING_WRITTEN = "Nothing was written."
SOON = 0.01
"""Seconds until it is looked again whether the running code can be interrupted."""
IMPORT = dis.opmap["IMPORT_NAME"]
IMPORTING = ("importlib._bootstrap", "importlib._bootstrap_external")
STARTS = ("create_module", "exec_module")
"""What has an extension module start, right before what it imports."""


class _StopNow(BaseException):
    """Raised out of the code that is running. Not an Exception, so no library takes it for a failure of its own."""


class SignalsNoted:
    """A handler that interrupts the running code, and remembers the signal in case a library swallows the exception."""

    def __init__(self) -> None:
        self.noted: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Interrupt on the first signal, and on every SIGINT. Another SIGTERM, during the shutdown, changes nothing."""
        first = self.noted is None
        if first:
            self.noted = signal.Signals(number)
            _interrupt(self, frame)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def interrupt(self) -> None:
        """Raise what was noted."""
        if self.noted is not None:
            raise KeyboardInterrupt if self.noted == signal.SIGINT else _StopNow


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Interrupt at once on SIGTERM and SIGINT where `catching_signals` is not active (while a module is imported).

    Raises:
        Interrupted: SIGTERM was received.
        KeyboardInterrupt: SIGINT was received, even where a library made another error of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = SignalsNoted()
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    tell, sys.unraisablehook = sys.unraisablehook, _untold(sys.unraisablehook)
    try:
        yield
    except BaseException as error:
        if handler.noted is None or isinstance(error, Interrupted | KeyboardInterrupt):
            raise
        raise _stopped_by(handler.noted) from error
    finally:
        sys.unraisablehook = tell
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def _stopped_by(number: signal.Signals) -> BaseException:
    """SIGINT stays a KeyboardInterrupt, which may carry an advice as `Interrupted` does."""
    if number == signal.SIGINT:
        return KeyboardInterrupt(RUN_AGAIN)
    return Interrupted(f"stopped by {number.name}", RUN_AGAIN)


def _untold(tell: Callable[[Any], Any]) -> Callable[[Any], None]:
    """The hook, which has what the handlers raise raised again: a finalizer swallows it, and prints a traceback."""

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, _StopNow | KeyboardInterrupt):
            tell(unraisable)
        elif threading.current_thread() is threading.main_thread():
            _interrupt_soon()

    return hook


def _interrupt(handler: SignalsNoted | _Flagging, frame: FrameType | None) -> None:
    """Interrupt the running code, or as soon as that is possible where it is importing a module."""
    if _importing(frame):
        _interrupt_soon()
    else:
        handler.interrupt()


def _interrupt_soon() -> None:
    """Have the handler of SIGTERM interrupt at the next import statement, or once nothing is imported any more.

    Not before: what an extension module runs while it starts must not raise. pybind11 ends the process if it does, as
    happens while torch.distributed is imported.
    """

    def interrupt() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not at_import]
        handler = signal.getsignal(signal.SIGTERM)
        if isinstance(handler, SignalsNoted | _Flagging):
            handler.interrupt()

    def ring(_number: int, frame: FrameType | None) -> None:
        # the hook of a finalizer that is still at work would swallow it too
        if _importing(frame) or (frame is not None and frame.f_globals is globals()):
            signal.setitimer(signal.ITIMER_REAL, SOON)
        else:
            interrupt()

    if any(isinstance(finder, _AtImport) for finder in sys.meta_path):
        return
    at_import = _AtImport(interrupt)
    sys.meta_path.insert(0, at_import)
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SOON)


class _AtImport(MetaPathFinder):
    """Finds no module, and interrupts where Python code imports one."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt

    def find_spec(self, *_: Any) -> None:
        """Called for every module that is not imported yet."""
        if threading.current_thread() is threading.main_thread() and not _imported_by_extension(sys._getframe(1)):
            self._interrupt()


def _imported_by_extension(frame: FrameType | None) -> bool:
    """Whether an extension module asked for an import under way. Such a module may end the process, or go on."""
    while frame is not None:
        asking = frame.f_back
        if asking is not None and frame.f_code.co_name == "_find_and_load":
            if asking.f_globals.get("__name__") not in IMPORTING:
                if asking.f_code.co_code[asking.f_lasti] != IMPORT:
                    return True
            elif asking.f_back is not None and asking.f_back.f_code.co_name in STARTS:
                return True
        frame = asking
    return False


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in IMPORTING:
            return True
        frame = frame.f_back
    return False


class StopFlag:
    """Whether the run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.reason: signal.Signals | None = None
        self._at_once = False

    @property
    def requested(self) -> bool:
        """True once a signal was received."""
        return self.reason is not None

    @property
    def interrupting(self) -> bool:
        """True where the run was asked to stop and is to stop at once."""
        return self.requested and self._at_once

    def request(self, reason: signal.Signals) -> None:
        """Ask the run to stop; the first reason is kept."""
        if self.reason is None:
            self.reason = reason

    def check(self) -> None:
        """Stop here if a signal asked for it.

        Raises:
            Interrupted: after SIGTERM.
            KeyboardInterrupt: after SIGINT.
        """
        if self.reason is not None:
            raise _stopped_by(self.reason)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Stop at once when asked to, not at the next check: for the minutes it takes to load libraries and weights.

        Raises:
            Interrupted, KeyboardInterrupt: as `check`.
        """
        before, self._at_once = self._at_once, True
        try:
            self.check()
            yield
        except BaseException:
            self.check()  # a library may have turned it into an error of its own
            raise
        finally:
            self._at_once = before
        self.check()

    @contextmanager
    def at_leisure(self) -> Iterator[None]:
        """Inside `at_once`: stop at the next check again, because the work has begun."""
        before, self._at_once = self._at_once, False
        try:
            yield
        finally:
            self._at_once = before

    def heard(self, number: signal.Signals) -> bool:
        """Handle a signal: ask for the stop. True where it is to interrupt at once, as the first one inside `at_once`.

        Only the first one interrupts: job schedulers and launchers send SIGTERM twice, and the shutdown must not be
        interrupted.

        Raises:
            KeyboardInterrupt: SIGINT for the second time.
        """
        first, again = self.reason is None, number == signal.SIGINT and self.reason == signal.SIGINT
        self.request(number)
        if again:
            raise KeyboardInterrupt
        return first and self._at_once


@contextmanager
def nothing_to_resume() -> Iterator[None]:
    """Say of work that writes nothing, when it is interrupted, that nothing was written.

    Raises:
        Interrupted, KeyboardInterrupt: as the work does, with that advice.
    """
    try:
        yield
    except Interrupted as error:
        raise Interrupted(error.message, NOTHING_WRITTEN) from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(NOTHING_WRITTEN) from error


class _Flagging:
    """The handler that sets a flag."""

    def __init__(self, flag: StopFlag) -> None:
        self._flag = flag

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._flag.heard(signal.Signals(number)):
            _interrupt(self, frame)

    def interrupt(self) -> None:
        """Break off the running code, if that is still asked for."""
        if self._flag.interrupting:
            raise _StopNow


@contextmanager
def catching_signals() -> Iterator[StopFlag]:
    """Turn SIGTERM and SIGINT into a flag while the block runs; a second SIGINT raises KeyboardInterrupt at once.

    Only the main thread can catch signals: elsewhere the flag is never set. It is set from the start if the previous
    handler, a `SignalsNoted`, has noted a signal that a library swallowed.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    handle = _Flagging(flag)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    earlier = before[signal.SIGTERM]
    if isinstance(earlier, SignalsNoted) and earlier.noted is not None:  # an import swallowed it
        flag.request(earlier.noted)
    for number in before:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            # None: the previous handler was not set from Python and cannot be restored
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
