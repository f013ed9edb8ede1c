"""`sipf sample`: paths for every problem."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import CheckOptions, ConsoleOptions, EngineOptions, LineOptions, expanded

app = new_app()


@app.command()
@expanded
def sample(
    lines: o.Input,
    output: o.Output,
    engine: EngineOptions,
    checks: CheckOptions,
    line: LineOptions,
    console: ConsoleOptions,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Paths to draw; with quotas, paths a block.")] = 8,
    temperature: o.Temperature = 1.0,
    top_p: o.TopP = 1.0,
    max_tokens: o.MaxTokens = None,
    want_right: Annotated[int, typer.Option("--want-right", min=0, help="Draw on until so many are right.")] = 0,
    want_wrong: Annotated[int, typer.Option("--want-wrong", min=0, help="Draw on until so many are wrong.")] = 0,
    want: Annotated[int, typer.Option("--want", min=0, help="Draw on until so many distinct ones are kept.")] = 0,
    max_draws: Annotated[
        int, typer.Option("--max-draws", min=0, help="Most draws a problem for the quotas; 0: ten blocks.")
    ] = 0,
    time_cap: Annotated[
        float | None, typer.Option("--time-cap", min=0.0, help="Seconds a problem may take; not reproducible.")
    ] = None,
    pool: Annotated[
        Path | None, typer.Option("--pool", exists=True, help="File of earlier rounds, whose paths stay.")
    ] = None,
    round: Annotated[int, typer.Option("--round", min=0, help="The round, written to each path.")] = 0,
    near_duplicate: Annotated[
        float,
        typer.Option("--near-duplicate", min=0.0, max=1.0, help="Drop paths within this share of another's words."),
    ] = 0.0,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Keep paths of equal equations, or equal programs.")
    ] = False,
    keep_false_equations: Annotated[
        bool, typer.Option("--keep-false-equations", help="Keep paths with a false <<a+b=c>>.")
    ] = False,
    keep_unfinished: Annotated[
        bool, typer.Option("--keep-unfinished", help="Keep paths cut off at --max-tokens.")
    ] = False,
    seed: o.Seed = 0,
) -> None:
    """Draw reasoning paths for every problem and keep the distinct ones.

    Paths already on the lines, and those of --pool, stay; numbers and seeds go on after them.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
    """
    from sipf_cli.running import plan, run_with_engine, show
    from stages.engines.opening import describe_engine
    from stages.joins.earlier_paths import EarlierPaths
    from stages.runs.verdicts import Verdicts
    from stages.sample import Sampler, SampleSettings

    settings = SampleSettings(
        n=n,
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        want_right=want_right,
        want_wrong=want_wrong,
        want=want,
        max_draws=max_draws,
        time_cap=time_cap,
        near_duplicate=near_duplicate,
        keep_duplicates=keep_duplicates,
        keep_false_equations=keep_false_equations,
        keep_unfinished=keep_unfinished,
        round=round,
        seed=seed,
    )
    verdicts = Verdicts(checks.settings())
    facts = describe_engine(engine.settings()) | verdicts.facts()
    if time_cap is not None:
        facts["same whatever the batch"] = "no: --time-cap makes the run not reproducible"
    with EarlierPaths(pool) as earlier:
        run = line.run("sample", lines, output, asdict(settings) | earlier.facts(), facts)
        if line.dry_run:
            plan(run, lambda _: {"draws, at least": n}, json=console.json)
            return
        summary = run_with_engine(
            run,
            engine.settings(),
            lambda e: earlier.joined(Sampler(e, settings, verdicts=verdicts)),
            verdicts=verdicts,
        )
        more = {"pool problems that no line asked for": earlier.unused()} if pool else {}
    show(summary, run.output, json=console.json, more=more)
