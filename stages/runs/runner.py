"""How a stage runs over a file of problems: streamed, journalled, resumed, and put in input order at the end.

    with catching_signals() as flag:
        summary = asyncio.run(run_lines(run, stage.work, hungry=engine.hungry, reporter=reporter, flag=flag))
    sys.exit(summary.exit_code)

Finished problems go to `OUT.part` at once. The same command resumes from there. When all are done, one pass
writes them in input order, renames the file to `OUT`, and writes `OUT.manifest.json` last. The data are the same bytes
however often the run was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from evals.errors import Interrupted, UsageError
from evals.records import Problem
from stages.files.atomic import PARQUET, StreamOutput, atomic_file
from stages.files.inputs import check_source, file_fingerprint
from stages.files.interrupts import StopFlag
from stages.files.locks import CHOOSE_ANOTHER, output_lock, place_of, standing
from stages.files.manifest import manifest_path
from stages.files.outputs import copy_manifest, save_manifest
from stages.files.problems import problem_reader
from stages.files.records import RecordReader
from stages.runs.delivery import JournalDelivery, StreamDelivery
from stages.runs.journal import SEPARATOR, Journal, journal_matches
from stages.runs.record import LineRun, RunRecord, Summary
from stages.runs.scheduler import Reporter, Scheduler, Work


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
        check: the task's own check; a line for which it raises DataError is bad.

    Raises:
        UsageError: input or output cannot be used, or belong to a run with other settings.
        DataError: no good line at all, damaged input, or a bad line with `strict`.
        Interrupted: SIGTERM, or the disk is full; the same command resumes.
        KeyboardInterrupt: SIGINT; the same command resumes.
    """
    check_source(run.source)
    path = place_of(run.output)
    if path is not None and run.source != "-" and place_of(run.source) == path:
        raise UsageError(f"the output {run.output} is the input", "Choose another -o.")
    if path is not None and path.endswith(PARQUET):
        raise UsageError("a stage writes lines, no table", "Name a .jsonl or .jsonl.gz; sipf export writes tables.")
    reader = problem_reader(run.source, shard=run.shard, check=check, wait=False)
    try:
        if path is None:
            return await _to_stream(
                RunRecord(run, usage, file_fingerprint(run.source)), reader, work, hungry, reporter, flag
            )
        with output_lock(path):
            record = RunRecord(run, usage, file_fingerprint(run.source))
            made = standing(path, record.identity, run.overwrite)
            if made is not None:
                summary = await _already(run, made, path, reader, flag)
                copy_manifest(made, run.manifest)
                journal_matches(f"{path}.part", record.header, remove=True)  # killed just before it was removed
                return summary
            return await _to_file(record, path, reader, work, hungry, reporter, flag)
    finally:
        reporter.finish()


async def _already(
    run: LineRun, made: Mapping[str, Any], path: str, reader: RecordReader[Problem], flag: StopFlag
) -> Summary:
    """The summary of a complete output. Only a piped input must still be read, to see that it is the same."""
    if made["failed"] and not run.skip_failed:
        raise UsageError(
            f"{path} was completed with --skip-failed, without {len(made['failed'])} problems", CHOOSE_ANOTHER
        )
    if file_fingerprint(run.source) is None:
        for line in reader:
            flag.check()
            if line is None:
                await asyncio.sleep(0.01)
        if reader.sha256 != made["input"]["sha256"]:
            raise UsageError(f"{path} is complete, but was made from another input", CHOOSE_ANOTHER)
    counts = dict(made["counts"])
    done, bad, failed = (counts.pop(name, 0) for name in ("problems", "bad lines", "failed"))
    return Summary(done, done, bad, failed, counts, made["seconds"], complete=True, already=True)


async def _to_file(
    record: RunRecord,
    path: str,
    reader: RecordReader[Problem],
    work: Work,
    hungry: Callable[[], bool],
    reporter: Reporter,
    flag: StopFlag,
) -> Summary:
    run = record.run
    step = run.shard.count if run.shard else 1
    with closing(Journal(f"{path}.part", record.header, step, run.overwrite)) as journal:
        if journal.cut:
            reporter.warn(f"{journal.path}: {journal.cut} damaged bytes at the end are cut off and done again")
        record.header = journal.header
        reporter.start(run.stage, record.total(), journal.resumed)
        scheduler = Scheduler(
            reader, work, JournalDelivery(journal, record), hungry, reporter, flag, run.window, run.strict
        )  # fmt: skip
        try:
            await scheduler.run()
        finally:
            with suppress(Interrupted):  # a full disk was reported already
                journal.note(record.seconds, record.usage())
        _refuse_other_input(record, journal, scheduler)
        nothing = scheduler.nothing_good()
        if nothing is not None:
            journal.remove()
            raise nothing
        summary = Summary(journal.done, journal.resumed, scheduler.bad_count, len(scheduler.failed), dict(journal.sums))
        summary.seconds = journal.spent()[0]
        if scheduler.failed and not run.skip_failed:
            return summary
        output = _in_order(journal, path, flag)
        journal.note(record.seconds, record.usage())
        summary.seconds, used = journal.spent()
        data = record.manifest(scheduler, summary, output, usage=used)
        save_manifest([manifest_path(path), *([run.manifest] if run.manifest else [])], data)
        journal.remove()
    summary.complete = True
    return summary


def _refuse_other_input(record: RunRecord, journal: Journal, scheduler: Scheduler) -> None:
    record.check_input()
    if journal.highest > scheduler.last:
        raise UsageError(
            f"{record.run.source} is shorter than it was: {journal.highest - scheduler.last} lines are missing",
            "Give the same input as before, or start over with --overwrite.",
        )


def _in_order(journal: Journal, path: str, flag: StopFlag) -> dict[str, Any]:
    """Write the finished lines in input order under the output's name; return what the manifest says of them."""
    one_each = True
    with atomic_file(path) as sink:
        for payload in journal.payloads():
            flag.check()
            one_each = one_each and bool(payload) and SEPARATOR not in payload
            if payload:
                sink.write(payload.replace(SEPARATOR, b"\n") + b"\n")
    return {**sink.facts(), "one_each": one_each}


async def _to_stream(
    record: RunRecord,
    reader: RecordReader[Problem],
    work: Work,
    hungry: Callable[[], bool],
    reporter: Reporter,
    flag: StopFlag,
) -> Summary:
    run = record.run
    with closing(StreamOutput(run.output, flag)) as stream:
        delivery = StreamDelivery(stream)
        reporter.start(run.stage, record.total(), 0)
        scheduler = Scheduler(reader, work, delivery, hungry, reporter, flag, run.window, run.strict)
        await scheduler.run()
        record.check_input()
        nothing = scheduler.nothing_good()
        if nothing is not None:
            raise nothing
    summary = Summary(scheduler.delivered, 0, scheduler.bad_count, len(scheduler.failed), dict(delivery.sums))
    summary.seconds = round(record.seconds, 3)
    summary.complete = run.skip_failed or not scheduler.failed
    if run.manifest and summary.complete:
        output = {**stream.facts(), "one_each": delivery.one_each}
        save_manifest([run.manifest], record.manifest(scheduler, summary, output, usage=dict(record.usage())))
    return summary
