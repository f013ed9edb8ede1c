"""The quick benchmarks one after the other, of which only the ratios are shown: `make bench`.

    python benchmarks/quick.py [--only decode startup] [--whole]

Absolute figures differ by up to a third from one hour to the next on a shared machine; the two sides of a ratio were
measured in turn. `--whole` prints everything that the scripts print.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUICK = {
    "decode": (["--questions", "200", "--rows", "256"], {}),
    "trainers": ([], {"OMP_NUM_THREADS": "1"}),
    "sampler": (["--repeats", "3"], {}),
    "beside_others": (["--problems", "100"], {}),
    "busy": (["--problems", "100"], {"OMP_NUM_THREADS": "1"}),
    "startup": (["--runs", "3"], {}),
}
"""Scripts, their arguments and variables."""
SHARES = ("ratio", "busy", "used", "fed")
"""Columns of tables that are ratios or shares."""
TIMES = re.compile(r"(?:(memory)\b[^;]*?)?(\d+\.\d+ times\b[^,;.]*)")


def ratios(output: str) -> Iterator[str]:
    """The lines of a script's output that hold ratios, without what else they hold."""
    kept: list[int] = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")] if line.startswith("|") else []
        if cells and any(cell in SHARES for cell in cells):
            names = [cell for cell in cells if cell in SHARES]
            kept = [i for i, cell in enumerate(cells) if cell in SHARES]
            yield f"{cells[0]}: {', '.join(names)}"
        elif len(cells) > 1 and kept and not cells[0].startswith("---"):
            yield f"  {cells[0]}: {', '.join(cells[i] for i in kept)}"
        elif found := TIMES.findall(line):
            name = line.partition(":")[0].strip()
            yield f"  {name}: {', '.join(' '.join(filter(None, each)) for each in found)}"


def main() -> None:
    """Run the scripts and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=QUICK, default=list(QUICK), metavar="SCRIPT")
    parser.add_argument("--whole", action="store_true", help="everything that they print")
    given = parser.parse_args()
    for name in given.only:
        arguments, variables = QUICK[name]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", **variables}
        line = [sys.executable, str(HERE / f"{name}.py"), *arguments]
        done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        print(f"{name}\n{done.stdout if given.whole else chr(10).join(ratios(done.stdout))}\n", flush=True)


if __name__ == "__main__":
    main()
