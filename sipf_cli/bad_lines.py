"""How bad lines are told on stderr, by every command that skips them: the first ones by name, the others by number."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evals.errors import SipfError

SHOWN = 20
"""Bad lines that are named; all are counted."""


class BadLineNotes:
    """Says on stderr which lines were skipped; give it to `BadLines` as what it tells."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, fault: SipfError) -> None:
        """One more bad line."""
        self.count += 1
        if self.count <= SHOWN:
            print(f"sipf: bad line skipped: {fault}", file=sys.stderr)

    def end(self) -> None:
        """All lines were read: say how many bad ones were not named."""
        if self.count > SHOWN:
            print(f"sipf: and {self.count - SHOWN} bad lines more", file=sys.stderr)
