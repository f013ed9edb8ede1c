"""How a run is asked to stop: signals set a flag, which the run checks where stopping is safe.

with catching_signals() as flag:
    asyncio.run(run_lines(..., flag=flag))
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from evals.errors import Interrupted

RUN_AGAIN = "Run the same command again: it resumes from here."
NOTHING_WRITTEN = "Nothing was written."
AGAIN = 0.01
"""Seconds until a finalizer that swallowed an interruption is over."""


class _StopNow(BaseException):
    """Raised out of the code that is running. Not an Exception, so no library takes it for a failure of its own."""


class SignalsNoted:
    """A handler that interrupts the running code, and remembers the signal in case a library swallows the exception."""

    def __init__(self) -> None:
        self.noted: signal.Signals | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Interrupt on the first signal, and on every SIGINT. Another SIGTERM, during the shutdown, changes nothing."""
        first = self.noted is None
        if first:
            self.noted = signal.Signals(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        if first:
            raise _StopNow

    def again(self) -> None:
        """Interrupt once more, since a finalizer swallowed what was raised."""
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
            _interrupt_again()

    return hook


def _interrupt_again() -> None:
    """Let the handler of SIGTERM interrupt again as soon as the finalizer is over."""

    def ring(_number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_globals is globals():  # the hook is still at work, and would swallow it too
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        signal.signal(signal.SIGALRM, before)
        handler = signal.getsignal(signal.SIGTERM)
        if isinstance(handler, SignalsNoted | _Flagging):
            handler.again()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, AGAIN)


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

    def heard(self, number: signal.Signals) -> None:
        """Handle a signal: ask for the stop, and interrupt at once inside `at_once`.

        Only the first one interrupts: job schedulers and launchers send SIGTERM twice, and the shutdown must not be
        interrupted.
        """
        first, again = self.reason is None, number == signal.SIGINT and self.reason == signal.SIGINT
        self.request(number)
        if again:
            raise KeyboardInterrupt
        if first and self._at_once:
            raise _StopNow


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

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self._flag.heard(signal.Signals(number))

    def again(self) -> None:
        """Interrupt once more, if that is still asked for."""
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
