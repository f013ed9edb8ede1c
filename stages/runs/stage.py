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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, ClassVar, Protocol, Self

from evals.records import Problem, Record
from evals.tasks import check_problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag, catching_signals
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.files.shards import refuse_other_counts
from stages.runs.opened import Gpus, OpenedResources, Pinned, Resource
from stages.runs.progress import Display, Progress
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.tracking import TENSORBOARD, Tracker
from stages.settings.files import FileSettings
from stages.settings.replicas import ReplicaSettings

LINES_EACH = 512
"""Lines that may be in flight for each replica, if that is more than for one process."""


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

    def begin(self, problem: Problem, tally: Tally) -> Sequence[Problem] | None:
        """What is done where the lines are read: it needs what is known of other lines, or another file.

        Returns:
            The output lines if that was all there is to do, else None: the work follows.
        """
        return None

    def for_replica(self) -> Self:
        """The stage without what `begin` needs: as another process does the rest of the work."""
        return self

    def pinned(self, cores: int) -> Self:
        """The stage with everything that depends on the machine settled as here, so that what the manifest says of it
        holds wherever it runs, and for so many cores."""
        assert is_dataclass(self), "stages are dataclasses"
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return replace(self, **{name: value.pinned(cores) for name, value in values if isinstance(value, Pinned)})

    def gpus(self) -> int:
        """How many GPUs its resources take, where there are some."""
        return sum(resource.gpus() for resource in self.resources() if isinstance(resource, Gpus))

    @abstractmethod
    async def __call__(self, problem: Problem, tally: Tally) -> Sequence[Problem]:
        """Do the work, `begin` included: one problem in, its output lines out; what was done and dropped is counted in
        the tally.

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


def run_stage(run: LineRun, stage: Stage, display: Display, replicas: ReplicaSettings = ReplicaSettings()) -> Summary:
    """Run the stage on every line of a file, handle signals, and report progress.

    With `run.log_to` a tracker gets the figures, too. The stage's resources are opened when the first problem needs
    them, and replicas are started then, so a run that is complete opens nothing.

    Raises:
        SipfError, KeyboardInterrupt: see `run_lines`.
    """
    with catching_signals() as flag:
        return asyncio.run(_run(run, stage, display, flag, replicas))


def _tracker(run: LineRun) -> Tracker | None:
    """The tool that the run is shown by, if any."""
    if run.log_to is None:
        return None
    name = run.stage if run.output == "-" else run.output
    return Tracker(run.log_to, f"{run.stage} {run.output}", run.options, f"{name}.{TENSORBOARD}")


class Workplace(Protocol):
    """Where the problems of a run are done."""

    async def work(self, problem: Problem, tally: Tally) -> Sequence[Record | Mapping[str, Any] | str]:
        """Do one problem; its output lines."""

    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    def rows(self) -> int:
        """Sequences that are being written now."""

    def spent(self) -> Mapping[str, int]:
        """What all of it has cost so far."""

    async def close(self) -> None:
        """Free everything."""


class _Here:
    """This process."""

    def __init__(self, stage: Stage, flag: StopFlag) -> None:
        self._stage, self._opened = stage, OpenedResources(stage.resources(), flag)
        self.hungry, self.rows, self.spent = self._opened.hungry, self._opened.rows, self._opened.spent
        self.close = self._opened.close

    async def work(self, problem: Problem, tally: Tally) -> Sequence[Problem]:
        """See `Workplace.work`."""
        self._opened.ensure()
        return await self._stage(problem, tally)


async def _run(run: LineRun, stage: Stage, display: Display, flag: StopFlag, replicas: ReplicaSettings) -> Summary:
    place: Workplace
    if replicas.wanted:
        from stages.runs.replicas.opening import open_pool

        place = open_pool(stage, replicas, flag, left=lambda: reporter.left, warn=display.warn)
        run = replace(run, window=max(run.window, LINES_EACH * replicas.most))
    else:
        place = _Here(stage, flag)
    reporter = Progress(display, stage.live, place.rows, _tracker(run))
    try:
        return await run_lines(
            run, place.work, hungry=place.hungry, reporter=reporter, flag=flag, usage=place.spent, check=stage.check
        )
    finally:
        await place.close()
