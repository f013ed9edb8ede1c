"""`sipf sft`: M0, the base model fine-tuned on gold solutions."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import Speech, TrainingOptions, expanded

app = new_app()


@app.command()
@expanded
def sft(
    lines: o.Input,
    output: o.OutputFolder,
    model: o.Model,
    training: TrainingOptions,
    speech: Speech,
    strict: o.Strict = False,
) -> None:
    """Fine-tune a model on gold solutions, with a loss on the solution alone.

    \b
    Example:
      sipf data chain --split train -n 32 -o problems.jsonl
      sipf sft problems.jsonl --model chain-base --epochs 1 --lr 5e-4 -o m0
    """
    from sipf_cli.console import emit
    from sipf_cli.training import end, run_training, show_training, tell_bad
    from stages.reading import all_problems

    settings = training.settings()
    problems, bad = all_problems(str(lines), strict=strict)
    tell_bad(bad)
    if training.dry_run:
        solved = sum(problem.solution is not None for problem in problems)
        plan = {"would write": str(output), "problems": len(problems), "with a solution": solved}
        emit({**plan, "bad lines": len(bad)}, json=speech.json)
        end(bad)
        return
    from stages.sft import run_sft

    manifest = run_training(
        "sft",
        lambda stop, log: run_sft(
            problems,
            model=model,
            out=str(output),
            options=settings,
            template=training.template,
            stop=stop,
            log=log,
            overwrite=training.overwrite,
        ),
    )
    show_training(manifest, output, json=speech.json, bad=len(bad))
    end(bad)
