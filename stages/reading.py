"""Whole files of any kind of line for the stages that train: every bad line is reported, none hides the next.

pairs, bad = read_all("pairs.jsonl", parse_object)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from evals.errors import DataError
from evals.records import parse_json
from stages.lines import raw_lines

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


def parse_object(text: str, where: str) -> dict[str, Any]:
    """One line as a JSON object.

    Raises:
        DataError: `file:line: what is wrong`.
    """
    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not a line of JSON ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: a line must be a JSON object, this one is {type(value).__name__}")
    return value
