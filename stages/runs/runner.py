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
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from evals.errors import Interrupted, UsageError
from evals.records import Problem
from stages.files.locks import OTHER, output_lock, place_of, standing
from stages.runs.record import Course, LineRun, Summary
from stages.runs.scheduler import Flight, ProblemFailed, Quiet, Reporter, Tally, Work
from stages.files.inputs import check_source, fingerprint
from stages.files.interrupts import StopFlag
from stages.runs.journal import SEPARATOR, Journal, journal_matches
from stages.runs.delivery import ToJournal, ToStream
from stages.files.lines import ProblemReader
from stages.files.manifest import manifest_path
from stages.files.outputs import save_manifest
from stages.files.shards import Shard
from stages.files.atomic import Outflow, publishing

__all__ = ["LineRun", "ProblemFailed", "Quiet", "Reporter", "Shard", "Summary", "Tally", "Work", "run_lines"]


def _always() -> bool:
    return True


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
            return await _to_stream(Course(run, usage, fingerprint(run.source)), reader, work, hungry, reporter, flag)
        with output_lock(path):
            course = Course(run, usage, fingerprint(run.source))
            made = standing(path, course.identity, run.overwrite)
            if made is not None:
                summary = await _already(run, made, path, reader, flag)
                journal_matches(f"{path}.part", course.header, remove=True)  # killed just before it was removed
                return summary
            return await _to_file(course, path, reader, work, hungry, reporter, flag)
    finally:
        reporter.finish()


async def _already(run: LineRun, made: Mapping[str, Any], path: str, reader: ProblemReader, flag: StopFlag) -> Summary:
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


async def _to_file(
    course: Course,
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
            reader, work, ToJournal(journal, course), hungry, reporter, flag, run.window, run.strict
        )  # fmt: skip
        try:
            await flight.fly()
        finally:
            with suppress(Interrupted):  # where there is no room, that is said already
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


def _refuse_other_input(course: Course, journal: Journal, flight: Flight) -> None:
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


async def _to_stream(
    course: Course,
    reader: ProblemReader,
    work: Work,
    hungry: Callable[[], bool],
    reporter: Reporter,
    flag: StopFlag,
) -> Summary:
    run = course.run
    with closing(Outflow(run.output, flag)) as outflow:
        landing = ToStream(outflow)
        reporter.start(run.stage, course.total(), 0)
        flight = Flight(reader, work, landing, hungry, reporter, flag, run.window, run.strict)
        await flight.fly()
        course.check_input()
        nothing = flight.nothing_good()
        if nothing is not None:
            raise nothing
    summary = Summary(flight.landed, 0, flight.bad_count, len(flight.failed), dict(landing.sums))
    summary.seconds = round(course.seconds, 3)
    summary.complete = run.skip_failed or not flight.failed
    if run.manifest and summary.complete:
        output = {**outflow.facts(), "one_each": landing.one_each}
        save_manifest([run.manifest], course.manifest(flight, summary, output, usage=dict(course.usage())))
    return summary
