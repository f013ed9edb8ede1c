"""Runs over many lines: are memory, descriptors and threads flat, how large is the journal, what does a resume take?

    python benchmarks/long_runs.py                                   # 10,000 and 100,000 lines
    python benchmarks/long_runs.py --lines 10000 100000 1000000      # needs 6 GB of --folder and an hour
    python benchmarks/long_runs.py --stage relabel

For each number of lines the command runs twice: once undisturbed, and once killed (SIGKILL) when nine tenths of the
lines are in its journal, then run again. Memory, descriptors and threads are read from /proc four times a second; the
table has them after a tenth of the run and at the end. "until it works" is the time from the start of the second
command to its first new line in the journal: what a resume costs, besides the libraries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from files import GOLD, make_block, repeated

ROOT = Path(__file__).resolve().parents[1]

STAGES = {"sample": ("problems", (*GOLD, "-n", "2")), "relabel": ("labelled", ("--k", "3"))}
"""What each stage is given: the kind of lines, and its options."""


class Looked(NamedTuple):
    """What was seen of a process: seconds since its start, MiB of memory, descriptors, threads, bytes of journal."""

    at: float
    memory: float
    descriptors: int
    threads: int
    journal: int


def begin(folder: Path, stage: str, source: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start the command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-m", "sipf_cli", stage, str(source), *STAGES[stage][1], "-o", str(output)]
    with open(folder / "log", "wb") as log:
        return subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log)


def watch(process: subprocess.Popen[bytes], journal: Path, every: float = 0.25) -> Iterator[Looked]:
    """Look at a process until it ends."""
    begun, place = time.monotonic(), Path(f"/proc/{process.pid}")
    while process.poll() is None:
        try:
            status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines() if ":\t" in line)
            size = journal.stat().st_size if journal.exists() else 0
            yield Looked(
                time.monotonic() - begun, int(status["VmRSS"].split()[0]) / 1024, len(os.listdir(place / "fd")),
                int(status["Threads"]), size,
            )  # fmt: skip
        except (OSError, KeyError):  # it has just ended
            continue
        time.sleep(every)


def ended(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Refuse a command that failed."""
    if process.wait():
        sys.exit((folder / "log").read_text()[-2000:])


def digest(path: Path) -> str:
    """The hash of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure(folder: Path, stage: str, lines: int) -> list[str]:
    """The cells of a row."""
    kind = STAGES[stage][0]
    source, output = folder / f"{kind}.{lines}.jsonl", folder / "out.jsonl"
    if not source.exists():
        with open(source, "w", encoding="utf-8") as file:
            file.writelines(repeated(folder / "block" / kind, lines))
    part, manifest = Path(f"{output}.part"), Path(f"{output}.manifest.json")

    process = begin(folder, stage, source, output)
    seen = list(watch(process, part))
    ended(process, folder)
    seconds, size, wanted = seen[-1].at, output.stat().st_size, digest(output)
    largest = max(look.journal for look in seen)
    working = [look for look in seen if look.journal]
    early, late = working[len(working) // 10], working[-1]
    cells = [
        f"`{stage}`", f"{lines:,}", f"{seconds:.0f}", f"{lines / seconds:,.0f}", f"{early.memory:.0f}",
        f"{late.memory:.0f}", f"{early.descriptors}, {late.descriptors}", f"{early.threads}, {late.threads}",
        f"{largest / size:.3f}",
    ]  # fmt: skip
    print(f"undisturbed: {' | '.join(cells)}", file=sys.stderr, flush=True)  # half of what may take an hour
    output.unlink()
    manifest.unlink()

    process = begin(folder, stage, source, output)
    for look in watch(process, part, 0.02):
        if look.journal > 0.9 * largest:
            process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    left = part.stat().st_size
    begun = time.monotonic()
    process = begin(folder, stage, source, output)
    works = next((time.monotonic() - begun for look in watch(process, part, 0.005) if look.journal > left), 0.0)
    ended(process, folder)
    again, same = time.monotonic() - begun, digest(output) == wanted
    resumed = json.loads(manifest.read_text())["counts"]["problems"]
    output.unlink()
    manifest.unlink()
    return [*cells, f"{works:.1f}", f"{again:.1f}", "the same" if same and resumed else "DIFFER"]


def main() -> None:
    """Make the inputs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=["sample"])
    parser.add_argument("--folder", type=Path, help="where the files go; inputs are kept, and used again")
    given = parser.parse_args()
    head = ["command", "lines", "seconds", "lines/s", "MiB early", "MiB at the end", "descriptors", "threads"]
    head += ["journal/output", "resume: s until it works", "s in all", "bytes"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / "block").exists():
            (folder / "block").mkdir(parents=True)
            make_block(folder / "block")
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        for stage in given.stage:
            for lines in given.lines:
                print(f"| {' | '.join(measure(folder, stage, lines))} |", flush=True)


if __name__ == "__main__":
    main()
