"""`sipf train-prm`: the reward model."""

from __future__ import annotations

from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import ConsoleOptions, TrainingOptions, expanded

app = new_app()


@app.command("train-prm")
@expanded
def train_prm(
    lines: o.Input,
    output: o.OutputFolder,
    model: o.Model,
    training: TrainingOptions,
    console: ConsoleOptions,
    labels: Annotated[str, typer.Option("--labels", help="Targets: hard, soft, or threshold:T.")] = "hard",
    outcome: Annotated[bool, typer.Option("--outcome", help="The path's outcome for every step: an ORM.")] = False,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0.0, max=1.0, help="Share of the problems to measure on.")
    ] = 0.1,
    strict: o.Strict = False,
) -> None:
    """Train a process reward model on the step labels, or an outcome reward model.

    Reads labelled lines, or lines of prompt, completions and labels. What is held out is held out by problem.

    \b
    Example:
      sipf data chain --split train -n 16 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 2 -o labels.jsonl
      sipf train-prm labels.jsonl --model chain-base --epochs 1 --lr 5e-4 -o prm
    """
    from functools import partial

    from sipf_cli.training import train
    from stages.train_prm import run_train_prm
    from stages.training.step_rows import read_examples

    settings = training.settings()
    examples, bad = read_examples(str(lines), strict=strict)
    run = partial(
        run_train_prm, examples, model=model, options=settings, labels=labels, outcome=outcome, held_out_share=held_out
    )
    train("train-prm", run, training, console, output, read={"lines": len(examples)}, bad=bad)
