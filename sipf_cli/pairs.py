"""`sipf pairs`: what ORPO learns from."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.groups import ConsoleOptions, expanded

app = new_app()


class Feedback(StrEnum):
    process = "process"
    outcome = "outcome"


class Aggregate(StrEnum):
    mean = "mean"
    min = "min"
    product = "product"
    last = "last"


class Rounds(StrEnum):
    all = "all"
    last = "last"


@app.command()
@expanded
def pairs(
    lines: o.Input,
    output: o.Output,
    console: ConsoleOptions,
    name: Annotated[str, typer.Option("--name", help="Whose scores decide (see sipf score --name).")] = "prm",
    eta: Annotated[float, typer.Option("--eta", min=0.0, help="Least gap between the two scores.")] = 0.1,
    aggregate: Annotated[
        Aggregate, typer.Option("--aggregate", help="A path's score out of its steps'.")
    ] = Aggregate.mean,
    max_per_problem: Annotated[int, typer.Option("--max-per-problem", min=1, help="Most pairs of one problem.")] = 4,
    most: Annotated[
        int | None, typer.Option("--most", min=1, help="Most pairs in all, drawn evenly by the seed.")
    ] = None,
    chosen_correct: Annotated[
        bool, typer.Option("--chosen-correct/--any", help="The chosen path's answer must be right, or need not be.")
    ] = True,
    feedback: Annotated[
        Feedback, typer.Option("--feedback", help="process: by scores; outcome: right above wrong, without scores.")
    ] = Feedback.process,
    max_length_gap: Annotated[
        int | None, typer.Option("--max-length-gap", min=0, help="Most tokens by which the two may differ in length.")
    ] = None,
    gold: Annotated[bool, typer.Option("--gold", help="Gold solutions may be chosen, too.")] = False,
    rounds: Annotated[Rounds, typer.Option("--rounds", help="Pairs of all rounds' paths, or the last's.")] = Rounds.all,
    template: o.Template = "auto",
    seed: o.Seed = 0,
    strict: o.Strict = False,
    overwrite: o.Overwrite = False,
    manifest: o.Manifest = None,
    dry_run: o.DryRun = False,
) -> None:
    """Choose preference pairs by the scores of their paths, and show what each eta would yield.

    \b
    Example:
      sipf data chain --split train -n 40 --seed 3 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -o paths.jsonl
      sipf pairs paths.jsonl --feedback outcome -o pairs.jsonl
    """
    from sipf_cli.console import Table, emit
    from stages.pairs import PairSettings, write_pairs

    settings = PairSettings(
        name=name,
        aggregate=aggregate.value,
        eta=eta,
        max_per_problem=max_per_problem,
        most=most,
        chosen_correct=chosen_correct,
        feedback=feedback.value,
        max_length_gap=max_length_gap,
        gold=gold,
        rounds=rounds.value,
        template=template,
        seed=seed,
    )
    summary = write_pairs(
        str(lines), str(output), settings, skipping_bad_lines(strict=strict), overwrite=overwrite, dry_run=dry_run,
        manifest=None if manifest is None else str(manifest),
    )  # fmt: skip
    tables = [Table(("", ""), [("output", str(output)), *summary["counts"].items()])]
    if feedback is Feedback.process:
        sweep = [(float(value), made["pairs"], made["problems"]) for value, made in summary["sweep"].items()]
        tables.append(Table(("eta", "pairs", "problems"), sweep, title="What other values of --eta would yield"))
    emit({**summary, "settings": asdict(settings)}, tables, json=console.json, data_on_stdout=str(output) == "-")
    end_after(summary["bad lines"])
