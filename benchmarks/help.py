"""How long `sipf --help` takes against the `--help` of a bare Typer stub with as many commands.

    python benchmarks/help.py --runs 21

Runs of the two alternate, so that both meet the same machine; medians are compared. The aim is a ratio of at most
1.3.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sipf_cli.app import COMMANDS

STUB = """\
import typer

app = typer.Typer()
{commands}
app()
"""
COMMAND = '''
@app.command("{name}")
def command_{i}() -> None:
    """{help}"""
'''


def stub() -> str:
    """The source of a Typer app with the same command names and helps, which does nothing."""
    commands = [COMMAND.format(name=name, i=i, help=text) for i, (name, text) in enumerate(COMMANDS.items())]
    return STUB.format(commands="\n".join(commands))


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one run from a cold process."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure(runs: int) -> tuple[float, float]:
    """Median seconds of `--help`: (sipf, stub)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stub.py"
        path.write_text(stub(), encoding="utf-8")
        ours = [sys.executable, "-m", "sipf_cli", "--help"]
        bare = [sys.executable, str(path), "--help"]
        seconds(ours), seconds(bare)  # the first runs write the byte code
        pairs = [(seconds(ours), seconds(bare)) for _ in range(runs)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    ours, bare = measure(parser.parse_args().runs)
    print(
        f"sipf --help {ours * 1000:.0f} ms, Typer stub {bare * 1000:.0f} ms, ratio {ours / bare:.2f} (aim: at most 1.3)"
    )


if __name__ == "__main__":
    main()
