"""At the end of a run, one line says how many tests were skipped and why:

8 skipped: bubblewrap is not installed (apt-get install bubblewrap) 6; this kernel has no landlock 2

Modules that have been imported stay, so the garbage collector no longer looks at them. The model libraries are 400,000
objects; looking through these takes half a second, a fifth of their import and a third of a small training run.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest


def pytest_configure() -> None:
    """A shell ignores SIGINT in what it runs in the background; the commands that tests start must not inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders with long files come first, so that the processes of a run end together: a file is run by one of them."""
    first = [Path(__file__).parent / name for name in ("launched", "sipf_cli", "stages", "docs", "evals/sandbox")]
    items.sort(key=lambda item: [folder not in item.path.parents for folder in first])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Most libraries are imported here."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        spare_modules()


def pytest_runtest_teardown() -> None:
    """Libraries may also be imported by a test."""
    spare_modules()


_spared: set[str] = set()


def spare_modules() -> None:
    """If many modules are new, take them and all else that is alive out of the collector's sight."""
    if len(sys.modules) > len(_spared) + 100:
        _spared.update(sys.modules)
        gc.collect()
        gc.freeze()


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
