"""`sipf dpo`: the policy of the next round by another method, to compare ORPO with."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.training import DpoSettings, TrainingFiles, TrainSettings

app = new_app()


@app.command()
def dpo(
    pairs: o.Input,
    output: o.OutputFolder,
    preference: DpoSettings,
    settings: TrainSettings,
    files: TrainingFiles,
    console: o.PresetOptions,
    model: o.Base = None,
    continue_from: o.ContinueFrom = None,
) -> None:
    """Train a policy on preference pairs with DPO, to compare ORPO with.

    With --sft-weight 1 it is RPO. Reads the lines of `sipf pairs`, or any lines with prompt, chosen and rejected. The
    model that training starts from, usually a fine-tuned one, is the reference.

    \b
    Example:
      printf '%s' '{"prompt": "Question: 1 and 2?\\nAnswer:\\n", "chosen": "1+2=3", "rejected": "1+2=4"}' > pairs.jsonl
      sipf dpo pairs.jsonl --model chain-base --epochs 1 -o m1
    """
    from functools import partial

    from sipf_cli.training import one_start, train
    from stages.dpo import run_dpo
    from stages.training.pair_rows import read_pairs
    from stages.training.start import check_policy_start

    start = one_start(model, continue_from)
    rows, bad = read_pairs(str(pairs), strict=files.strict)
    run = partial(
        run_dpo, rows, model=start, options=settings, beta=preference.beta, sft_weight=preference.sft_weight,
        max_prompt_length=preference.max_prompt_length, held_out_share=preference.held_out,
    )  # fmt: skip
    train("dpo", run, files, console, output, check=partial(check_policy_start, start, settings),
          read={"pairs": len(rows)}, bad=bad)  # fmt: skip
