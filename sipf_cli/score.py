"""`sipf score`: the reward model's view of every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import ConsoleOptions, LineOptions, expanded

if TYPE_CHECKING:
    from evals.records import Problem

app = new_app()


@app.command()
@expanded
def score(
    lines: o.Input,
    output: o.Output,
    model: o.Model,
    line: LineOptions,
    console: ConsoleOptions,
    name: Annotated[str, typer.Option("--name", help="Key of the scores; several models fit on a line.")] = "prm",
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", min=0, help="Tokens a batch; 0: by device.")] = 0,
    device: o.DeviceOption = o.Device.auto,
    dtype: o.DtypeOption = o.Dtype.auto,
    load_in_4bit: o.LoadIn4bit = False,
    template: o.Template = "auto",
    trust_remote_code: o.TrustRemoteCode = False,
    engine: o.ScorerEngine = o.ScorerName.hf,
    tensor_parallel: o.TensorParallel = 1,
    gpu_memory: o.GpuMemory = 0.9,
    max_model_len: o.MaxModelLen = None,
) -> None:
    """Score every step of every path with a reward model: mean, min, product and last of each path.

    \b
    Example:
      sipf data chain --split train -n 16 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 2 -o labels.jsonl
      sipf train-prm labels.jsonl --model chain-base --epochs 1 --lr 5e-4 -o prm
      sipf score paths.jsonl --model prm -o scored.jsonl
    """
    from sipf_cli.running import plan, run_over_lines, show
    from stages.scorers.base import PathScorer, describe_scorer
    from stages.simulate import check_steps

    facts = describe_scorer(
        model, device.value, dtype.value, load_in_4bit=load_in_4bit, template=template, engine=engine.value,
        tensor_parallel=tensor_parallel,
    )  # fmt: skip

    def cost(problem: Problem) -> dict[str, int]:
        return {"paths": len(problem.paths), "steps": sum(len(path.steps) for path in problem.paths)}

    run = line.run("score", lines, output, {"name": name}, facts)
    if line.dry_run:
        plan(run, cost, json=console.json, check=check_steps)
        return

    def open_scorer() -> PathScorer:
        if engine is o.ScorerName.vllm:
            from stages.engines.vllm.start import VLLMSettings
            from stages.scorers.vllm import VLLMScorer

            how = VLLMSettings(
                device=facts["device"], dtype=facts["dtype"], tensor_parallel=tensor_parallel, gpu_memory=gpu_memory,
                max_model_len=max_model_len, trust_remote_code=trust_remote_code,
            )  # fmt: skip
            return VLLMScorer(model, how, template=template, label=name, trust_remote_code=trust_remote_code)
        from stages.scorers.hf import Scorer

        return Scorer(
            model,
            device=device.value,
            dtype=dtype.value,
            load_in_4bit=load_in_4bit,
            batch_tokens=batch_tokens,
            template=template,
            label=name,
            trust_remote_code=trust_remote_code,
        )

    summary = run_over_lines(run, open_scorer, lambda scorer: scorer.work, check_steps)
    show(summary, run.output, json=console.json)
