"""What becomes of one problem while the others go through: it failed, or its line turned out bad."""

from __future__ import annotations

from evals.errors import DataError, SomeFailed


class ProblemFailed(SomeFailed):
    """One problem could not be done; the others go on, and the same command tries it again."""


class LineFault(DataError):
    """A line that turned out bad only while it was worked on; it is skipped and counted as any bad line is."""
