"""`sipf report`: a loop's results in one table, or on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.console import Table, emit
from sipf_cli.generated import new_app
from stages.settings.declare import Panel
from stages.settings.report import ReportSettings

app = new_app()


Page = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", dir_okay=False, metavar="FILE", rich_help_panel=Panel.MAIN,
        help="Write a page of HTML with charts, which needs no network, instead of printing the table.",
    ),
]  # fmt: skip
Figures = Annotated[
    Path | None,
    typer.Option(
        "--figures", file_okay=False, metavar="FOLDER", rich_help_panel=Panel.MAIN,
        help="Write every chart of the page as an SVG file into this folder.",
    ),
]  # fmt: skip
Open = Annotated[bool, typer.Option("--open", rich_help_panel=Panel.MAIN, help="Show the page in the browser.")]


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders that examples/loop.sh wrote.")],
    settings: ReportSettings,
    console: o.ConsoleOptions,
    output: Page = None,
    figures: Figures = None,
    open: Open = False,
) -> None:
    """Put the results of a loop, or of several with the same test problems, into one table or one page.

    Trace % is the share of right answers by right steps: on the chain world by the world's own truth, on GSM8K without
    a false equation. The best round is the one that sipf health names. The page adds paired tests against the round
    before, what labels cost, what was dropped and why, how good the reward model is, the curves of training, and all
    settings.

    \b
    Example:
      mkdir -p run/eval
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o run/eval/sft.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.6 -o run/eval/better.jsonl
      sipf report run
      sipf report run -o report.html --figures figures
    """
    from evals.errors import UsageError
    from stages.report import report as collect
    from stages.report import write_page

    if open and output is None:
        raise UsageError("--open shows a page, and none is written", "Give -o FILE.")
    result = collect(folders, settings)
    if output is not None or figures is not None:
        written = write_page(folders, result, settings, output, figures)
        places = {name: str(path) for name, path in (("page", output), ("figures", figures)) if path is not None}
        emit(
            {**result, "written": {**places, **written}},
            Table(("", ""), [*places.items(), ("charts", written["charts"]), ("bytes", written.get("bytes"))]),
            json=console.json,
        )
    else:
        emit(result, _tables(result, settings.against), json=console.json)
    if open and output is not None:
        import webbrowser

        webbrowser.open(output.resolve().as_uri())


def _tables(result: dict[str, Any], against: str) -> list[Table]:
    from stages.page.costs import known_figures

    columns = ("policy", "split", "right", "n", "accuracy %", "95 % interval", "trace %", f"gain over {against}", "p")
    tables = [Table(columns, [_policy(row) for row in result["policies"]], title="Accuracy")]
    if result["rounds"]:
        names = known_figures(result["rounds"])
        rows = [[name, *(row[name] for row in result["rounds"])] for name in names]
        names_of_rounds = ("", *(f"#{i}" for i in range(len(result["rounds"]))))
        tables.append(Table(names_of_rounds, rows, title="What each round took and made"))
    if result["best"]:
        of_best = ("loop", "best", "model", "chosen on", "rounds", "ended by")
        tables.append(Table(of_best, [_best(row) for row in result["best"]], title="Best round, by health.jsonl"))
    return tables


def _best(row: dict[str, Any]) -> tuple[object, ...]:
    best = f"round {row['round']}" if row["round"] else "SFT"
    return (row["loop"], best, row["model"], row["chosen_on"], row["rounds"], row["ended_by"])


def _policy(row: dict[str, Any]) -> tuple[object, ...]:
    interval = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
    gain = f"{100 * row['gain']:+.1f}" if "gain" in row else "-"
    trace = f"{100 * row['trace']['rate']:.1f}" if row["trace"] else "-"
    p = f"{row['p']:.2g}" if "p" in row else "-"
    return (row["policy"], row["split"], row["right"], row["n"], f"{100 * row['rate']:.1f}", interval, trace, gain, p)
