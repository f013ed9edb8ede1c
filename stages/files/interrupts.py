"""How a run is told to stop: signals set a flag, and the run looks at it where stopping is safe.

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

RUN_AGAIN = "Run the same command again: it goes on from here."


class _StopNow(BaseException):
    """Raised out of whatever runs; no Exception, so that no library takes it for a failure of its own."""


class SigtermNoted:
    """A handler that breaks off whatever runs, and remembers the signal in case a library swallows what it raises."""

    def __init__(self) -> None:
        self.noted = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """SIGTERM has come. One that comes again, on the way out, changes nothing."""
        if not self.noted:
            self.noted = True
            raise _StopNow


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Make SIGTERM an `Interrupted` wherever `catching_signals` does not heed it (while a module is imported, say).

    Raises:
        Interrupted: SIGTERM has come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = SigtermNoted()
    before = signal.signal(signal.SIGTERM, handler)
    tell, sys.unraisablehook = sys.unraisablehook, _untold(sys.unraisablehook)
    try:
        yield
    except BaseException as error:
        if not handler.noted or isinstance(error, Interrupted):
            raise
        raise Interrupted("stopped by SIGTERM", RUN_AGAIN) from error
    finally:
        sys.unraisablehook = tell
        signal.signal(signal.SIGTERM, before)


def _untold(tell: Callable[[Any], Any]) -> Callable[[Any], None]:
    """The hook without what was raised here: in a finalizer nothing comes of it but a traceback on stderr."""

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, _StopNow):
            tell(unraisable)

    return hook


class StopFlag:
    """Whether the run was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.reason: signal.Signals | None = None
        self._at_once = False

    @property
    def requested(self) -> bool:
        """True once a signal has come."""
        return self.reason is not None

    def request(self, reason: signal.Signals) -> None:
        """Ask the run to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            Interrupted: after SIGTERM.
            KeyboardInterrupt: after SIGINT.
        """
        if self.reason is None:
            return
        if self.reason == signal.SIGINT:
            raise KeyboardInterrupt
        raise Interrupted(f"stopped by {self.reason.name}", RUN_AGAIN)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Stop at once when asked to, not at the next look: for the minutes in which libraries and weights are loaded.

        Raises:
            Interrupted, KeyboardInterrupt: as `check`.
        """
        before, self._at_once = self._at_once, True
        try:
            self.check()
            yield
        except BaseException:
            self.check()  # whatever a library made of it
            raise
        finally:
            self._at_once = before
        self.check()

    @contextmanager
    def at_leisure(self) -> Iterator[None]:
        """Inside `at_once`: stop at the next look again, because the work has begun."""
        before, self._at_once = self._at_once, False
        try:
            yield
        finally:
            self._at_once = before

    def heard(self, number: signal.Signals) -> None:
        """A signal has come: ask for the stop, and interrupt where that is wanted.

        Only the first one interrupts: schedulers and launchers send SIGTERM twice, and the way out must not be broken
        off.
        """
        first, again = self.reason is None, number == signal.SIGINT and self.reason == signal.SIGINT
        self.request(number)
        if again:
            raise KeyboardInterrupt
        if first and self._at_once:
            raise _StopNow


@contextmanager
def catching_signals() -> Iterator[StopFlag]:
    """Turn SIGTERM and SIGINT into a flag while the block runs; a second SIGINT raises KeyboardInterrupt at once.

    Only the main thread can catch signals: elsewhere the flag is never set. It is set from the start where the handler
    before, a `SigtermNoted`, has noted a SIGTERM that got lost.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        flag.heard(signal.Signals(number))

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    earlier = before[signal.SIGTERM]
    if isinstance(earlier, SigtermNoted) and earlier.noted:  # it came during an import that made nothing of it
        flag.request(signal.SIGTERM)
    for number in before:
        signal.signal(number, handle)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            # None: the handler before was not set from Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
