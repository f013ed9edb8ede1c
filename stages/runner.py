"""How a stage runs over a file of problems: streamed, journalled, resumed, put in order, and complete at the end.

    with catching_signals() as flag:
        summary = asyncio.run(run_lines(run, stage.work, hungry=engine.hungry, reporter=reporter, flag=flag))
    sys.exit(summary.exit_code)

Finished problems go to `OUT.part` at once. The same command again goes on from there; when all are done, one pass puts
them in input order, renames the whole onto `OUT`, and writes `OUT.manifest.json` last. The data are the same bytes
however often the run was killed on the way.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Problem
from stages.claims import OTHER, output_lock, place_of, standing
from stages.flight import Flight, Landing, ProblemFailed, Quiet, Reporter, Tally, Work
from stages.interrupts import AGAIN, StopFlag
from stages.journal import SEPARATOR, Journal
from stages.lines import Fingerprint, Line, ProblemReader, check_source, fingerprint, stamp_of
from stages.manifest import manifest_path, now, parent_of, plain, surroundings, toolkit_version
from stages.outputs import save_manifest
from stages.shards import Shard
from stages.sinks import Outflow, publishing

__all__ = ["LineRun", "ProblemFailed", "Quiet", "Reporter", "Summary", "Tally", "Work", "run_lines"]

_NOTE_EVERY = 1.0  # seconds between two notes of what was spent; a kill -9 loses at most this much of it


@dataclass(frozen=True)
class LineRun:
    """What is to be done. `options` and `facts` (model, its hash, template) are JSON, and decide the data."""

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
    """Write the manifest here as well; for `-` only here."""
    window: int = 4096
    """Lines of the shard that may be in flight at once."""


@dataclass
class Summary:
    """How a run ended. `done` problems have their lines, `resumed` of them from earlier attempts; `counts` are the
    tallies' sums; `seconds` of all attempts."""

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
        """6 if problems failed and are to be tried again, 3 if lines were bad, else 0."""
        if self.failed and not self.complete:
            return 6
        return 3 if self.bad else 0


def _always() -> bool:
    return True


class _Course:
    """One call of `run_lines`: what both kinds of output share."""

    def __init__(self, run: LineRun, usage: Callable[[], Mapping[str, int]] | None, print_: Fingerprint | None) -> None:
        self.run, self.usage, self.print = run, usage or dict, print_
        self.begun = time.monotonic()
        shard = run.shard and {"index": run.shard.index, "count": run.shard.count}
        sha256 = print_ and print_.sha256
        self.identity = plain({
            "stage": run.stage, "options": run.options, "facts": run.facts, "shard": shard,
            "input": {"path": run.source, "sha256": sha256},
        })  # fmt: skip
        self.header = {"sipf": toolkit_version(), **self.identity, "window": run.window, "started": now()}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def total(self) -> int | None:
        """Lines of the shard, as far as they can be known."""
        if self.print is None or self.print.lines is None:
            return None
        shard = self.run.shard
        return self.print.lines if shard is None else len(range(shard.index, self.print.lines, shard.count))

    def check_input(self) -> None:
        """Refuse an input that was changed while it was read."""
        if self.print is not None and stamp_of(self.run.source) != self.print.stamp:
            raise UsageError(f"{self.run.source} was changed while it was read", "Start over with --overwrite.")

    def manifest(self, flight: Flight, summary: Summary, output: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        sha256 = self.print.sha256 if self.print else flight.reader.sha256
        counts = {"problems": summary.done, "bad lines": summary.bad, "failed": summary.failed}
        gaps = sorted([*flight.gaps, *(n for n, _, _ in flight.failed)]) if flight.failed else flight.gaps
        without = type(flight.gaps)(flight.step)
        for n in gaps:
            without.add(n)
        return {
            **self.header,
            "complete": True,
            "input": {"path": self.run.source, "sha256": sha256, "lines": flight.reader.lines},
            "output": output,
            "counts": {**counts, **summary.counts},
            "bad_lines": flight.bad.for_people(),
            "gaps": without.for_people(),
            "failed": [{"line": n + 1, "id": identity, "reason": why} for n, identity, why in sorted(flight.failed)],
            "seconds": summary.seconds,
            "finished": now(),
            "platform": surroundings(),
            "parents": [parent_of(self.run.source, sha256)],
            **more,
        }


async def run_lines(
    run: LineRun,
    work: Work,
    *,
    hungry: Callable[[], bool] = _always,
    reporter: Reporter,
    flag: StopFlag,
    usage: Callable[[], Mapping[str, int]] | None = None,
    check: Callable[[Problem], None] | None = None,
) -> Summary:
    """Do every problem of a file.

    Args:
        work: one problem in, its output records out; raises `ProblemFailed` for a problem that cannot be done.
        hungry: whether more problems should be admitted. One is always in flight.
        usage: what this process has spent so far, by name; the manifest has the sum over all attempts.
        check: the task's own check; its DataError makes a bad line.

    Raises:
        UsageError: input or output cannot be used, or belong to a run with other settings.
        DataError: no good line at all, input torn, or a bad line with `strict`.
        Interrupted: SIGTERM, or no room on the disk; the same command goes on.
        KeyboardInterrupt: SIGINT; the same command goes on.
    """
    check_source(run.source)
    path = place_of(run.output)
    if path is not None and run.source != "-" and place_of(run.source) == path:
        raise UsageError(f"the output {run.output} is the input", "Choose another -o.")
    reader = ProblemReader(run.source, run.shard, check, wait=False)
    try:
        if path is None:
            return await _to_stream(_Course(run, usage, fingerprint(run.source)), reader, work, hungry, reporter, flag)
        with output_lock(path):
            course = _Course(run, usage, fingerprint(run.source))
            made = standing(path, course.identity, run.overwrite)
            if made is not None:
                return await _already(run, made, path, reader, flag)
            return await _to_file(course, path, reader, work, hungry, reporter, flag)
    finally:
        reporter.finish()


async def _already(
    run: LineRun, made: Mapping[str, Any], path: str, reader: ProblemReader, flag: StopFlag
) -> Summary:
    """A complete output: only a piped input must still be read, to see that it is the same."""
    if made["failed"] and not run.skip_failed:
        raise UsageError(f"{path} was completed with --skip-failed, without {len(made['failed'])} problems", OTHER)
    if fingerprint(run.source) is None:
        for line in reader:
            flag.check()
            if line is None:
                await asyncio.sleep(0.01)
        if reader.sha256 != made["input"]["sha256"]:
            raise UsageError(f"{path} is complete, but was made from another input", OTHER)
    counts = dict(made["counts"])
    done, bad, failed = (counts.pop(name, 0) for name in ("problems", "bad lines", "failed"))
    return Summary(done, done, bad, failed, counts, made["seconds"], complete=True, already=True)


class _ToJournal:
    """Finished problems go to the journal."""

    def __init__(self, journal: Journal, course: _Course) -> None:
        self.digest = journal.digest
        self._journal, self._course, self._noted = journal, course, 0.0

    def admit(self, position: int) -> None:
        """Nothing waits for it."""

    def land(self, line: Line, position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        self._journal.add(line.n, line.digest, counts, payload)
        if self._course.seconds - self._noted > _NOTE_EVERY:
            self._noted = self._course.seconds
            self._journal.note(self._noted, self._course.usage())

    def lose(self, position: int) -> None:
        """It is tried again by the next attempt."""


async def _to_file(
    course: _Course,
    path: str,
    reader: ProblemReader,
    work: Work,
    hungry: Callable[[], bool],
    reporter: Reporter,
    flag: StopFlag,
) -> Summary:
    run = course.run
    step = run.shard.count if run.shard else 1
    with closing(Journal(f"{path}.part", course.header, step, run.overwrite)) as journal:
        if journal.cut:
            reporter.warn(f"{journal.path}: {journal.cut} damaged bytes at the end are cut off and made again")
        course.header = journal.header
        reporter.start(run.stage, course.total(), journal.resumed)
        flight = Flight(
            reader, work, _ToJournal(journal, course), hungry, reporter, flag, run.window, run.strict
        )  # fmt: skip
        try:
            await flight.fly()
        finally:
            journal.note(course.seconds, course.usage())
        _refuse_other_input(course, journal, flight)
        nothing = flight.nothing_good()
        if nothing is not None:
            journal.remove()
            raise nothing
        summary = Summary(journal.done, journal.resumed, flight.bad_count, len(flight.failed), dict(journal.sums))
        summary.seconds = journal.spent()[0]
        if flight.failed and not run.skip_failed:
            return summary
        output = _in_order(journal, path, flag)
        journal.note(course.seconds, course.usage())
        summary.seconds, used = journal.spent()
        data = course.manifest(flight, summary, output, usage=used)
        save_manifest([manifest_path(path), *([run.manifest] if run.manifest else [])], data)
        journal.remove()
    summary.complete = True
    return summary


def _refuse_other_input(course: _Course, journal: Journal, flight: Flight) -> None:
    course.check_input()
    if journal.highest > flight.last:
        raise UsageError(
            f"{course.run.source} is shorter than it was: {journal.highest - flight.last} lines are missing",
            "Give the same input as before, or start over with --overwrite.",
        )


def _in_order(journal: Journal, path: str, flag: StopFlag) -> dict[str, Any]:
    """The finished lines in input order under the output's name; what the manifest says of them."""
    one_each = True
    with publishing(path) as sink:
        for payload in journal.payloads():
            flag.check()
            one_each = one_each and bool(payload) and SEPARATOR not in payload
            if payload:
                sink.write(payload.replace(SEPARATOR, b"\n") + b"\n")
    return {**sink.facts(), "one_each": one_each}


class _ToStream:
    """Finished problems go out in input order as soon as it is their turn; nothing is kept."""

    def __init__(self, outflow: Outflow) -> None:
        self._outflow = outflow
        self._waiting: dict[int, list[str] | None] = {}
        self._order: list[int] = []
        self._next = 0
        self.sums: Counter[str] = Counter()
        self.one_each = True

    def digest(self, position: int) -> str | None:
        """There are no earlier attempts."""
        return None

    def admit(self, position: int) -> None:
        self._order.append(position)

    def land(self, line: Line, position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        self.sums.update(counts)
        self.one_each = self.one_each and len(payload) == 1
        self._settle(position, payload)

    def lose(self, position: int) -> None:
        self._settle(position, [])

    def _settle(self, position: int, payload: list[str]) -> None:
        self._waiting[position] = payload
        ready: list[str] = []
        while self._next < len(self._order) and self._order[self._next] in self._waiting:
            ready += self._waiting.pop(self._order[self._next]) or []
            self._next += 1
        if self._next > 1000 and self._next * 2 > len(self._order):
            del self._order[: self._next]
            self._next = 0
        if ready:
            self._outflow.write("".join(f"{text}\n" for text in ready).encode())
