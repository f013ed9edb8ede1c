"""What a run will take, from a short run of problems chosen by chance; nothing is written (`--dry-run --calibrate N`).

    found = calibrate(run, stage, 32, display, bad)
    found.estimate["usage"]["tokens"]            # {"estimate": 81200, "low": 77100, "high": 85300}
    found.estimate["seconds"]                    # {"start-up": 3.1, "estimate": 41.0, "low": 39.2, "high": 42.8}

Everything that the whole run would still do is read, and N problems of that, chosen by a hash of their ids over the
whole input, go through the same stage on the same event loop. A handful would leave an engine half empty and seem slow,
so more of them follow until the engine has as many as it takes in at once (`Batching`), as in the run itself; then the
short run works them off. So it has a run's beginning, and a run's end with fewer and fewer rows. What the whole run has
more of lies between the two, and is reckoned at the pace of the short run's first half, when the engine was full.

Counts and tokens are ratio estimates by `Stage.size` (`stages.runs.estimates`).
"""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections import Counter
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from evals.records import Problem
from stages.counts import Count
from stages.files.inputs import check_source, file_fingerprint
from stages.files.interrupts import StopFlag, catching_signals, nothing_to_resume
from stages.files.locks import place_of, standing
from stages.files.outputs import to_line
from stages.files.problems import problem_reader
from stages.files.reading import BadLines
from stages.files.records import Line
from stages.runs.estimates import around, seconds_per_token, total
from stages.runs.journal import Journal
from stages.runs.opened import OpenedResources
from stages.runs.progress import Display
from stages.runs.record import LineRun, RunRecord
from stages.runs.short_run import Batching, Candidate, ChosenLines, ShortRun
from stages.runs.stage import Stage
from stages.seeds import lot

MOST = 4096
"""Problems that are kept to fill an engine with: as many as a run has in flight."""
_TOKENS = (Count.TOKENS, Count.ROLLOUT_TOKENS)
"""Counts of what each problem has taken, the first that there is."""
_SEED = 0


@dataclass
class Calibration:
    """What a dry run with a calibration has found."""

    counts: Counter[str] = field(default_factory=Counter)
    """What `estimate_stage` counts, of what is left to do; "resumed" and "bad lines" where there are any."""
    already: bool = False
    """The output is complete: nothing is left to do."""
    estimate: dict[str, Any] = field(default_factory=dict)
    """What the run would take; empty where there is nothing to do."""


def calibrate(run: LineRun, stage: Stage, least: int, display: Display, bad: BadLines) -> Calibration:
    """Read every line, run a few, and estimate the whole run, or what a resumed one has left.

    Args:
        least: problems to run, at least.
        bad: gets the bad lines.

    Raises:
        UsageError, DataError, ModelError, KeyboardInterrupt: as the run itself would.
        SomeFailed: every problem that was run failed.
        Interrupted: SIGTERM.
    """
    with catching_signals() as flag, nothing_to_resume():
        return asyncio.run(_calibrate(run, stage, least, display, bad, flag))


async def _calibrate(
    run: LineRun, stage: Stage, least: int, display: Display, bad: BadLines, flag: StopFlag
) -> Calibration:
    check_source(run.source)
    found, path = Calibration(), place_of(run.output)
    record = RunRecord(run, None, file_fingerprint(run.source))
    if path is not None and standing(path, record.identity, run.overwrite) is not None:
        found.already = True
        return found
    fills = any(each.fills() for each in stage.resources() if isinstance(each, Batching))
    whole, began = _Whole(max(least, MOST) if fills else least), time.perf_counter()
    with _finished(run, path, record) as journal:
        _read(run, stage, journal, whole, bad, flag, found.counts)
    reading = time.perf_counter() - began
    if whole.count:
        opened = OpenedResources(stage.resources(), flag)
        lines = ChosenLines(whole.chosen(), run.shard, run.source, least, opened.hungry)
        short = ShortRun(stage, lines, opened, flag)
        await short.go(run.stage, display)
        found.estimate = _estimated(whole, short, reading)
    return found


class _Whole:
    """What is left to do: how much, and the problems of it that chance has put first."""

    def __init__(self, most: int) -> None:
        self._most, self._heap = most, list[Candidate]()
        self.count, self.size = 0, 0.0

    def add(self, line: Line[Problem], problem: Problem, size: float) -> None:
        """Count a problem with work in it, and keep it if its lot is among the lowest."""
        self.count += 1
        self.size += size
        key = -int(lot(f"calibrate/{problem.id}", _SEED), 16)
        if len(self._heap) < self._most or key > self._heap[0].key:
            push = heapq.heappush if len(self._heap) < self._most else heapq.heappushpop
            push(self._heap, Candidate(key, line._replace(record=None), to_line(problem), size))

    def chosen(self) -> list[Candidate]:
        """Those kept, in the order of their lots."""
        return sorted(self._heap, key=lambda one: -one.key)


def _finished(run: LineRun, path: str | None, record: RunRecord) -> AbstractContextManager[Journal | None]:
    """The journal of an unfinished run, to look at; None where there is none.

    Raises:
        UsageError: it belongs to a run with other settings.
    """
    if path is None or not os.path.exists(f"{path}.part"):
        return nullcontext()
    step = run.shard.count if run.shard else 1
    return closing(Journal(f"{path}.part", record.header, step, run.overwrite, read_only=True))


def _read(
    run: LineRun,
    stage: Stage,
    journal: Journal | None,
    whole: _Whole,
    bad: BadLines,
    flag: StopFlag,
    counts: Counter[str],
) -> None:
    counts["problems"] = 0
    step = run.shard.count if run.shard else 1
    for line in problem_reader(run.source, shard=run.shard, check=stage.check, wait=False):
        flag.check()
        if line is None:
            time.sleep(0.005)  # a pipe with nothing in it yet; nothing else is running
        elif line.fault is not None:
            bad.add(line.fault)
        elif line.record is not None and journal is not None and journal.digest(line.n // step) is not None:
            counts["resumed"] += 1
        elif line.record is not None:
            counts["problems"] += 1
            counts.update(stage.estimate(line.record))
            size = stage.size(line.record)
            if size > 0:
                whole.add(line, line.record, size)
    if bad.count:
        counts["bad lines"] = bad.count


def _estimated(whole: _Whole, short: ShortRun, reading: float) -> dict[str, Any]:
    done = sum(size for size, _ in short.done)
    names = sorted({name for _, counts in short.done for name in counts})
    counts = {
        name: total([(size, each.get(name, 0)) for size, each in short.done], whole.size, whole.count) for name in names
    }
    # What the engine has spent is known of all problems together. It spreads as the tokens that are counted of each, or
    # where none are, as the sizes would if nothing were known of the others'.
    work = next((counts[name] for name in _TOKENS if name in counts and counts[name].value), None)
    if work is None:
        by_chance = total([(1.0, size) for size, _ in short.done], float(whole.count), whole.count)
        work = around(whole.size, by_chance)
    usage = {name: around(amount * whole.size / done, work) for name, amount in short.usage.items()}
    pace = _pace(short, done)
    cpu_share = short.cpu / short.seconds if short.seconds else 1.0
    known = {
        "seconds": (pace, reading + short.start_up + short.seconds),
        "CPU seconds": (pace * cpu_share, reading + short.cpu_start_up + short.cpu),
    }
    times = {}
    for name, (rate, spent) in known.items():
        all_of_it = around(rate * whole.size, work)
        times[name] = all_of_it.plus(spent - rate * done).at_least(spent).as_dict(2)
    return {
        "from problems": len(short.done),
        "of problems": whole.count,
        **({"failed in the calibration": short.failed} if short.failed else {}),
        "counts": {name: each.as_dict() for name, each in counts.items()},
        "usage": {name: each.as_dict() for name, each in usage.items()},
        "seconds": {"start-up": round(short.start_up, 2), **times["seconds"]},
        "CPU seconds": times["CPU seconds"],
        "peak memory": dict(short.memory),
    }


def _pace(short: ShortRun, done: float) -> float:
    """Seconds per unit of size while the engine is full; of an engine that does not tell, those of the short run."""
    found = seconds_per_token(short.course, short.written)
    if found is None:
        return short.seconds / done
    prompt = short.usage.get("prompt_tokens", 0)
    return (found[0] * short.written + found[1] * prompt) / done
