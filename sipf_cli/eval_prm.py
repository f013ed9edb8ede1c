"""`sipf eval-prm`: how good a reward model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.groups import ConsoleOptions, LineOptions, expanded

app = new_app()


@app.command("eval-prm")
@expanded
def eval_prm(
    lines: o.Input,
    line: LineOptions,
    console: ConsoleOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of the scored lines; needed with --model.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Reward model to score with; lines are scored already without.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Scores to measure: prm, or orm:last (:mean, min, product); may be given again."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=0.0, max=1.0, help="Below it a step is wrong; else it is chosen.")
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", min=0.0, max=1.0, help="Share of the problems to choose the threshold on.")
    ] = 0.25,
    best_of: Annotated[
        list[int] | None, typer.Option("--best-of", min=1, help="Size of best of n; may be given again.")
    ] = None,
    batch_tokens: Annotated[int, typer.Option("--batch-tokens", min=0, help="Tokens a batch; 0: by device.")] = 0,
    device: o.DeviceOption = o.Device.auto,
    dtype: o.DtypeOption = o.Dtype.auto,
    load_in_4bit: o.LoadIn4bit = False,
    trust_remote_code: o.TrustRemoteCode = False,
    seed: o.Seed = 0,
) -> None:
    """Measure a reward model: the first wrong steps that people found, and best of n.

    First wrong steps (sipf data processbench): accuracy over the paths with one and over those without, and F1, their
    harmonic mean, at a threshold that is chosen on a held-out share. Best of n (several judged paths a problem): how
    often the path that the scores pick out of n is right, beside the majority's and the best there is.

    \b
    Example:
      sipf data chain --split train -n 12 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 --keep-duplicates -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --k 2 -o labels.jsonl
      sipf train-prm labels.jsonl --model chain-base --epochs 1 --lr 5e-4 -o prm
      sipf eval-prm paths.jsonl --model prm -o scored.jsonl
    """
    from evals.errors import UsageError
    from stages.eval_prm import measure
    from stages.settings.evaluation import PrmSettings

    settings = PrmSettings(tuple(name or ["prm"]), threshold, held_out, tuple(sorted(set(best_of or []))), seed)
    settings.aggregates()
    if model is None:
        if output is not None or line.dry_run:
            raise UsageError("-o and --dry-run are for scoring, which needs --model", "See sipf eval-prm --help.")
        _show(measure(str(lines), settings), {"lines": str(lines)}, json=console.json)
        return
    if output is None or str(output) == "-":
        raise UsageError("--model needs -o FILE for the lines that it scores", "See sipf eval-prm --help.")
    from stages.scorers.hf import Scorer

    key = next(iter(settings.aggregates()))

    def open_scorer() -> Scorer:
        return Scorer(
            model,
            device=device.value,
            dtype=dtype.value,
            load_in_4bit=load_in_4bit,
            batch_tokens=batch_tokens,
            label=key,
            trust_remote_code=trust_remote_code,
        )

    from sipf_cli.running import plan, run_over_lines, show
    from stages.scorers.hf import describe_scorer
    from stages.simulate import check_steps

    facts = describe_scorer(model, device.value, dtype.value, load_in_4bit=load_in_4bit)
    run = line.run("score", lines, output, {"name": key}, facts)
    if line.dry_run:
        plan(run, lambda problem: {"paths": len(problem.paths)}, json=console.json, check=check_steps)
        return
    summary = run_over_lines(run, open_scorer, lambda scorer: scorer.work, check_steps)
    if not summary.complete:
        show(summary, run.output, json=console.json)
        return
    measures = measure(run.output, settings)
    more = {**measures, **{name: {} for name in ("first errors", "best of n") if measures[name] is None}}
    show(summary, run.output, json=console.json, more=more, tables=[*_counts(measures), *_tables(measures)])


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
