"""`sipf eval`: how good a policy is, and whether another one is better."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import EngineOptions, LineOptions, Speech, expanded

app = new_app()


@app.command("eval")
@expanded
def evaluate(
    engine: EngineOptions,
    line: LineOptions,
    speech: Speech,
    lines: Annotated[
        Path | None, typer.Argument(allow_dash=True, metavar="LINES", help="Problems to answer, or - for stdin.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", allow_dash=True, help="File of the judged answers.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="Answers a problem.")] = 1,
    temperature: o.Temperature = 0.0,
    top_p: o.TopP = 1.0,
    max_tokens: o.MaxTokens = None,
    k: Annotated[list[int] | None, typer.Option("--k", min=1, help="pass@k to report; may be given again.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Key of the lines (or 'id': the id's first parts) to report rows by.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option("--compare", help="Two result files to compare, problem by problem.")
    ] = None,
    seed: o.Seed = 0,
) -> None:
    """Measure a model's accuracy, or compare two result files.

    Greedy unless a temperature is given. Every rate comes with its 95 % Wilson interval.

    \b
    Example:
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o base.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.4 -o scripted.jsonl
      sipf eval --compare base.jsonl scripted.jsonl
    """
    from evals.errors import UsageError
    from sipf_cli.running import plan, run_with_engine
    from stages.engines.opening import describe_engine
    from stages.evaluate import EvalSettings, Evaluation, compare_files

    if compare is not None:
        _show_comparison(compare_files(str(compare[0]), str(compare[1])), compare, json=speech.json)
        return
    if lines is None or output is None:
        raise UsageError("eval needs problems and -o FILE, or --compare FIRST SECOND", "See sipf eval --help.")
    settings = EvalSettings(n, temperature, top_p, max_tokens, seed)
    run = line.run("eval", lines, output, asdict(settings), describe_engine(engine.settings()))
    if line.dry_run:
        plan(run, lambda _: {"answers": n}, json=speech.json)
        return
    summary = run_with_engine(run, engine.settings(), lambda e: Evaluation(e, settings))
    _show_results(summary, run.output, sorted(set(k or [1])), by, json=speech.json)


def _show_results(summary: Any, output: str, ks: list[int], by: str | None, *, json: bool) -> None:
    from sipf_cli.console import Table
    from sipf_cli.running import show
    from stages.evaluate import read_results

    if output == "-" or not summary.complete:
        show(summary, output, json=json)
        return
    results = read_results(output, tuple(ks), by)
    tables = [Table(("", "right", "n", "rate", "95 % low", "high"), [_rate_row(*row) for row in results.rates()])]
    passes = [(name, value if value is not None else "n/a") for name, value in results.passes()]
    tables.append(Table(("", "mean"), passes))
    show(summary, output, json=json, more={"results": results.as_dict()}, tables=tables)


def _rate_row(name: str, rate: dict[str, Any]) -> tuple[object, ...]:
    return (name, rate["right"], rate["n"], round(rate["rate"], 4), round(rate["low"], 4), round(rate["high"], 4))


def _show_comparison(result: dict[str, Any], files: tuple[Path, Path], *, json: bool) -> None:
    from sipf_cli.console import Table, emit

    rates = [_rate_row(str(name), result[key]) for name, key in zip(files, ("first", "second"), strict=True)]
    rest = [(key, value) for key, value in result.items() if key not in ("first", "second")]
    emit(result, [Table(("", "right", "n", "rate", "95 % low", "high"), rates), Table(("", ""), rest)], json=json)
