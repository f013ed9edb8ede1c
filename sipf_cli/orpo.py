"""`sipf orpo`: the policy of the next round."""

from __future__ import annotations

from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import ConsoleOptions, TrainingOptions, expanded

app = new_app()


@app.command()
@expanded
def orpo(
    pairs: o.Input,
    output: o.OutputFolder,
    training: TrainingOptions,
    console: ConsoleOptions,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The base to restart from, as the paper does in each round.")
    ] = None,
    continue_from: Annotated[
        str | None, typer.Option("--continue-from", help="Go on from this round's policy instead of the base.")
    ] = None,
    beta: Annotated[float, typer.Option("--beta", min=0.0, help="Weight of the odds-ratio term.")] = 0.1,
    max_prompt_length: Annotated[
        int | None, typer.Option("--max-prompt-length", min=1, help="Leave out pairs with a longer prompt (tokens).")
    ] = None,
    strict: o.Strict = False,
) -> None:
    """Train a policy on preference pairs with ORPO.

    Reads the lines of `sipf pairs`, or anybody's prompt, chosen and rejected.

    \b
    Example:
      printf '%s' '{"prompt": "Question: 1 and 2?\\nAnswer:\\n", "chosen": "1+2=3", "rejected": "1+2=4"}' > pairs.jsonl
      sipf orpo pairs.jsonl --model chain-base --epochs 1 -o m1
    """
    from functools import partial

    from evals.errors import UsageError
    from sipf_cli.training import train
    from stages.orpo import read_pairs, run_orpo

    start = model or continue_from
    if start is None or (model and continue_from):
        raise UsageError("give either --model or --continue-from", "--model restarts from the base, as the paper does.")
    settings = training.settings()
    rows, bad = read_pairs(str(pairs), strict=strict)
    run = partial(run_orpo, rows, model=start, options=settings, beta=beta, max_prompt_length=max_prompt_length)
    train("orpo", run, training, console, output, read={"pairs": len(rows)}, bad=bad)
