"""The description of a run over lines, what decides its data, and the manifest it writes when it is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evals.errors import UsageError
from stages.files.inputs import Fingerprint, stamp_of
from stages.files.manifest import Ranges, now, parent_of, plain, surroundings, toolkit_version
from stages.files.shards import Shard
from stages.runs.scheduler import Scheduler


@dataclass(frozen=True)
class LineRun:
    """What a run is to do. `options` and `facts` (model, its hash, template) are JSON, and decide the data."""

    stage: str
    source: str
    output: str
    options: Mapping[str, Any]
    facts: Mapping[str, Any]
    shard: Shard | None = None
    strict: bool = False
    """Stop at the first bad line."""
    overwrite: bool = False
    skip_failed: bool = False
    """Complete the run without the problems that failed."""
    manifest: str | None = None
    """Also write the manifest here; for `-` only here."""
    log_to: str | None = None
    """The tool that shows the run; decides nothing about the data."""
    window: int = 4096
    """Lines of the shard that may be in flight at once."""
    command: tuple[str, ...] = ()
    """The words of the command line, for the manifest; they decide nothing about the data."""


@dataclass
class Summary:
    """How a run ended. `done` problems have their lines, `resumed` of them from earlier attempts. `counts` are the
    tallies' sums, and `seconds` is the total over all attempts."""

    done: int = 0
    resumed: int = 0
    bad: int = 0
    failed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    complete: bool = False
    already: bool = False

    @property
    def exit_code(self) -> int:
        """6 if problems failed and should be tried again, 3 if lines were bad, else 0."""
        if self.failed and not self.complete:
            return 6
        return 3 if self.bad else 0


class RunRecord:
    """One call of `run_lines`: what it needs for either kind of output, file or stream."""

    def __init__(self, run: LineRun, usage: Callable[[], Mapping[str, int]] | None, print_: Fingerprint | None) -> None:
        self.run, self.usage, self.print = run, usage or dict, print_
        self.begun = time.monotonic()
        shard = run.shard and {"index": run.shard.index, "count": run.shard.count}
        sha256 = print_ and print_.sha256
        self.identity = plain({
            "stage": run.stage, "options": run.options, "facts": run.facts, "shard": shard,
            "input": {"path": run.source, "sha256": sha256},
        })  # fmt: skip
        typed = {"command": list(run.command)} if run.command else {}
        self.header = {"sipf": toolkit_version(), **self.identity, **typed, "window": run.window, "started": now()}

    @property
    def seconds(self) -> float:
        """Since this attempt began."""
        return time.monotonic() - self.begun

    def total(self) -> int | None:
        """Lines of the shard; None if they cannot be known."""
        if self.print is None or self.print.lines is None:
            return None
        shard = self.run.shard
        return self.print.lines if shard is None else len(range(shard.index, self.print.lines, shard.count))

    def check_input(self) -> None:
        """Refuse an input that was changed while it was read."""
        if self.print is not None and stamp_of(self.run.source) != self.print.stamp:
            raise UsageError(f"{self.run.source} was changed while it was read", "Start over with --overwrite.")

    def manifest(
        self, scheduler: Scheduler, summary: Summary, output: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """The manifest of a complete run (see stages.files.manifest); `output` and `more` come from the runner."""
        sha256 = self.print.sha256 if self.print else scheduler.reader.sha256
        counts = {"problems": summary.done, "bad lines": summary.bad, "failed": summary.failed}
        without = _joined(scheduler.gaps, [*scheduler.spoiled, *(n for n, _, _ in scheduler.failed)])
        return {
            **self.header,
            "complete": True,
            "input": {"path": self.run.source, "sha256": sha256, "lines": scheduler.reader.lines},
            "output": output,
            "counts": {**counts, **summary.counts},
            "bad_lines": _joined(scheduler.bad, scheduler.spoiled).for_people(),
            "gaps": without.for_people(),
            "failed": [{"line": n + 1, "id": identity, "reason": why} for n, identity, why in sorted(scheduler.failed)],
            "seconds": summary.seconds,
            "finished": now(),
            "platform": surroundings(),
            "parents": [parent_of(self.run.source, sha256)],
            **({} if self.run.log_to is None else {"log_to": self.run.log_to}),
            **more,
        }


def _joined(ranges: Ranges, more: list[int]) -> Ranges:
    """The ranges with further line numbers added, given in any order."""
    if not more:
        return ranges
    joined = Ranges(ranges.step)
    for n in sorted([*ranges, *more]):
        joined.add(n)
    return joined
