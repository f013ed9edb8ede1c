"""How the commands that write a whole file report bad lines: the first ones on stderr, and how many there were."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from stages.files.secrets import for_a_terminal

if TYPE_CHECKING:
    from evals.errors import SipfError
    from stages.files.reading import BadLines

SHOWN = 20
"""How many bad lines are shown; all are counted."""


def named(fault: SipfError) -> None:
    """Report a skipped line on stderr."""
    print(for_a_terminal(f"sipf: bad line skipped: {fault}"), file=sys.stderr)


def skipping_bad_lines(*, strict: bool) -> BadLines:
    """Reports the first bad lines on stderr as they are met; with `strict` the first one ends the command."""
    from stages.files.reading import BadLines

    def tell(fault: SipfError) -> None:
        if bad.count <= SHOWN:
            named(fault)
        elif bad.count == SHOWN + 1:
            print(f"sipf: more than {SHOWN} bad lines; further ones are counted, not shown", file=sys.stderr)

    bad = BadLines(strict=strict, tell=tell)
    return bad


def notes() -> Callable[[str], None]:
    """Says on stderr what is worth knowing of a line that is used; only the first ones."""
    told = 0

    def tell(text: str) -> None:
        nonlocal told
        told += 1
        if told <= SHOWN:
            print(for_a_terminal(f"sipf: note: {text}"), file=sys.stderr)
        elif told == SHOWN + 1:
            print(f"sipf: more than {SHOWN} notes; further ones are counted, not shown", file=sys.stderr)

    return tell


def end_after(count: int) -> None:
    """End with exit code 3 when lines were bad."""
    if count:
        raise typer.Exit(3)
