"""Whole files of any kind of line for the stages that train: every bad line is reported, none hides the next.

problems, bad = read_all("problems.jsonl", parse_problem)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from evals.errors import DataError
from stages.inputs import raw_lines

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
