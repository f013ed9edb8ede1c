"""`sipf sft`: M0, the base model fine-tuned on gold solutions; and RFT, STaR and the like on its own right paths."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.training import SftSettings, TrainingFiles, TrainSettings

app = new_app()


@app.command()
def sft(
    lines: o.Input,
    output: o.OutputFolder,
    model: o.Model,
    learning: SftSettings,
    settings: TrainSettings,
    files: TrainingFiles,
    console: o.PresetOptions,
) -> None:
    """Fine-tune a model on gold solutions, or on right paths that a policy has drawn.

    Reads problems with solutions, GSM8K's own rows, and conversations or prompts with completions in the usual forms.
    The loss is on the solution alone unless --loss says otherwise. Paths are learned with --paths: RFT is --paths
    right, STaR --paths right --no-gold on paths of `sipf sample --rationalise`, and RFT with process feedback --paths
    prm:0.5 on scored paths.

    \b
    Example:
      sipf data chain --split train -n 32 -o problems.jsonl
      sipf sft problems.jsonl --model chain-base --epochs 1 --lr 5e-4 -o m0
    """
    from functools import partial

    from evals.records import Problem
    from sipf_cli.training import train
    from stages.sft import run_sft
    from stages.training.sft_rows import read_lines
    from stages.training.start import check_policy_start

    found, bad = read_lines(str(lines), strict=files.strict)
    problems = [line for line in found if isinstance(line, Problem)]
    solved = sum(problem.solution is not None for problem in problems)
    run = partial(
        run_sft, found, model=model, options=settings, loss=learning.loss, held_out_share=learning.held_out,
        own=learning.own,
    )  # fmt: skip
    read = {"problems": len(problems), "with a solution": solved}
    if len(problems) < len(found):
        read["demonstrations"] = len(found) - len(problems)
    if learning.own is not None:
        read["paths"] = sum(len(problem.paths) for problem in problems)
    train("sft", run, files, console, output, check=partial(check_policy_start, model, settings), read=read, bad=bad)
