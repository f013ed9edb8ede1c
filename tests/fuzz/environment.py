"""Variables that set options, with values that are nearly right: each ends in an exit code that the manual knows."""

from __future__ import annotations

import os
import random
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from evals.worlds import chain
from tests.fuzz.mutations import ODD
from tests.fuzz.targets import Target

COMMANDS = {
    "sample": ("--engine", "scripted", "--script", "gold:0.5"),
    "simulate": ("--engine", "scripted", "--script", "gold:0.5"),
    "eval": ("--engine", "scripted", "--script", "gold:0.5"),
    "relabel": (),
    "pairs": (),
}
KNOWN = {0, 1, 2, 3, 4, 5, 6, 75, 130}
"""Exit codes (docs/running.md); 1 is only that of a bug, and comes with a traceback."""


@cache
def _options(command: str) -> tuple[str, ...]:
    import typer.main

    from sipf_cli.main import app

    behind: Any = typer.main.get_command(app)
    found = behind.commands[command]
    return tuple(param.name for param in getattr(found, "load", lambda: found)().params if param.name != "help")


@dataclass(frozen=True)
class Environment(Target):
    """A set of variables, which is one input."""

    def feed(self, numbers: random.Random, folder: Path) -> int:
        """See `Target.feed`."""
        from sipf_cli.main import app

        file = folder / "problems.jsonl"
        if not file.exists():
            file.write_text("".join(f"{problem.to_json()}\n" for problem in chain.problems("train", 2, 1)))
        command = numbers.choice(list(COMMANDS))
        names = numbers.sample(_options(command), numbers.randint(1, 3))
        texts = [one for one in map(str, ODD) if "\0" not in one and "\ud800" not in one]
        variables = {
            f"SIPF_{command.upper()}_{name.upper()}": numbers.choice((*texts, "2", "0.5", "true", str(file)))
            for name in names
            if name not in ("output", "debug", "unsafe_exec")  # debug asks for a traceback
        }
        told = StringIO()
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            with redirect_stdout(told), redirect_stderr(told):
                app(
                    [command, str(file), *COMMANDS[command], "--dry-run", "-o", str(folder / "out.jsonl")],
                    prog_name="sipf",
                )
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            assert code in KNOWN, (code, variables)
            assert "Traceback" not in told.getvalue(), (variables, told.getvalue())
        finally:
            os.environ.clear()
            os.environ.update(before)
        return 1


ENVIRONMENT = Environment("environment", list, lambda _: None)
