"""What the `sipf data` commands share: their options, and the writing of problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipf_cli.bad_lines import end_after
from sipf_cli.console import emit

if TYPE_CHECKING:
    from evals.records import Problem
    from stages.files.reading import BadLines

First = Annotated[int | None, typer.Option("-n", min=1, help="Problems to write, from the first on; all unless given.")]
File = Annotated[str, typer.Option("--path", metavar="FILE", help="File to read: .jsonl, .jsonl.gz, or - for stdin.")]


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
