"""The errors a person can cause, and the exit code each one ends the program with.

    SipfError                1   base class; never raised itself
    ├── UsageError           2   options that contradict each other, an output in use, a changed resume
    ├── DataError            3   a line, a field or a file that is not what it should be
    ├── ModelError           4   a model, an engine or a loss that does not work
    ├── SandboxError         5   no way to run untrusted code safely
    ├── SomeFailed           6   the run ended, but some problems could not be done
    └── Interrupted         75   stopped half-way on purpose; the same command resumes from here

Every other exception is a bug and shows its traceback.
"""

from __future__ import annotations

from typing import Self


class SipfError(Exception):
    """An expected error: one line that says what is wrong, one that says what to do next."""

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def at(self, place: str) -> Self:
        """The same error with the place before its message, as in `pairs.jsonl:7: chosen: must be text`."""
        return type(self)(f"{place}: {self.message}", self.advice)


class UsageError(SipfError):
    exit_code = 2


class DataError(SipfError):
    exit_code = 3


class ModelError(SipfError):
    exit_code = 4


class SandboxError(SipfError):
    exit_code = 5


class SomeFailed(SipfError):
    exit_code = 6


class Interrupted(SipfError):
    exit_code = 75
