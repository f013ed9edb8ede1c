"""Feeds changed inputs to what reads them, until a count is reached or something fails.

    python -m tests.fuzz [--n 100000] [--seed 0] [--only pairs]
    python -m tests.fuzz --only pairs --seed 4711          # one file again, as a failure names it

Every file has a seed of its own. What is no error of this toolkit is a fault: it is printed with the command that
repeats it, and the file is kept. So is what takes longer than `SLOW` seconds of CPU time for a file of 20 lines, or has
not ended after `HANG` seconds.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.environment import ENVIRONMENT
from tests.fuzz.model_folders import MODELS, forget
from tests.fuzz.servers import SERVERS
from tests.fuzz.targets import TARGETS, Target

SLOW = 5.0
HANG = 300
"""Seconds after which a file is taken to hang the reader."""
MEMORY_GIB = 12
"""Address space: what asks for more is a fault instead of the end of the machine."""
ALL = (*TARGETS, MODELS, ENVIRONMENT, *SERVERS)


def _hang(*_: object) -> None:
    raise RuntimeError(f"not done after {HANG} seconds")


def feed(target: Target, seed: int, folder: Path) -> tuple[int, str]:
    """Inputs of one file, and what is wrong, if anything."""
    began = time.process_time()
    before = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(HANG)
    try:
        count = target.feed(random.Random(f"{target.name} {seed}"), folder)
    except Exception:  # anything that is not told in one line is what is looked for
        return 1, traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    spent = time.process_time() - began
    return count, f"{spent:.1f} s of CPU time" if spent > SLOW else ""


def main() -> int:
    """Feed all targets in turn; 1 after a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, help="inputs in all; without it, one file for each target")
    parser.add_argument("--seed", type=int, default=0, help="of the first file; the next ones have those after it")
    parser.add_argument("--only", nargs="+", choices=[target.name for target in ALL])
    given = parser.parse_args()
    targets = [target for target in ALL if not given.only or target.name in given.only]
    counts = dict.fromkeys((target.name for target in targets), 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB << 30, MEMORY_GIB << 30))
    faults, seed, began = 0, given.seed, time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        while seed == given.seed or sum(counts.values()) < (given.n or 0):
            for target in targets:
                count, fault = feed(target, seed, Path(temporary))
                counts[target.name] += count
                if fault:
                    faults += 1
                    kept = Path(tempfile.mkdtemp(prefix="sipf-fuzz-"))
                    shutil.copytree(temporary, kept, dirs_exist_ok=True)
                    print(f"{fault}\n{kept}: python -m tests.fuzz --only {target.name} --seed {seed}\n", flush=True)
            if faults >= 10:
                break
            seed += 1
    forget()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    took = time.monotonic() - began
    print(f"{sum(counts.values()):,} inputs ({told}) in {took:.0f} s, peak {peak} MiB: {faults} faults")
    return min(1, faults)


if __name__ == "__main__":
    sys.exit(main())
