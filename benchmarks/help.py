"""How long `sipf --help` and `sipf simulate --help` take against a bare Typer stub with as many commands, or options.

    python benchmarks/help.py --runs 21

The alternatives run in turn, so that all meet the same load; medians are compared. The aim is a ratio of at
most 1.3.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from sipf_cli.app import COMMANDS, LazyCommand

HEAD = """\
from typing import Annotated

import typer

app = typer.Typer()
"""
COMMAND = '''
@app.command("{name}")
def command_{i}() -> None:
    """{help}"""
'''


def root_stub() -> str:
    """The source of a Typer app with the same command names and help texts, which does nothing."""
    commands = [COMMAND.format(name=name, i=i, help=text) for i, (name, text) in enumerate(COMMANDS.items())]
    return f"{HEAD}{''.join(commands)}\napp()\n"


def command_stub(name: str) -> str:
    """The source of a Typer app of one command with the options and help texts of the command of that name."""
    parameters = []
    for i, param in enumerate(LazyCommand(name).load().params):
        if param.param_type_name == "option":
            parameters.append(f"    o{i}: Annotated[str, typer.Option('--o{i}', help={param.help!r})] = '',\n")
    return f'{HEAD}\n@app.command()\ndef {name}(\n{"".join(parameters)}) -> None:\n    """Do."""\n\n\napp()\n'


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one run in a new process."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def measure(arguments: list[str], stub: str, runs: int) -> tuple[float, float]:
    """Median seconds of `sipf ARGUMENTS --help` and of the stub's `--help`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stub.py"
        path.write_text(stub, encoding="utf-8")
        ours = [sys.executable, "-m", "sipf_cli", *arguments, "--help"]
        bare = [sys.executable, str(path), "--help"]
        seconds(ours), seconds(bare)  # the first runs write the byte code
        pairs = [(seconds(ours), seconds(bare)) for _ in range(runs)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    runs = parser.parse_args().runs
    for arguments, stub in (([], root_stub()), (["simulate"], command_stub("simulate"))):
        ours, bare = measure(arguments, stub, runs)
        shown = " ".join(["sipf", *arguments, "--help"])
        figures = f"{ours * 1000:.0f} ms, Typer stub {bare * 1000:.0f} ms, ratio {ours / bare:.2f}"
        print(f"{shown}: {figures} (aim: at most 1.3)")


if __name__ == "__main__":
    main()
