"""What the pool and its replicas say to each other; all of it can be pickled.

pool     Order(17, problem) ──▶ replica
pool ◀── Ready(), Want(32), Done(17, ['{"id": ...}'], {"drawn": 8}, {}, spent, rows), Failed(...) ── replica
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field

from evals.errors import SipfError
from evals.records import Problem


@dataclass(frozen=True, slots=True)
class Order:
    """A problem to work on. The ticket is new for every attempt, so that a late answer is known as such."""

    ticket: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class Ready:
    """The replica has opened what its stage works with."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The replica cannot open what its stage works with."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Want:
    """The replica has room for so many more problems."""

    count: int


@dataclass(frozen=True, slots=True)
class State:
    """What the replica has spent since it began, by name, and the sequences that it is writing now."""

    spent: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A problem's output lines, and its tally."""

    ticket: int
    lines: list[str]
    counts: Mapping[str, int]
    shown: Mapping[str, int]
    state: State


@dataclass(frozen=True, slots=True)
class Failed:
    """A problem could not be done."""

    ticket: int
    error: Exception
    state: State


Reply = Ready | Broken | Want | Done | Failed


def portable(error: BaseException) -> Exception:
    """The error as it can be sent: an expected one as it is, any other with its traceback as its text."""
    if isinstance(error, SipfError) and _can_be_sent(error):
        return error
    told = "".join(traceback.format_exception(error)).rstrip()
    return RuntimeError(f"in a replica:\n{told}")


def _can_be_sent(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    except Exception:  # whatever a class's own way of pickling raises
        return False
    return True
