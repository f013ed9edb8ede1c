"""`sipf train-prm`: the reward model."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.training import RewardModelSettings, TrainingFiles, TrainSettings

app = new_app()


@app.command("train-prm")
def train_prm(
    lines: o.Input,
    output: o.OutputFolder,
    model: o.Model,
    reward: RewardModelSettings,
    settings: TrainSettings,
    files: TrainingFiles,
    console: o.PresetOptions,
) -> None:
    """Train a process reward model on the step labels, or an outcome reward model.

    Reads labelled lines, or lines with prompt, completions and labels. The held-out share is chosen by problem.

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
    from stages.training.start import check_reward_start
    from stages.training.step_rows import read_examples

    examples, bad = read_examples(str(lines), strict=files.strict)
    run = partial(
        run_train_prm, examples, model=model, options=settings, labels=reward.labels, outcome=reward.outcome,
        sigmoid_head=reward.sigmoid_head, held_out_share=reward.held_out,
    )  # fmt: skip
    train("train-prm", run, files, console, output,
          check=partial(check_reward_start, model, settings, reward.sigmoid_head),
          read={"lines": len(examples)}, bad=bad)  # fmt: skip
