"""The errors that stop one problem but not the others: it failed, or its line turned out to be bad."""

from __future__ import annotations

from evals.errors import DataError, SomeFailed


class ProblemFailed(SomeFailed):
    """One problem could not be done; the others continue, and the same command tries it again."""


class LineFault(DataError):
    """A line that turned out to be bad only while it was worked on; it is skipped and counted like any bad line."""
