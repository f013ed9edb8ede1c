"""`sipf orpo`: the policy of the next round."""

from __future__ import annotations

from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.declare import Panel
from stages.settings.training import OrpoSettings, TrainingFiles, TrainSettings

app = new_app()

Base = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Base model to restart from, as the paper does in each round.",
    ),
]  # fmt: skip
ContinueFrom = Annotated[
    str | None,
    typer.Option(
        "--continue-from", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Continue from this policy instead of restarting from the base.",
    ),
]  # fmt: skip


@app.command()
def orpo(
    pairs: o.Input,
    output: o.OutputFolder,
    preference: OrpoSettings,
    settings: TrainSettings,
    files: TrainingFiles,
    console: o.PresetOptions,
    model: Base = None,
    continue_from: ContinueFrom = None,
) -> None:
    """Train a policy on preference pairs with ORPO.

    Reads the lines of `sipf pairs`, or any lines with prompt, chosen and rejected.

    \b
    Example:
      printf '%s' '{"prompt": "Question: 1 and 2?\\nAnswer:\\n", "chosen": "1+2=3", "rejected": "1+2=4"}' > pairs.jsonl
      sipf orpo pairs.jsonl --model chain-base --epochs 1 -o m1
    """
    from functools import partial

    from evals.errors import UsageError
    from sipf_cli.training import train
    from stages.orpo import run_orpo
    from stages.training.pair_rows import read_pairs
    from stages.training.start import check_policy_start

    start = model or continue_from
    if start is None or (model and continue_from):
        raise UsageError("give either --model or --continue-from", "--model restarts from the base, as the paper does.")
    rows, bad = read_pairs(str(pairs), strict=files.strict)
    run = partial(
        run_orpo, rows, model=start, options=settings, beta=preference.beta, sft_weight=preference.sft_weight,
        nll=preference.nll, max_prompt_length=preference.max_prompt_length, held_out_share=preference.held_out,
    )  # fmt: skip
    train("orpo", run, files, console, output, check=partial(check_policy_start, start, settings),
          read={"pairs": len(rows)}, bad=bad)  # fmt: skip
