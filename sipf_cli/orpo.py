"""`sipf orpo`: the policy of the next round."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.training import OrpoSettings, TrainingFiles, TrainSettings

app = new_app()


@app.command()
def orpo(
    pairs: o.Input,
    output: o.OutputFolder,
    preference: OrpoSettings,
    settings: TrainSettings,
    files: TrainingFiles,
    console: o.PresetOptions,
    model: o.Base = None,
    continue_from: o.ContinueFrom = None,
) -> None:
    """Train a policy on preference pairs with ORPO.

    Reads the lines of `sipf pairs`, or any lines with prompt, chosen and rejected.

    \b
    Example:
      printf '%s' '{"prompt": "Question: 1 and 2?\\nAnswer:\\n", "chosen": "1+2=3", "rejected": "1+2=4"}' > pairs.jsonl
      sipf orpo pairs.jsonl --model chain-base --epochs 1 -o m1
    """
    from functools import partial

    from sipf_cli.training import one_start, train
    from stages.orpo import run_orpo
    from stages.training.pair_rows import read_pairs
    from stages.training.start import check_policy_start

    start = one_start(model, continue_from)
    rows, bad = read_pairs(str(pairs), strict=files.strict)
    run = partial(
        run_orpo, rows, model=start, options=settings, beta=preference.beta, sft_weight=preference.sft_weight,
        nll=preference.nll, max_prompt_length=preference.max_prompt_length, held_out_share=preference.held_out,
    )  # fmt: skip
    train("orpo", run, files, console, output, check=partial(check_policy_start, start, settings),
          read={"pairs": len(rows)}, bad=bad)  # fmt: skip
