"""At the end of a run, one line says how many tests were skipped and why:

8 skipped: bubblewrap is not installed (apt-get install bubblewrap) 6; this kernel has no landlock 2
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any

import pytest


def pytest_configure() -> None:
    """A shell ignores SIGINT in what it runs in the background; the commands that tests start must not inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Write the line below all else that is said at the end, so that only pytest's own closing line follows."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line(summary(reason(report) for report in skipped))


def reason(report: Any) -> str:
    """Why a test was skipped; with pytest-xdist the report comes from another process, as plain data."""
    told = report.longrepr
    return (told[2] if isinstance(told, tuple | list) else str(told)).removeprefix("Skipped: ")


def summary(reasons: Iterable[str]) -> str:
    """All reasons in one line, the commonest first."""
    counts = Counter(reasons)
    return f"{counts.total()} skipped: " + "; ".join(f"{why} {n}" for why, n in counts.most_common())
