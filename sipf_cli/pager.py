"""Long output in pages, as `git log` shows it: in `PAGER` (or less) on a terminal, else as it is.

    page("...", sys.stdout)

PAGER=cat shows everything at once. less is given LESS=FRX, unless LESS is set: it ends by itself if all fits on a
screen, and shows colours.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from shutil import which
from typing import TextIO


def page(text: str, stream: TextIO) -> None:
    """Show a text; what the stream's encoding does not have is spelled out (`\\u2713`)."""
    data = text.encode(stream.encoding or "utf-8", "backslashreplace")
    command = _pager() if stream.isatty() else None
    if command is None:
        _write(data, stream)
        return
    variables = {"LESS": "FRX", "LESSCHARSET": "utf-8", **os.environ}
    try:
        with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=variables) as reader:  # noqa: S602  # PAGER is a shell command
            with suppress(BrokenPipeError, KeyboardInterrupt):
                reader.communicate(data)
            _wait(reader)
    except OSError:
        _write(data, stream)


def _wait(reader: subprocess.Popen[bytes]) -> None:
    """Until the reader has left the pager; Ctrl-C is the pager's there."""
    while True:
        with suppress(KeyboardInterrupt):
            reader.wait()
            return


def _pager() -> str | None:
    named = os.environ.get("PAGER")
    if named is not None:
        return named if named.strip() else None
    return "less" if which("less") else None


def _write(data: bytes, stream: TextIO) -> None:
    """Write all, unless whoever reads it has enough."""
    stream.flush()
    try:
        stream.buffer.write(data)
        stream.buffer.flush()
    except BrokenPipeError:
        null = os.open(os.devnull, os.O_WRONLY)  # for what the interpreter flushes when it ends
        os.dup2(null, stream.fileno())
        os.close(null)
