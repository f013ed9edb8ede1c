"""Whole files of any kind of line for the stages that train: every bad line is reported, none hides the next.

pairs, bad = read_all("pairs.jsonl", parse_pair)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from evals.errors import DataError
from evals.records import Problem, parse_problem
from evals.tasks import check_problem
from stages.files.inputs import raw_lines

Line = TypeVar("Line")


def read_all(
    source: str, parse: Callable[[str, str], Line], *, strict: bool = False
) -> tuple[list[Line], list[DataError]]:
    """Every line of a file (.jsonl, .jsonl.gz, or `-`), parsed; blank lines are passed over.

    Args:
        parse: called with a line's text and `file:line`; raises DataError for a bad one.
        strict: raise the first fault instead of collecting it.

    Returns:
        The good lines, and the faults of the bad ones.

    Raises:
        UsageError: there is no such file.
        DataError: there is not one good line.
    """
    good: list[Line] = []
    bad: list[DataError] = []
    for number, raw in enumerate(raw_lines(source), 1):
        assert raw is not None, "a reader that waits gets lines only"
        where = f"{source}:{number}"
        try:
            text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8").strip()
            if text:
                good.append(parse(text, where))
        except UnicodeDecodeError as error:
            bad.append(DataError(f"{where}: is not UTF-8 text ({error.reason} at byte {error.start})"))
        except DataError as error:
            bad.append(error)
        if strict and bad:
            raise bad[0]
    if not good:
        raise bad[0] if bad else DataError(f"{source} holds no line")
    return good, bad


def all_problems(source: str, *, strict: bool = False) -> tuple[list[Problem], list[DataError]]:
    """Every line of a file as a problem that its task can use; an id that stands twice is bad.

    Raises:
        UsageError, DataError: as `read_all`.
    """
    check = unique(check_problem)
    return read_all(source, lambda text, where: check(parse_problem(text, where), where), strict=strict)


def unique(check: Callable[[Problem], None]) -> Callable[[Problem, str], Problem]:
    """A check of one problem after the other that also refuses the id of an earlier good one; faults get their
    `file:line`."""
    seen: set[str] = set()

    def checked(problem: Problem, where: str) -> Problem:
        try:
            check(problem)
        except DataError as error:
            raise DataError(f"{where}: {error.message}", error.advice) from error
        if problem.id in seen:
            raise DataError(f"{where}: id: {problem.id!r} stands twice", "Give every problem an id of its own.")
        seen.add(problem.id)
        return problem

    return checked
