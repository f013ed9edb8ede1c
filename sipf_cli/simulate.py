"""`sipf simulate`: labels for every step."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import EngineOptions, LineOptions, Speech, expanded

if TYPE_CHECKING:
    from evals.records import Problem

app = new_app()


@app.command()
@expanded
def simulate(
    lines: o.Input,
    output: o.Output,
    engine: EngineOptions,
    line: LineOptions,
    speech: Speech,
    strategy: Annotated[str, typer.Option("--strategy", help="exact, or brute for soft labels as well.")] = "exact",
    k: Annotated[int, typer.Option("--k", min=1, help="Rollouts a step, at most.")] = 8,
    delta: Annotated[int, typer.Option("--delta", min=0, help="A step is right if more rollouts than this are.")] = 0,
    temperature: Annotated[
        str, typer.Option("--temperature", metavar="T|LOW:HIGH", help="One temperature, or a range to draw from.")
    ] = "1.0",
    top_p: o.TopP = 1.0,
    max_tokens: o.MaxTokens = None,
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="Share of the problems to label.")] = 1.0,
    gold: Annotated[bool, typer.Option("--gold/--no-gold", help="Add the gold solution as an all-right path.")] = True,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Keep the rollouts' texts too.")] = False,
    seed: o.Seed = 0,
) -> None:
    """Label every step of the paths: right if a rollout from its prefix still reaches the answer.

    `exact` gives the hard labels of `brute` with fewer rollouts; soft labels need `brute`. Steps that are labelled
    already are left as they are.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 4 -o labels.jsonl
    """
    from evals.tasks import task_of
    from sipf_cli.running import plan, run_with_engine, show
    from stages.engines.opening import describe_engine
    from stages.simulate import Simulation, check_paths, cost_report, in_share
    from stages.strategies import strategy as known
    from stages.strategies.prefixes import SimulateSettings, prefixes

    known(strategy)
    low, high = o.temperature_range(temperature)
    settings = SimulateSettings(
        strategy=strategy,
        k=k,
        delta=delta,
        temperature_low=low,
        temperature_high=high,
        top_p=top_p,
        max_tokens=max_tokens,
        share=share,
        gold=gold,
        keep_text=keep_text,
        seed=seed,
    )
    run = line.run("simulate", lines, output, asdict(settings), describe_engine(engine.settings()))

    def cost(problem: Problem) -> dict[str, int]:
        if not in_share(problem.id, share, seed):
            return {"problems outside the share": 1}
        new = [path for path in problem.paths if path.labels is None]
        distinct = len(prefixes(task_of(problem), new).places)
        return {"steps": sum(len(path.steps) for path in new), "prefixes": distinct, "rollouts, at most": k * distinct}

    if line.dry_run:
        plan(run, cost, json=speech.json, check=check_paths)
        return
    summary = run_with_engine(run, engine.settings(), lambda e: Simulation(e, settings), check_paths)
    show(summary, run.output, json=speech.json, more={"cost": cost_report(summary.counts)})
