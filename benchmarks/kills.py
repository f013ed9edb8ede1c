"""Replicas, nodes and drivers are killed while they work: the output must be that of a run that was left alone.

    python benchmarks/kills.py kills.jsonl               # 50 workers, 50 actors, 10 nodes, 10 drivers of either kind
    python benchmarks/kills.py kills.jsonl --only worker actor

What is killed and the number of the run seed its random times. A finished run is one line of kills.jsonl and is not
repeated, so the same command continues where it was stopped. Each run suffers several kills and is then left to finish;
a killed driver is started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
KILLS = {"worker": 50, "actor": 50, "node": 10, "driver of workers": 10, "driver of actors": 10}
PER_RUN = {"worker": 5, "actor": 5, "node": 2, "driver of workers": 5, "driver of actors": 5}
LINES = 800
SCRIPT = ("--engine", "scripted", "--script", "gold:0.4", "-n", "4")
DELAY = ("--script-delay", "50", "--batch-rows", "8")


class Cluster:
    """Two nodes on this machine (tests/sipf_cli/two_nodes.py)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "sipf_cli" / "two_nodes.py"], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.address = self._said()

    def _said(self) -> str:
        assert self.process.stdout is not None
        return next(line.strip() for line in self.process.stdout if not line.startswith("Token"))

    def tell(self, what: str) -> None:
        """Remove or add a node."""
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        self._said()

    def actors(self) -> list[psutil.Process]:
        """The processes of the actors."""
        return [one for one in psutil.Process(self.process.pid).children(recursive=True) if named(one, "ray::Replica")]

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(120)


def named(process: psutil.Process, name: str) -> bool:
    """Whether the process calls itself so."""
    try:
        return bool(process.cmdline()) and process.cmdline()[0].startswith(name)
    except psutil.Error:
        return False


def begin(folder: Path, output: Path, *how: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    line = [sys.executable, "-m", "sipf_cli", "sample", str(folder / "in.jsonl"), *SCRIPT, *how, "-o", str(output)]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)


def until_lines(output: Path, more: int, process: subprocess.Popen[bytes]) -> None:
    """Until the journal has grown by so many problems, or the command has ended."""
    part = Path(f"{output}.part")

    def done() -> int:
        return part.read_bytes().count(b"\n") if part.exists() else 0

    before = done()
    while process.poll() is None and done() < before + more:
        time.sleep(0.02)


def one_run(kind: str, number: int, folder: Path, cluster: Cluster | None, wanted: str) -> dict[str, Any]:
    """One run with its kills; what came of it."""
    draws = random.Random(f"{kind} {number}")
    output = folder / f"{kind.replace(' ', '-')}-{number}.jsonl"
    how = [*DELAY, "--workers", "2"] if cluster is None else [*DELAY, "--ray", cluster.address, "--replicas", "2"]
    process = begin(folder, output, *how)
    kills = 0
    begun = time.monotonic()
    for _ in range(PER_RUN[kind]):
        until_lines(output, draws.randint(20, 120), process)
        time.sleep(draws.random() * 0.5)
        if process.poll() is not None:
            break
        if kind.startswith("driver"):
            process.kill()
            process.communicate()
            process = begin(folder, output, *how)
        elif kind == "node":
            assert cluster is not None
            cluster.tell("remove")
            cluster.tell("add")
        else:
            there = cluster.actors() if cluster else psutil.Process(process.pid).children()
            if not there:
                continue
            draws.choice(there).kill()
        kills += 1
    said = process.communicate()[1].decode()
    same = process.returncode == 0 and hashlib.sha256(output.read_bytes()).hexdigest() == wanted
    usage = json.loads(Path(f"{output}.manifest.json").read_text())["usage"] if same else {}
    return {
        "kind": kind, "number": number, "kills": kills, "same": same, "code": process.returncode,
        "lost": usage.get("replicas lost", 0), "seconds": round(time.monotonic() - begun, 1),
        **({} if same else {"said": said[-2000:]}),
    }  # fmt: skip


def main() -> None:
    """Run what is left, and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", nargs="+", default=list(KILLS), choices=list(KILLS))
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    with tempfile.TemporaryDirectory() as name, options.results.open("a") as file:
        folder = Path(name)
        line = [
            sys.executable,
            "-m",
            "sipf_cli",
            "data",
            "chain",
            "--split",
            "train",
            "-n",
            str(LINES),
            "-o",
            "in.jsonl",
        ]
        subprocess.run(line, check=True, capture_output=True, cwd=folder)
        assert begin(folder, folder / "whole.jsonl").communicate() is not None
        wanted = hashlib.sha256((folder / "whole.jsonl").read_bytes()).hexdigest()
        for kind in options.only:
            cluster = None if "worker" in kind else Cluster()
            number = 0
            while sum(row["kills"] for row in rows if row["kind"] == kind) < KILLS[kind]:
                if not any(row["kind"] == kind and row["number"] == number for row in rows):
                    rows.append(one_run(kind, number, folder, cluster, wanted))
                    print(json.dumps(rows[-1]), file=file, flush=True)
                    print(rows[-1], flush=True)
                number += 1
            if cluster is not None:
                cluster.close()
    for kind in KILLS:
        those = [row for row in rows if row["kind"] == kind]
        same = sum(row["same"] for row in those)
        print(f"{kind}: {sum(row['kills'] for row in those)} kills in {len(those)} runs, {same} with the same bytes")
    sys.exit(not all(row["same"] for row in rows))


if __name__ == "__main__":
    main()
