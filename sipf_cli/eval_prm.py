"""`sipf eval-prm`: how good a reward model is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.declare import Panel
from stages.settings.evaluation import PrmSettings
from stages.settings.files import FileSettings
from stages.settings.model import ScorerSettings
from stages.settings.replicas import ReplicaSettings

if TYPE_CHECKING:
    from stages.runs.record import LineRun, Summary

app = new_app()

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=Panel.MAIN,
        help="File to write the scored lines to; needs --model.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Reward model to score the lines with; without it they must be scored already.",
    ),
]  # fmt: skip


@app.command("eval-prm")
def eval_prm(
    lines: o.Input,
    settings: PrmSettings,
    scorer: ScorerSettings,
    files: FileSettings,
    replicas: ReplicaSettings,
    console: o.PresetOptions,
    output: Output = None,
    model: Model = None,
) -> None:
    """Measure a reward model by the first wrong steps that people marked, and by best of n.

    First wrong steps (sipf data processbench): accuracy over the paths with one and over those without, and F1, their
    harmonic mean, at a threshold that is chosen on a held-out share. Best of n (several judged paths per problem): how
    often the path that the scores pick out of n is right, next to a majority vote and the best possible pick; and how
    often a right path scores above a wrong one of the same problem.

    \b
    Example:
      sipf data chain --split train -n 12 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 --keep-duplicates -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --k 2 -o labels.jsonl
      sipf train-prm labels.jsonl --model chain-base --epochs 1 --lr 5e-4 -o prm
      sipf eval-prm paths.jsonl --model prm -o scored.jsonl
    """
    from evals.errors import UsageError
    from sipf_cli.running import execute, show_summary
    from stages.eval_prm import measure
    from stages.score import Scoring
    from stages.scorers.opening import OnDemandScorer
    from stages.settings.score import ScoreSettings

    names = settings.aggregates()
    if model is None:
        if output is not None or files.dry_run:
            raise UsageError("-o and --dry-run are for scoring, which needs --model", "See sipf eval-prm --help.")
        _show(measure(str(lines), settings), {"lines": str(lines)}, json=console.json)
        return
    if output is None or str(output) == "-":
        raise UsageError("--model needs -o FILE for the lines that it scores", "See sipf eval-prm --help.")

    def show(summary: Summary, run: LineRun, _report: Mapping[str, Any]) -> None:
        if not summary.complete:
            show_summary(summary, run, json=console.json)
            return
        measures = measure(run.output, settings)
        more = {
            **measures,
            **{name: {} for name in ("first errors", "best of n", "path pairs") if measures[name] is None},
        }
        tables = [*_counts(measures), *_tables(measures)]
        show_summary(summary, run, json=console.json, more=more, tables=tables)

    stage = Scoring(OnDemandScorer(model, scorer), ScoreSettings(next(iter(names))))
    execute(stage, lines, output, files, console, show, replicas)


def _show(measures: dict[str, Any], head: dict[str, Any], *, json: bool) -> None:
    from sipf_cli.console import emit

    emit({**head, **measures}, [*_counts(measures), *_tables(measures)], json=json)


def _counts(measures: dict[str, Any]) -> list[Any]:
    """What could not be measured."""
    from sipf_cli.console import Table

    return [Table(("", ""), list(measures["counts"].items()))] if measures["counts"] else []


def _tables(measures: dict[str, Any]) -> list[Any]:
    from sipf_cli import rates
    from sipf_cli.console import Table

    tables = []
    for name, found in (measures["first errors"] or {}).items():
        title = f"First wrong steps by {name}: threshold {found['threshold']:.3f}"
        chosen = found["threshold chosen on"]
        title += f", chosen on {chosen:,} other paths" if chosen else ", as given"
        rows = [("F1", found["f1"]), ("accuracy, a step is wrong", found["acc_err"])]
        rows += [("accuracy, none is wrong", found["acc_ok"])]
        rows += [("F1 where it was chosen", found["there"]), ("F1 at 0.5", found["at 0.5"])] if chosen else []
        tables.append(rates.table(rows, title))
    pairs = measures["path pairs"]
    if pairs is not None:
        rows_of_pairs = [
            (name, f"{100 * found['accuracy']:.2f}", found["pairs"], found["problems"]) for name, found in pairs.items()
        ]
        title = "Pairs of a right and a wrong path of the same problem: the right one scores higher"
        tables.append(Table(("scores", "%", "pairs", "problems"), rows_of_pairs, title))
    curves = measures["best of n"]
    if curves is not None:
        columns = ("n", "problems", *(f"{pick} %" for pick in curves["picks"]))
        rows_of_n = [
            (row["n"], row["problems"], *(_point(row[pick]) for pick in curves["picks"])) for row in curves["rows"]
        ]
        tables.append(Table(columns, rows_of_n, "Best of n: share of problems whose picked path is right"))
    return tables


def _point(rate: dict[str, Any] | None) -> str:
    if rate is None:
        return "n/a"
    return f"{100 * rate['rate']:6.2f} ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"
