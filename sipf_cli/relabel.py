"""`sipf relabel`: other labels from the rollouts that are there."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import ConsoleOptions, LineOptions, expanded

if TYPE_CHECKING:
    from evals.records import Problem

app = new_app()


class Want(StrEnum):
    hard = "hard"
    soft = "soft"


@app.command()
@expanded
def relabel(
    lines: o.Input,
    output: o.Output,
    line: LineOptions,
    console: ConsoleOptions,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Only the first K rollouts of a step count.")] = None,
    delta: Annotated[
        int | None, typer.Option("--delta", min=0, help="A step is right if more rollouts than this are.")
    ] = None,
    want: Annotated[
        Want, typer.Option("--want", help="What every step must have: hard, or a fair soft label as well.")
    ] = Want.hard,
    keep_undecided: Annotated[
        bool, typer.Option("--keep-undecided", help="Write what the rollouts do not decide as undecided.")
    ] = False,
) -> None:
    """Derive the step labels again from the rollouts that simulate has kept, without a model.

    A line whose rollouts do not decide the wanted labels is a bad line; the message names the strategy that would.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --strategy brute -o labels.jsonl
      sipf relabel labels.jsonl --k 4 --delta 1 -o other.jsonl
    """
    from sipf_cli.running import plan, run_over_lines, show
    from stages.relabel import Relabelling
    from stages.settings.labels import RelabelSettings
    from stages.simulate import check_paths

    settings = RelabelSettings(k=k, delta=delta, want=want.value, keep_undecided=keep_undecided)
    stage = Relabelling(settings)
    run = line.run("relabel", lines, output, asdict(settings), {})

    def check(problem: Problem) -> None:
        check_paths(problem)
        stage.check(problem)

    if line.dry_run:
        plan(run, lambda problem: {"steps": sum(len(path.labels or []) for path in problem.paths)}, json=console.json,
             check=check)  # fmt: skip
        return
    summary = run_over_lines(run, lambda: stage, lambda stage: stage, check)
    show(summary, run.output, json=console.json)
