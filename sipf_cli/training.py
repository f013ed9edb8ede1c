"""What the training commands share: train, show the log, end with the right exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from sipf_cli import costs
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import Reporter, Table, emit

if TYPE_CHECKING:
    from pathlib import Path

    from evals.errors import DataError
    from sipf_cli.options import ConsoleOptions
    from stages.settings.training import TrainingFiles


Log: TypeAlias = Callable[[dict[str, Any]], None]


def run_training(stage: str, train: Callable[[Any, Log], dict[str, Any]]) -> dict[str, Any]:
    """Train, showing progress and stopping on SIGTERM.

    Args:
        stage: name for the progress line.
        train: called with the stop flag and a function that takes each logged line; returns the manifest.
    """
    from stages.files.interrupts import catching_signals

    reporter = Reporter()
    seen = 0

    def log(line: dict[str, Any]) -> None:
        nonlocal seen
        if not seen:
            reporter.start(stage, line["steps"], 0, unit="updates")
        reporter.advance(count=line["step"] - seen)
        seen = line["step"]

    try:
        with catching_signals() as flag, flag.at_once():  # until `fit` has begun to train
            return train(flag, log)
    finally:
        reporter.finish()


def one_start(model: str | None, continue_from: str | None) -> str:
    """The policy that training on pairs starts from.

    Raises:
        UsageError: neither is given, or both.
    """
    from evals.errors import UsageError

    start = model or continue_from
    if start is None or (model and continue_from):
        raise UsageError("give either --model or --continue-from", "--model restarts from the base, as the paper does.")
    return start


def train(
    stage: str,
    run: Callable[..., dict[str, Any]],
    files: TrainingFiles,
    console: ConsoleOptions,
    output: Path,
    *,
    check: Callable[[], object],
    read: Mapping[str, int],
    bad: Sequence[DataError],
) -> None:
    """Report the bad lines, train unless it is a dry run, show how it ended, and end with the right exit code.

    Args:
        run: takes what all training stages take (out, stop, log, overwrite and bad); everything else is bound already.
        check: refuses what cannot be trained, for a dry run (the stage itself does so, too).
        read: what was read, for a dry run.
        bad: what is wrong with the lines that could not be read; the stage may find more.
    """
    lines = skipping_bad_lines(strict=files.strict)
    for fault in bad:
        lines.add(fault)
    if files.dry_run:
        check()
        head = {"would write": str(output), **read, "bad lines": lines.count}
        if files.calibrate is None:
            emit(head, json=console.json)
        else:
            _calibrate(
                stage,
                partial(run, out=str(output), overwrite=files.overwrite, calibrate=files.calibrate, bad=lines),
                head,
                json=console.json,
            )
    else:
        how = {"out": str(output), "overwrite": files.overwrite}
        manifest = run_training(stage, lambda stop, log: run(**how, stop=stop, log=log, bad=lines))
        show_training(manifest, output, json=console.json, bad=lines.count)
    end_after(lines.count)


def _calibrate(stage: str, run: Callable[..., dict[str, Any]], head: Mapping[str, Any], *, json: bool) -> None:
    """`--dry-run --calibrate`: time a few updates, write nothing, and show what the whole run would take."""
    from stages.files.interrupts import nothing_to_resume

    with nothing_to_resume():
        found = run_training(stage, lambda stop, log: run(stop=stop, log=log))
    told = {"already complete": True} if found.get("already complete") else found.get("counts", {})
    if "resumes at" in found:
        told = {**told, "resumes at": found["resumes at"]}
    estimate = found.get("estimate", {})
    emit(
        {**head, **told, "estimate": estimate},
        Table(("", ""), [*{**head, **told}.items(), *costs.rows(estimate)]),
        json=json,
    )


def show_training(manifest: Mapping[str, Any], output: Path, *, json: bool, bad: int = 0) -> None:
    """Print what was trained on, what was left out (`bad` lines too), and how it ended."""
    keep = ("counts", "result", "eval", "seconds")
    already = bool(manifest.get("already complete"))
    head = {"output": str(output), "already complete": already, "bad lines": bad}
    summary = {**head, **{key: manifest[key] for key in keep if key in manifest}}
    rows: list[tuple[str, Any]] = [(name, value) for name, value in head.items() if value is not False]
    rows += [("seconds", manifest.get("seconds"))]
    rows += [(name, value) for name, value in manifest.get("counts", {}).items()]
    rows += [(name, value) for name, value in manifest.get("result", {}).items()]
    rows += [(f"held-out {name}", value) for name, value in manifest.get("eval", {}).items()]
    emit(summary, Table(("", ""), rows), json=json)
