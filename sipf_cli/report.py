"""`sipf report`: a loop's results in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.console import Table, emit
from sipf_cli.generated import new_app

app = new_app()


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders that examples/loop.sh wrote.")],
    console: o.ConsoleOptions,
    against: Annotated[str, typer.Option("--against", help="Policy that gains are measured against.")] = "sft",
) -> None:
    """Put the results of a loop, or of several with the same test problems, into one table.

    Trace % is the share of right answers by right steps: on the chain world by the world's own truth, on GSM8K without
    a false equation. The best round is the one that sipf health names.

    \b
    Example:
      mkdir -p run/eval
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o run/eval/sft.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.6 -o run/eval/better.jsonl
      sipf report run
    """
    from stages.report import report as collect

    result = collect(folders, against)
    columns = ("policy", "split", "right", "n", "accuracy %", "95 % interval", "trace %", f"gain over {against}", "p")
    tables = [Table(columns, [_policy(row) for row in result["policies"]], title="Accuracy")]
    if result["rounds"]:
        names = list(result["rounds"][0])
        rows = [[name, *(row[name] for row in result["rounds"])] for name in names]
        names_of_rounds = ("", *(f"#{i}" for i in range(len(result["rounds"]))))
        tables.append(Table(names_of_rounds, rows, title="What each round took and made"))
    if result["best"]:
        of_best = ("loop", "best", "model", "chosen on", "rounds", "ended by")
        tables.append(Table(of_best, [_best(row) for row in result["best"]], title="Best round, by health.jsonl"))
    emit(result, tables, json=console.json)


def _best(row: dict[str, Any]) -> tuple[object, ...]:
    best = f"round {row['round']}" if row["round"] else "SFT"
    return (row["loop"], best, row["model"], row["chosen_on"], row["rounds"], row["ended_by"])


def _policy(row: dict[str, Any]) -> tuple[object, ...]:
    interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
    gain = f"{100 * row['gain']:+.1f}" if "gain" in row else "-"
    trace = f"{100 * row['trace']['rate']:.1f}" if row["trace"] else "-"
    p = f"{row['p']:.2g}" if "p" in row else "-"
    return (row["policy"], row["split"], row["right"], row["n"], f"{100 * row['rate']:.1f}", interval, trace, gain, p)
