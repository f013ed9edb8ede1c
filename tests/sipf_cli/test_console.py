"""What a person sees, on a terminal and where there is none."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
import threading
from typing import Any

import pytest

from sipf_cli.console import Reporter, Table, emit, render


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_every_ten_seconds_and_once_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    reporter = Reporter(stream, clock)
    reporter.start("simulate", total=60, done=10)
    for _ in range(50):
        clock.now += 0.5
        reporter.advance(tokens=100)
    reporter.finish()
    lines = stream.getvalue().splitlines()
    assert lines == [
        "simulate: 30/60 problems, 2.0/s, 200 tokens/s, about 0:15 left",
        "simulate: 50/60 problems, 2.0/s, 200 tokens/s, about 0:05 left",
        "simulate: 60/60 problems, 2.0/s, 200 tokens/s, took 0:25",
    ]


def test_an_unknown_total_is_no_obstacle() -> None:
    stream, clock = io.StringIO(), Clock()
    reporter = Reporter(stream, clock)
    reporter.start("sample", total=None)
    clock.now += 11
    reporter.advance()
    assert stream.getvalue() == "sample: 1 problems, 0.1/s, 0:11 so far\n"


def test_a_redirected_stream_gets_no_escape_codes_and_no_bar() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.start("score", total=2)
    reporter.warn("line 3 [bold]has[/bold] no paths")
    reporter.advance()
    reporter.advance()
    reporter.finish()
    assert "\x1b" not in stream.getvalue()
    assert "━" not in stream.getvalue()
    assert stream.getvalue().startswith("sipf: warning: line 3 [bold]has[/bold] no paths\n")


def test_finish_may_come_twice_or_without_a_start() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.finish()
    reporter.start("score", total=0)
    reporter.finish()
    reporter.finish()
    assert stream.getvalue().count("score") == 1


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, **env: str) -> str:
    """Everything a small run writes to a pseudo-terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm", "COLUMNS": "120"} | env).items():
        monkeypatch.setenv(name, value)
    outer, inner = pty.openpty()
    written: list[bytes] = []
    reader = threading.Thread(target=lambda: _drain(outer, written))
    reader.start()
    with os.fdopen(inner, "w", encoding="utf-8") as stream:
        reporter = Reporter(stream)
        reporter.start("sample", total=2)
        reporter.warn("a [word] of warning")
        reporter.advance(tokens=5)
        reporter.advance(tokens=5)
        reporter.finish()
    reader.join(timeout=60)
    os.close(outer)
    return b"".join(written).decode()


def _drain(descriptor: int, into: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(descriptor, 4096)
        except OSError:  # the other side is closed
            return
        if not chunk:
            return
        into.append(chunk)


def test_a_terminal_gets_a_bar_that_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_a_terminal(monkeypatch)
    assert "━" in text
    assert "2/2" in text
    assert "tokens/s" in text
    assert "a [word] of warning" in text


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[33m" in on_a_terminal(monkeypatch)
    assert "\x1b[33m" not in on_a_terminal(monkeypatch, NO_COLOR="1")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("data_on_stdout", [True, False])
def test_the_summary_stays_away_from_the_data(capsys: Any, as_json: bool, data_on_stdout: bool) -> None:
    emit({"lines": 3, "dropped": {"bad": 1}}, json=as_json, data_on_stdout=data_on_stdout)
    captured = capsys.readouterr()
    shown, empty = (captured.err, captured.out) if data_on_stdout else (captured.out, captured.err)
    assert empty == ""
    if as_json:
        assert json.loads(shown) == {"lines": 3, "dropped": {"bad": 1}}
        assert shown.count("\n") == 1
    else:
        assert shown.splitlines() == ["lines        3", "dropped.bad  1"]


def test_a_summary_never_holds_what_is_not_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        emit({"loss": float("nan")}, json=True)


def test_a_table_aligns_numbers_to_the_right() -> None:
    table = Table(("arm", "accuracy", "n"), [("base", 0.4213, 1000), ("round 2", None, 12)], title="Test")
    assert render(table).splitlines() == [
        "Test",
        "arm      accuracy      n",
        "-------  --------  -----",
        "base       0.4213  1,000",
        "round 2         -     12",
    ]


def test_other_ranks_are_silent(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("RANK", "1")
    reporter = Reporter(sys.stderr)
    reporter.start("sft", total=1)
    reporter.warn("nobody hears this")
    reporter.advance()
    reporter.finish()
    emit({"lines": 1})
    assert capsys.readouterr() == ("", "")


ALL = {"rows": 512, "steps right": 0.81, "of brute force": 0.27}


@pytest.mark.parametrize(
    ("total", "tokens", "line"),
    [
        (600, 800, "simulate: 20/600, 2.0/s, 1,600 tok/s, 512 rows, 81% right, 27% cost, 4:50 left"),
        (None, 0, "simulate: 20, 2.0/s, 512 rows, 81% right, 27% cost, 0:10 so far"),
        (6_000_000, 10**7, "simulate: 20/6.0M, 2.0/s, 20M tok/s, 81% right, 27% cost, 833:19:50 left"),
    ],
)
def test_a_plain_line_has_all_figures_that_80_columns_hold(total: int | None, tokens: int, line: str) -> None:
    stream, clock = io.StringIO(), Clock()
    reporter = Reporter(stream, clock)
    reporter.start("simulate", total)
    for _ in range(20):
        clock.now += 0.5
        reporter.advance(tokens, more=lambda: ALL)
    (shown,) = stream.getvalue().splitlines()
    assert shown == line
    assert len(shown) <= 80


def test_figures_are_computed_when_they_are_shown_only() -> None:
    asked = []

    def more() -> dict[str, int]:
        asked.append(1)
        return {}

    clock = Clock()
    reporter = Reporter(io.StringIO(), clock)
    reporter.start("sample", 100)
    for _ in range(50):
        clock.now += 0.1
        reporter.advance(more=more)
    assert not asked
    reporter.finish()
    assert len(asked) == 1


def test_a_name_from_a_file_cannot_command_the_terminal() -> None:
    assert "\x1b" not in render(Table(("\n", ""), [("split \x1b[2J", 1), (["\x1b"], 2)]))
