"""What the `sipf data` commands share: the writing of problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import emit

if TYPE_CHECKING:
    from evals.records import Problem
    from stages.files.reading import BadLines
    from stages.settings.data import RowSettings


def write_rows(
    read: Callable[[BadLines], Iterable[Problem]],
    source: str | None,
    output: Path,
    options: Mapping[str, Any],
    rows: RowSettings,
    *,
    json: bool,
    more: Mapping[str, int] | None = None,
) -> None:
    """Write the problems that are made of rows; bad rows are named, counted and end in exit code 3.

    Args:
        read: the problems, read through what it is given.
        source: the file they are read from; None where it is none.
        options: what decides the data, besides how many are taken.
        more: further counts, complete once all problems were taken.
    """
    bad = skipping_bad_lines(strict=rows.strict)
    write(
        islice(read(bad), rows.n), output, {**options, "n": rows.n}, source, overwrite=rows.overwrite, json=json,
        bad=bad, more=more,
    )  # fmt: skip


def write(
    problems: Iterable[Problem],
    output: Path,
    options: Mapping[str, Any],
    source: str | None = None,
    *,
    overwrite: bool,
    json: bool,
    bad: BadLines | None = None,
    more: Mapping[str, int] | None = None,
) -> None:
    """Write the problems, say how many there were, and end with exit code 3 where rows were bad.

    Args:
        source: the file they are read from.
        bad: what they are read through; None where they are not read from rows.
        more: further counts, complete once all problems were taken.
    """
    from stages.data import write_problems
    from stages.runs.whole_file import WholeFile

    run = WholeFile("data", source, str(output), options, overwrite)
    summary = write_problems(problems, run, bad, more)
    emit(summary, json=json, data_on_stdout=str(output) == "-")
    end_after(summary.get("bad lines", 0))
