"""A small stage run as a program of its own, so that tests can kill it: one problem takes a few milliseconds.

    python slow_stage.py IN OUT --delay 0.002

Problems finish out of order; what is written depends on the problem alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from evals.errors import SipfError
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import catching_signals
from stages.files.shards import Shard
from stages.runs.faults import ProblemFailed
from stages.runs.record import LineRun
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("output")
    parser.add_argument("--delay", type=float, default=0.002)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--shard")
    parser.add_argument("--fail", default="")
    parser.add_argument("--pad", type=int, default=20)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    flying = 0
    spent = {"tokens": 0}

    async def work(problem: Problem, tally: Tally) -> Sequence[dict[str, Any]]:
        nonlocal flying
        flying += 1
        try:
            await asyncio.sleep(random.random() * 2 * options.delay)
        finally:
            flying -= 1
        if problem.id == options.fail:
            raise ProblemFailed("asked to")
        tokens = int(hashlib.blake2b(problem.id.encode(), digest_size=1).hexdigest(), 16)
        tally.count("tokens", tokens)
        spent["tokens"] += tokens
        return [{"id": problem.id, "k": options.k, "tokens": tokens, "pad": "é" * options.pad}]

    run = LineRun(
        "slow", options.source, options.output, {"k": options.k}, {"model": "none"},
        shard=Shard.parse(options.shard) if options.shard else None, overwrite=options.overwrite, window=64,
    )  # fmt: skip
    try:
        with catching_signals() as flag:
            summary = asyncio.run(
                run_lines(
                    run, work, hungry=lambda: flying < options.jobs, reporter=Quiet(), flag=flag, usage=lambda: spent
                )
            )
    except SipfError as error:
        print(f"{error.message}\n{error.advice}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(json.dumps({**vars(summary), "exit_code": summary.exit_code}), file=sys.stderr)
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
