"""What a stage over lines is, and how it is run over a file on this machine.

    stage = Sampler(OnDemandEngine(engine), SampleSettings(n=8))
    run = line_run(stage, "problems.jsonl", "paths.jsonl", FileSettings())
    summary = run_stage(run, stage, reporter)

A stage says what is done with one problem. It knows nothing of files, the event loop or other problems, so its runner
decides where it runs and how many problems at a time.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from evals.errors import Interrupted
from evals.records import Problem
from evals.tasks import check_problem
from stages.counts import Tally
from stages.files.interrupts import RUN_AGAIN, StopFlag, catching_signals
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.files.shards import refuse_other_counts
from stages.runs.progress import Display, Progress
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.tracking import TENSORBOARD, Tracker
from stages.settings.files import FileSettings


@runtime_checkable
class Resource(Protocol):
    """What a stage works with and must open first: an engine, a scorer, a checker of programs, another file of lines.

    Until it is opened it is only a description: cheap to make, and it can be pickled.
    """

    def facts(self) -> Mapping[str, Any]:
        """What about it decides the data, as JSON: recorded in the manifest, compared when a run is resumed."""

    def open(self) -> None:
        """Make it ready, if it is not yet. Called when the first problem needs it."""

    def hungry(self) -> bool:
        """True while more problems should be admitted to keep it busy."""

    def spent(self) -> Mapping[str, int]:
        """What it has cost so far, by name, for the manifest."""

    async def close(self) -> None:
        """Free what it holds."""


@runtime_checkable
class Rows(Protocol):
    """A resource that writes several sequences at once."""

    def rows(self) -> int:
        """How many it is writing now; 0 where it does not know."""


class Stage(ABC):
    """One command's work on one problem. Subclasses are frozen dataclasses; fields that are a `Resource` are opened,
    queried and closed by the runner of the stage."""

    name: ClassVar[str]
    """The command's name, in manifests and progress lines."""
    settings: Any
    """What decides the data; a settings dataclass."""

    def options(self) -> dict[str, Any]:
        """The settings as the manifest prints them."""
        return asdict(self.settings)

    def resources(self) -> list[Resource]:
        """Its fields that have to be opened."""
        assert is_dataclass(self), "stages are dataclasses"
        return [value for each in fields(self) if isinstance(value := getattr(self, each.name), Resource)]

    def facts(self) -> dict[str, Any]:
        """What decides the data besides the settings: the model and its hash, the pool, how programs are checked."""
        return {name: value for resource in self.resources() for name, value in resource.facts().items()}

    def check(self, problem: Problem) -> None:
        """Refuse a line that the stage cannot use.

        Raises:
            DataError: `field: what is wrong`.
        """
        check_problem(problem)

    def estimate(self, problem: Problem) -> Mapping[str, int]:
        """What the problem would cost, by name; for --dry-run."""
        return {}

    def size(self, problem: Problem) -> float:
        """How much work the problem is next to others (0: none); --calibrate runs a few and infers the rest by it."""
        return 1.0

    @abstractmethod
    async def __call__(self, problem: Problem, tally: Tally) -> Sequence[Problem]:
        """Do the work: one problem in, its output lines out; what was done and dropped is counted in the tally.

        Raises:
            ProblemFailed: this problem cannot be done; the others continue.
        """

    def live(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        """What the sums of all tallies so far (`Tally.counts` and `Tally.shown`) say of a run as it goes.

        Returns:
            Shares in [0, 1] by name, such as "right"; none where there is nothing to say yet.
        """
        return {}

    def report(self, counts: Mapping[str, int]) -> Mapping[str, Any]:
        """What the sums of all tallies mean, for the summary: figures, or named groups of them."""
        return {}


def line_run(stage: Stage, source: str, output: str, files: FileSettings) -> LineRun:
    """What a run of the stage reads, writes and records; `{shard}` in the output's name becomes the shard's number.

    Raises:
        UsageError: the output stands among those of a run with another number of shards.
        SipfError: a resource cannot be described (there is no such model, for example).
    """
    if files.shard is not None and "{shard}" in output:
        if not files.overwrite:
            refuse_other_counts(output, files.shard)
        output = output.replace("{shard}", str(files.shard.index))
    return LineRun(
        stage=stage.name,
        source=source,
        output=output,
        options=stage.options(),
        facts=stage.facts(),
        shard=files.shard,
        strict=files.strict,
        overwrite=files.overwrite,
        skip_failed=files.skip_failed,
        manifest=None if files.manifest is None else str(files.manifest),
        log_to=None if files.log_to == "none" else files.log_to,
    )


def estimate_stage(run: LineRun, stage: Stage, bad: BadLines) -> Counter[str]:
    """Read every line, do nothing, and add up what the stage would do.

    Args:
        bad: gets the bad lines.

    Returns:
        "problems", what the stage estimates by name, and "bad lines" where there are any.
    """
    counts: Counter[str] = Counter(problems=0)
    for problem in read_problems(run.source, bad, shard=run.shard, check=stage.check):
        counts["problems"] += 1
        counts.update(stage.estimate(problem))
    if bad.count:
        counts["bad lines"] = bad.count
    return counts


def run_stage(run: LineRun, stage: Stage, display: Display) -> Summary:
    """Run the stage on every line of a file, handle signals, and report progress.

    With `run.log_to` a tracker gets the figures, too. The stage's resources are opened when the first problem needs
    them, so a run that is complete opens nothing.

    Raises:
        SipfError, KeyboardInterrupt: see `run_lines`.
    """
    with catching_signals() as flag:
        return asyncio.run(_run(run, stage, display, flag))


def _tracker(run: LineRun) -> Tracker | None:
    """The tool that the run is shown by, if any."""
    if run.log_to is None:
        return None
    name = run.stage if run.output == "-" else run.output
    return Tracker(run.log_to, f"{run.stage} {run.output}", run.options, f"{name}.{TENSORBOARD}")


async def _run(run: LineRun, stage: Stage, display: Display, flag: StopFlag) -> Summary:
    opened = _Opened(stage.resources(), flag)
    reporter = Progress(display, stage.live, opened.rows, _tracker(run))

    async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
        opened.ensure()
        return await stage(problem, tally)

    try:
        return await run_lines(
            run, work, hungry=opened.hungry, reporter=reporter, flag=flag, usage=opened.spent, check=stage.check
        )
    finally:
        await opened.close()


class _Opened:
    """A stage's resources during one run."""

    def __init__(self, resources: list[Resource], flag: StopFlag) -> None:
        self._resources, self._flag = resources, flag
        self._open: list[Resource] = []

    def ensure(self) -> None:
        """Open what is not open yet."""
        for resource in self._resources[len(self._open) :]:
            try:
                with self._flag.at_once():  # loading takes long and never looks at the flag
                    resource.open()
            except KeyboardInterrupt as error:  # must not leave a task; the run checks the flag
                raise Interrupted("stopped by SIGINT", RUN_AGAIN) from error
            self._open.append(resource)

    def hungry(self) -> bool:
        """True while more problems should be admitted: not before everything is open."""
        return len(self._open) == len(self._resources) and all(resource.hungry() for resource in self._resources)

    def rows(self) -> int:
        """How many sequences all of them are writing now."""
        return sum(resource.rows() for resource in self._open if isinstance(resource, Rows))

    def spent(self) -> dict[str, int]:
        """What all of them have cost so far."""
        return dict(self._costs())

    def _costs(self) -> Iterator[tuple[str, int]]:
        for resource in self._open:
            yield from resource.spent().items()

    async def close(self) -> None:
        """Close what was opened."""
        for resource in self._open:
            await resource.close()
