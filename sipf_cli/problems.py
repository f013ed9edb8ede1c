"""What the `sipf data` commands share: writing problems."""

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
    """Write problems made from rows; bad rows are reported and counted, and lead to exit code 3.

    Args:
        read: reads the problems; reports bad rows to the `BadLines` that it is given.
        source: the file they are read from; None if there is none.
        options: what determines the data, apart from how many problems are taken.
        more: further counts, complete once all problems have been taken.
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
    """Write the problems, print how many there were, and end with exit code 3 if rows were bad.

    Args:
        source: the file they are read from.
        bad: counts the bad rows; None where the problems are not read from rows.
        more: further counts, complete once all problems have been taken.
    """
    from stages.data import write_problems
    from stages.runs.whole_file import WholeFile

    run = WholeFile("data", source, str(output), options, overwrite)
    summary = write_problems(problems, run, bad, more)
    emit(summary, json=json, data_on_stdout=str(output) == "-")
    end_after(summary.get("bad lines", 0))
