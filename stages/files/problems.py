"""Files of problems, which every stage reads: ids are unique, and the caller passes in the task's own check.

for problem in read_problems("problems.jsonl.gz", BadLines(tell=print), check=check_problem): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from evals.errors import DataError
from evals.forms import refusal
from evals.records import Problem
from stages.files.reading import BadLines, read_all
from stages.files.records import Place, RecordReader
from stages.files.shards import Shard

Check = Callable[[Problem], None]
"""Raises DataError (`field: what is wrong`) for a problem that the caller cannot use."""


def problem_reader(
    source: str, *, shard: Shard | None = None, check: Check | None = None, wait: bool = True
) -> RecordReader[Problem]:
    """The reader of a file of problems; see `RecordReader`."""

    def parse(row: Any, _: Place) -> Problem:
        try:
            problem = Problem.from_row(row)
        except DataError as error:
            raise refusal(row, error, "sipf simulate") from error
        if check is not None:
            check(problem)
        return problem

    def direct(line: bytes) -> Problem | None:
        problem = Problem.from_line(line)
        if problem is not None and check is not None:
            check(problem)
        return problem

    return RecordReader(source, parse, direct=direct, id_of=lambda problem: problem.id, shard=shard, wait=wait)


def read_problems(
    source: str, bad: BadLines, *, shard: Shard | None = None, check: Check | None = None
) -> Iterator[Problem]:
    """The problems on the good lines of a file, one after the other; the others are reported to `bad`.

    Raises:
        UsageError: there is no such file.
        DataError: the rest of the file cannot be read; or a bad line, if `bad` is strict.
    """
    return bad.good(problem_reader(source, shard=shard, check=check))


def all_problems(
    source: str, *, check: Check | None = None, strict: bool = False
) -> tuple[list[Problem], list[DataError]]:
    """Every good line of a file, and the faults of the bad ones.

    Raises:
        UsageError, DataError: as `read_all`.
    """
    return read_all(problem_reader(source, check=check), strict=strict)
