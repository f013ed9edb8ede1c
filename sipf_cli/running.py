"""What the commands that go through lines with an engine share: open, run, show, end with the right code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import typer

from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import Reporter, Table, emit

if TYPE_CHECKING:
    from evals.records import Problem
    from stages.engines.base import Engine
    from stages.engines.opening import EngineSettings
    from stages.runs.runner import LineRun, Summary, Tally

Stage: TypeAlias = "Callable[[Problem, Tally], Awaitable[Sequence[Problem]]]"


class Opened(Protocol):
    """What a run over lines needs of an engine or a scorer."""

    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    def spent(self) -> Mapping[str, int]:
        """What it has cost so far, for the manifest."""

    async def close(self) -> None:
        """Free what is held."""


Model = TypeVar("Model", bound=Opened)


def run_with_engine(
    run: LineRun,
    settings: EngineSettings,
    stage_of: Callable[[Engine], Stage],
    check: Callable[[Problem], None] | None = None,
) -> Summary:
    """Run a stage that writes text over all lines; see `run_over_lines`."""
    from stages.engines.opening import open_engine

    return run_over_lines(run, lambda: open_engine(settings), stage_of, check)


def run_over_lines(
    run: LineRun,
    open_model: Callable[[], Model],
    stage_of: Callable[[Model], Stage],
    check: Callable[[Problem], None] | None = None,
) -> Summary:
    """Run a stage over all lines, with progress shown and signals heeded.

    Args:
        run: what is read, written and recorded.
        open_model: opens the engine or scorer; called when the first line needs it, so a finished run loads nothing.
        stage_of: the stage on what was opened; it is called for each problem.
        check: raises DataError for a line that the stage cannot use.
    """
    import asyncio

    from evals.errors import Interrupted
    from evals.tasks import check_problem
    from stages.files.interrupts import RUN_AGAIN, catching_signals
    from stages.runs.runner import run_lines
    from stages.runs.verdicts import check_costs

    opened: list[Model] = []

    def model() -> Model:
        if not opened:
            try:
                with flag.at_once():  # loading takes long and never looks at the flag
                    opened.append(open_model())
            except KeyboardInterrupt as error:  # must not come out of a task; the run looks at the flag
                raise Interrupted("stopped by SIGINT", RUN_AGAIN) from error
        return opened[0]

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        return await stage_of(model())(problem, tally)

    async def go() -> Summary:
        try:
            return await run_lines(
                run,
                work,
                hungry=lambda: bool(opened) and opened[0].hungry(),
                reporter=reporter,
                flag=flag,
                usage=lambda: {**(opened[0].spent() if opened else {}), **check_costs()},
                check=check or check_problem,
            )
        finally:
            if opened:
                await opened[0].close()

    reporter = Reporter()
    try:
        with catching_signals() as flag:
            return asyncio.run(go())
    finally:
        reporter.finish()


def show(
    summary: Summary,
    output: str,
    *,
    json: bool,
    more: Mapping[str, Any] | None = None,
    tables: Sequence[Table] = (),
    told: Sequence[str] = (),
) -> None:
    """Print how a run over lines ended, and end the program with its exit code unless that is 0.

    Counts named in `told` are left out of the table, as one of `tables` tells them; the JSON has them all.
    """
    result: dict[str, Any] = {
        "output": output,
        "already complete": summary.already,
        "problems": summary.done,
        "resumed": summary.resumed,
        "bad lines": summary.bad,
        "failed": summary.failed,
        "seconds": round(summary.seconds, 2),
        "counts": dict(summary.counts),
        **(more or {}),
    }
    rows = [(name, value) for name, value in result.items() if not isinstance(value, Mapping) and value is not False]
    rows += [(name, value) for name, value in result["counts"].items() if value and name not in told]
    for name in more or {}:
        if isinstance(result[name], Mapping) and not tables:
            rows += [(f"{name}: {key}", value) for key, value in result[name].items() if not isinstance(value, Mapping)]
    emit(result, [Table(("", ""), rows), *tables], json=json, data_on_stdout=output == "-")
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def plan(
    run: LineRun,
    cost_of: Callable[[Problem], Mapping[str, int]],
    *,
    json: bool,
    check: Callable[[Problem], None] | None = None,
) -> None:
    """`--dry-run`: read every line, add up what the stage would do, and do nothing. `check` is the stage's own; bad
    lines are told, counted and end in exit code 3, as in the run itself."""
    from collections import Counter

    from evals.tasks import check_problem
    from stages.files.problems import read_problems

    counts: Counter[str] = Counter(problems=0)
    bad = skipping_bad_lines(strict=run.strict)
    for problem in read_problems(run.source, bad, shard=run.shard, check=check or check_problem):
        counts["problems"] += 1
        counts.update(cost_of(problem))
    if bad.count:
        counts["bad lines"] = bad.count
    emit({"would write": run.output, **run.facts, **counts}, json=json)
    end_after(bad.count)
