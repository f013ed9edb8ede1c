"""Signals set a flag, and break off at once only what never looks at it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from evals.errors import Interrupted
from stages.files.interrupts import StopFlag, catching_signals, signals_interrupt

KINDS = pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)]
)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def wait_after(number: int) -> None:
    send(number)
    time.sleep(20)


def broken_off(error: type[BaseException], load: Callable[[StopFlag], None]) -> None:
    """Load something at once, which must end in the error."""
    with catching_signals() as flag, pytest.raises(error), flag.at_once():
        load(flag)


@KINDS
def test_work_ends_where_it_looks(number: int, error: type[BaseException]) -> None:
    with catching_signals() as flag:
        send(number)
        assert flag.requested
        with pytest.raises(error):
            flag.check()


@KINDS
def test_loading_is_broken_off(number: int, error: type[BaseException]) -> None:
    waited = []

    def load(_: StopFlag) -> None:
        wait_after(number)
        waited.append(True)

    broken_off(error, load)
    assert not waited


@KINDS
def test_a_library_that_makes_another_error_of_it_does_not_hide_it(number: int, error: type[BaseException]) -> None:
    def load(_: StopFlag) -> None:
        try:
            wait_after(number)
        except BaseException as cause:
            raise ImportError("could not import") from cause

    broken_off(error, load)


@KINDS
def test_a_library_that_swallows_it_does_not_hide_it(number: int, error: type[BaseException]) -> None:
    loaded = []

    def load(_: StopFlag) -> None:
        with suppress(BaseException):
            wait_after(number)
        loaded.append(True)

    broken_off(error, load)
    assert loaded


@KINDS
def test_work_inside_what_is_broken_off_looks_again(number: int, error: type[BaseException]) -> None:
    steps = []

    def load(flag: StopFlag) -> None:
        with flag.at_leisure():
            send(number)
            steps.append("done")
        steps.append("saved")

    broken_off(error, load)
    assert steps == ["done", "saved"]


def test_ctrl_c_twice_does_not_wait() -> None:
    with catching_signals():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_an_error_of_its_own_stays_what_it_is() -> None:
    with catching_signals() as flag, pytest.raises(ImportError, match="mine"), flag.at_once():
        raise ImportError("mine")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("phase", ["it imports", "it loads", "it works"])
@KINDS
def test_a_signal_that_a_finalizer_swallows_is_still_heard_and_leaves_no_traceback(
    number: int, error: type[BaseException], phase: str
) -> None:
    told: list[object] = []

    class Finalized:
        def __del__(self) -> None:
            wait_after(number)

    def imports() -> None:
        with signals_interrupt():
            Finalized()
            time.sleep(20)
            told.append("it went on importing")

    def loads() -> None:
        with signals_interrupt(), catching_signals() as flag, flag.at_once():
            Finalized()
            time.sleep(20)
            told.append("it went on loading")

    def works() -> None:
        with signals_interrupt():
            Finalized()
            with catching_signals() as flag:
                flag.check()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", told.append)
        with pytest.raises(error):
            {"it imports": imports, "it loads": loads, "it works": works}[phase]()
    assert not told


@KINDS
def test_an_import_that_a_signal_broke_and_fails_later_ends_as_the_signal_says(
    number: int, error: type[BaseException]
) -> None:
    def imported() -> None:
        with suppress(BaseException):  # as a library does that takes any failure for a missing package
            wait_after(number)
        raise ImportError("could not import")

    with pytest.raises(error), signals_interrupt():
        imported()


def test_sigterm_that_comes_twice_ends_as_one_does() -> None:
    cleaned = []

    def twice(_: StopFlag | None = None) -> None:
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGTERM)
            cleaned.append(True)

    with pytest.raises(Interrupted), signals_interrupt():
        twice()
    broken_off(Interrupted, twice)
    assert cleaned == [True, True]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes modules that can be imported, and forgets them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name: str, text: str) -> None:
        names.append(name)
        (tmp_path / f"{name}.py").write_text(text)

    time.sleep(0.05)  # an interruption that an earlier test did not wait for
    finders = list(sys.meta_path)
    yield write
    assert sys.meta_path == finders
    for name in names:
        sys.modules.pop(name, None)


SENDS = "import os, signal, time\ndone = []\nos.kill(os.getpid(), signal.{})\ndone.append('started')\n"


@KINDS
@pytest.mark.parametrize("phase", ["it imports", "it loads"])
def test_a_module_is_not_broken_off_but_the_next_import_statement_is(
    number: signal.Signals, error: type[BaseException], phase: str, modules: Callable[[str, str], None], tmp_path: Path
) -> None:
    tell = f"import pathlib\npathlib.Path({str(tmp_path)!r}, '%s').touch()\n"
    modules("sending", SENDS.format(number.name) + tell % "started" + "import imported\n" + tell % "went-on")
    modules("imported", tell % "imported")

    def load(_: StopFlag | None = None) -> None:
        importlib.import_module("sending")

    if phase == "it loads":
        broken_off(error, load)
    else:
        with pytest.raises(error), signals_interrupt():
            load()
    assert (tmp_path / "started").exists()
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "went-on").exists()


@KINDS
def test_what_an_extension_module_imports_is_not_broken_off(
    number: signal.Signals, error: type[BaseException], modules: Callable[[str, str], None]
) -> None:
    modules(
        "sending", f"{SENDS.format(number.name)}imported = __import__('imported')\n"
    )  # as C code does: no statement
    modules("imported", "")
    imported = []

    def load() -> None:
        imported.append(importlib.import_module("sending").imported)
        time.sleep(20)
        imported.append("nothing stopped it")

    with pytest.raises(error), signals_interrupt():
        load()
    assert imported == [sys.modules["imported"]]


def test_ctrl_c_twice_does_not_wait_for_an_import(modules: Callable[[str, str], None]) -> None:
    modules("sending", SENDS.format("SIGINT") + "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(20)\n")
    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        importlib.import_module("sending")
    time.sleep(0.05)  # what was still to come has nobody left to interrupt
    with suppress(ModuleNotFoundError):
        importlib.import_module("no_such_module")
