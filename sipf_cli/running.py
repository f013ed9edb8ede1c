"""How a command runs a stage over lines: plan or run it, show progress and the result, end with the right exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sipf_cli import costs
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import Reporter, Table, emit
from stages.files.secrets import is_secret, without_secrets
from stages.settings.replicas import ReplicaSettings

if TYPE_CHECKING:
    from sipf_cli.options import ConsoleOptions
    from stages.runs.record import LineRun, Summary
    from stages.runs.stage import Stage
    from stages.settings.files import FileSettings

Show = Callable[["Summary", "LineRun"], None]


def execute(
    stage: Stage,
    lines: Path,
    output: Path,
    files: FileSettings,
    console: ConsoleOptions,
    show: Callable[[Summary, LineRun, Mapping[str, Any]], None] | None = None,
    replicas: ReplicaSettings = ReplicaSettings(),
) -> None:
    """Run a stage over all lines, or with --dry-run show what it would do; ends the program with its exit code.

    Args:
        show: shows how the run ended, given the stage's report; by default `show_summary`.
        replicas: the processes that share the work.
    """
    from evals.errors import UsageError
    from stages.runs.stage import line_run, run_stage
    from stages.runs.tracking import check_installed

    check_installed(files.log_to)
    run = replace(line_run(stage, str(lines), str(output), files), command=_typed())
    if files.dry_run:
        if files.calibrate is not None and replicas.wanted:
            raise UsageError("--calibrate measures one process", "Leave --workers or --ray out while you do.")
        if files.calibrate is None:
            _plan(run, stage, json=console.json)
        else:
            _calibrate(run, stage, files.calibrate, json=console.json)
        return
    reporter = Reporter()
    try:
        summary = run_stage(run, stage, reporter, replicas)
    finally:
        reporter.finish()
    report = stage.report(summary.counts)
    if show is None:
        show_summary(summary, run, json=console.json, more=report)
    else:
        show(summary, run, report)


def _typed() -> tuple[str, ...]:
    """The words of this command, with the variables that options are taken from, without keys and passwords in URLs."""
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("SIPF_")]
    variables = [one for one in variables if not is_secret(one.partition("=")[0])]
    words = [*(["env", *variables] if variables else []), "sipf", *sys.argv[1:]]
    return tuple(map(without_secrets, words))


def show_summary(
    summary: Summary,
    run: LineRun,
    *,
    json: bool,
    more: Mapping[str, Any] | None = None,
    tables: Sequence[Table] = (),
    told: Sequence[str] = (),
) -> None:
    """Print how a run over lines ended, and end the program with its exit code unless that is 0.

    Counts named in `told` are left out of the table because one of `tables` shows them; the JSON has them all.
    """
    result: dict[str, Any] = {
        "output": run.output,
        "already complete": summary.already,
        "problems": summary.done,
        "resumed": summary.resumed,
        "bad lines": summary.bad,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 2),
        "counts": dict(summary.counts),
        **(more or {}),
    }
    rows = [(name, value) for name, value in result.items() if not isinstance(value, Mapping) and value is not False]
    rows += [(name, value) for name, value in result["counts"].items() if value and name not in told]
    for name in more or {}:
        if isinstance(result[name], Mapping) and not tables:
            rows += [(f"{name}: {key}", value) for key, value in result[name].items() if not isinstance(value, Mapping)]
    emit(result, [Table(("", ""), rows), *tables], json=json, data_on_stdout=run.output == "-")
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def _plan(run: LineRun, stage: Stage, *, json: bool) -> None:
    """`--dry-run`: read every line, run nothing; bad lines are reported and counted, and lead to exit code 3."""
    from stages.runs.stage import estimate_stage

    bad = skipping_bad_lines(strict=run.strict)
    counts = estimate_stage(run, stage, bad)
    emit({"would write": run.output, **run.facts, **counts}, json=json)
    end_after(bad.count)


def _calibrate(run: LineRun, stage: Stage, least: int, *, json: bool) -> None:
    """`--dry-run --calibrate`: run a few problems, write nothing, and show what the whole run would take."""
    from stages.runs.calibration import calibrate

    bad, reporter = skipping_bad_lines(strict=run.strict), Reporter()
    try:
        found = calibrate(run, stage, least, reporter, bad)
    finally:
        reporter.finish()
    head = {"would write": run.output, **run.facts, **({"already complete": True} if found.already else found.counts)}
    rows = [*head.items(), *costs.rows(found.estimate)]
    emit({**head, "estimate": found.estimate}, Table(("", ""), rows), json=json)
    end_after(bad.count)
