"""`sipf health`: how a round of the loop went, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import TextWrapper
from typing import Annotated, Any

import typer

from sipf_cli import options as o
from sipf_cli.console import Table, emit
from sipf_cli.generated import new_app
from stages.settings.health import HealthSettings

app = new_app()

WIDTH = 80


@app.command()
def health(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that examples/loop.sh wrote.")],
    settings: HealthSettings,
    console: o.ConsoleOptions,
) -> None:
    """Say how a round of the loop went and what is wrong with it; the figures go to FOLDER/health.jsonl.

    The signs: a plateau, falling accuracy, a weak reward model, a diverging loss, shrinking diversity. Validation
    problems decide whether accuracy rises or falls and which round is best, where the loop has some (loop.sh
    --stop-when); else test problems do. Round N made the policy roundN; 0 is SFT.

    \b
    Example:
      mkdir -p run/eval
      sipf data chain --split test -n 40 -o test.jsonl
      sipf eval test.jsonl --model chain-base -o run/eval/sft.jsonl
      sipf eval test.jsonl --engine scripted --script gold:0.6 -o run/eval/round1.jsonl
      sipf health run
    """
    from stages.health import health as compute
    from stages.rounds.lines import HEALTH

    done = compute(folder, settings)
    line, _ = done[-1]
    summary = {"file": str(folder / HEALTH), "written": {one["round"]: how for one, how in done}, **line}
    written = ", ".join(f"round {one['round']} {how}" for one, how in done)
    before = "SFT" if line["round"] == 1 else f"round {line['round'] - 1}"
    tables = [
        Table(("", "n", "right", "interval", "trace", "gain", "p", "over SFT", "p"),
              [_accuracy(name, split) for name, split in line["splits"].items()],
              title=f"Round {line['round']} of {folder}, in %, with 95 % intervals; gain over {before}"),
        Table(("", ""), list(_figures(line))),
        Table(("",), [(text,) for text in _verdict(line)], title=""),
        Table(("", ""), [(str(folder / HEALTH), written)]),
    ]  # fmt: skip
    emit(summary, tables, json=console.json)


def _accuracy(name: str, split: Mapping[str, Any]) -> tuple[object, ...]:
    """A split's row; shares in percent, gains in points."""
    return (
        name, split["n"], _percent(split["rate"]),
        f"{_percent(split['low'])}-{_percent(split['high'])}", split["trace"] and _percent(split["trace"]["rate"]),
        _points(split["gain"]), _p(split["p"]), _points(split["gain_over_sft"]), _p(split["p_over_sft"]),
    )  # fmt: skip


def _figures(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the round made, one figure per row; nothing for what its kind of feedback does not need."""
    pairs, labels, prm = line["pairs"], line["labels"], line["reward_model"]
    drawn, training = line["drawn"], line["training"]
    if pairs:
        of = f"{pairs['pairs']:,} from {pairs['problems_with_a_pair']:,} of {pairs['problems']:,} problems"
        yield "pairs", of
        if len(pairs["by_rule"]) > 1:
            yield "  by rule", ", ".join(f"{name} {n:,}" for name, n in pairs["by_rule"].items())
    if labels:
        share = labels["of_brute_force"]
        of = "" if share is None else f", {share:.1%} of brute force"
        yield "labels", f"{labels['steps']:,} steps of {labels['problems']:,} problems"
        yield "  cost", f"{labels['rollouts']:,} rollouts, {labels['tokens']:,} tokens{of}"
    if prm and prm["accuracy"] is not None:
        yield (
            "reward model",
            f"{_percent(prm['accuracy'])} % right; always one verdict: {_percent(prm['majority_accuracy'])} %",
        )
        yield "  ranking", f"AUC {_short(prm['auc'])}, within a question {_short(prm.get('pair_accuracy'))}"
        yield "  calibration", f"error {_short(prm['calibration_error'])}, Brier score {_short(prm.get('brier'))}"
    if drawn:
        yield (
            "diversity",
            (
                f"{drawn['distinct_per_draw']:.2f} distinct paths per draw, "
                f"{drawn['answers_per_question']:.2f} answers per question"
            ),
        )
        yield "  overlap of steps", _short(drawn["overlap"])
        cut = "" if drawn["cut_off"] is None else f", {drawn['cut_off']:.1%} of draws cut off"
        yield "paths", f"{_short(drawn['steps'])} steps, {_short(drawn['tokens'])} tokens on average{cut}"
    answers = next(iter(line["splits"].values()))
    if answers["tokens"] is not None and answers["cut_off"] is not None:
        yield "answers", f"{answers['tokens']:.4g} tokens on average, {answers['cut_off']:.1%} cut off"
    for name, key in _COURSES.items():
        if training and key in training:
            course = training[key]
            yield name, f"{course['first']:.4g} at first, {course['last']:.4g} at the end"


_COURSES = {
    "training loss": "loss",
    "  held-out loss": "held_out_loss",
    "  log p, chosen": "chosen_logps",
    "  log p, rejected": "rejected_logps",
    "  log odds ratio": "log_odds_ratio",
}


def _verdict(line: Mapping[str, Any]) -> Iterator[str]:
    """The signs with advice, and the best round so far, as lines of at most 80 characters."""
    for sign in line["signs"]:
        yield from _wrapped(f"{sign['sign'].upper()}: {sign['why']}.")
        yield from _wrapped(f"  {sign['advice']}")
    if not line["signs"]:
        yield "no failure sign"
    best = "SFT" if line["best"] == 0 else f"round {line['best']}"
    told = f"best so far: {best} ({line['best_model']}), chosen on {line['chosen_on']} problems"
    if line["measured_on"]["file"] == "eval":
        told += ", so its accuracy on them is optimistic (loop.sh --stop-when measures validation problems as well)"
    yield from _wrapped(told)
    if line["stop"]:
        yield f"the loop ends here: {line['stop']['sign']} (--stop-when {line['stop']['when']})"


def _wrapped(text: str) -> list[str]:
    """The text in lines of at most 80 characters; an option is not broken at its hyphens."""
    return TextWrapper(WIDTH, subsequent_indent="  ", break_on_hyphens=False).wrap(text)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(gain: float | None) -> str | None:
    return None if gain is None else f"{100 * gain:+.1f}"


def _p(p: float | None) -> str | None:
    return None if p is None else f"{p:.2g}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
