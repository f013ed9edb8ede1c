"""How the program ends: the exit code of the error's class, one line for an expected error, a traceback for a bug."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from evals import errors
from evals.errors import Interrupted

SCRIPT = """
import sys
import typer
from evals import errors
from evals.errors import Interrupted
from sipf_cli import app as framework, main
from sipf_cli.configuration import Config, Debug
from sipf_cli.generated import new_app

fake = new_app()

@fake.command()
def merge(config: Config = None, debug: Debug = False) -> None:
    {body}

framework.LazyCommand.load = lambda self: typer.main.get_command(fake)
main.main()
"""


def command(tmp_path: Path, body: str, *arguments: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(SCRIPT.format(body=body), encoding="utf-8")
    return [sys.executable, str(path), *arguments]


def run(tmp_path: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = command(tmp_path, body, *(arguments or ("merge",)))
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


TABLE = [
    (errors.UsageError, 2),
    (errors.DataError, 3),
    (errors.ModelError, 4),
    (errors.SandboxError, 5),
    (errors.SomeFailed, 6),
    (errors.Interrupted, 75),
]


def test_the_table_is_complete() -> None:
    assert {error for error, _ in TABLE} == set(errors.SipfError.__subclasses__())


@pytest.mark.parametrize(("error", "code"), TABLE)
def test_an_expected_error_is_one_line_with_advice(tmp_path: Path, error: type[errors.SipfError], code: int) -> None:
    result = run(tmp_path, f"raise errors.{error.__name__}('it is broken', 'mend it')")
    assert result.returncode == code
    assert result.stderr == "sipf: it is broken\n      mend it\n"
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [("merge", "--debug"), ("--debug", "merge")])
def test_debug_shows_the_traceback_of_an_expected_error(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = run(tmp_path, "raise errors.DataError('it is broken')", *arguments)
    assert result.returncode == 3
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("sipf: it is broken\n")


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    result = run(tmp_path, "raise ZeroDivisionError('oh')")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError: oh" in result.stderr


def test_wrong_usage_ends_with_2(tmp_path: Path) -> None:
    assert run(tmp_path, "pass", "merge", "--no-such-option").returncode == 2
    assert run(tmp_path, "pass", "mrege").returncode == 2
    assert run(tmp_path, "pass", "mrege").stderr.count("'merge'") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_signals_end_the_program_with_their_code(tmp_path: Path, number: signal.Signals, code: int) -> None:
    line = command(tmp_path, "print('ready', flush=True); import time; time.sleep(50); print('waited')", "merge")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, told = process.communicate(timeout=60)
    assert process.returncode == code
    assert "waited" not in out
    assert "Traceback" not in told


def test_a_sigterm_that_an_import_swallowed_still_ends_the_stage() -> None:
    from stages.files.interrupts import catching_signals, signals_interrupt

    def stage() -> None:
        with signals_interrupt():
            with suppress(BaseException):
                os.kill(os.getpid(), signal.SIGTERM)
            with catching_signals() as flag:
                flag.check()

    with pytest.raises(Interrupted):
        stage()
