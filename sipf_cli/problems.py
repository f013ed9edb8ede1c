"""What the `sipf data` commands share: their options, and the writing of problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipf_cli.console import emit

if TYPE_CHECKING:
    from evals.records import Problem

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
    more: Mapping[str, int] | None = None,
) -> None:
    """Write the problems and say how many there were; `more` are counts that are complete once all were taken."""
    from stages.data import write_problems

    summary = write_problems(problems, str(output), options, source=source, overwrite=overwrite, more=more)
    emit(summary, json=json, data_on_stdout=str(output) == "-")
