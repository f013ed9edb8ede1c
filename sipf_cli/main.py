"""The `sipf` command line.

    sipf --config loop.toml sample --model google/gemma-2b problems.jsonl -o paths.jsonl

Each command has its own module, see `sipf_cli.app.COMMANDS`; this is their root.
"""

from __future__ import annotations

import gc
import os
import sys
from types import TracebackType
from typing import Annotated

import typer

from sipf_cli.app import LazyGroup
from sipf_cli.configuration import Config, Debug
from stages.files.secrets import without_secrets


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"sipf {version('sipf')}")
        raise typer.Exit


GARBAGE = 10_000
"""Objects made before the collector looks for cycles. The libraries make a million while they are imported, and nearly
all of these stay, so that looking more often, as Python does by itself, only takes time (benchmarks/startup.py)."""

app = typer.Typer(
    name="sipf",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "SIPF"},
)

Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, allow_from_autoenv=False, help="Print the version."
    ),
]


@app.callback()
def root(config: Config = None, debug: Debug = False, version: Version = False) -> None:
    """Self-iterative process feedback for small language models, one command per stage.

    Options come from flags, then SIPF_<COMMAND>_<OPTION> variables, then --config, then --preset, then defaults.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
    """


SPINS = 20_000
"""How often a thread of torch looks for work before it sleeps (the environment's GOMP_SPINCOUNT). As libgomp has it, by
itself, a thread looks for milliseconds, and where another process needs the core, the thread that all wait for does not
get it: a decode step beside one busy process took 20 times as long (benchmarks/beside_others.py)."""


def _show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python's own display of an exception that nobody expected, without secrets."""
    import traceback

    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))


def main() -> None:
    """Run the command line; the process ends with its exit code."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))  # read once, when torch is imported
    # Where --compile keeps its code for the next run. Torch would take a folder in /tmp, where others can put code too.
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(cache, "sipf", "compiled"))
    gc.set_threshold(GARBAGE)
    sys.excepthook = _show_bug
    try:
        app(prog_name="sipf")
    except SystemExit as ended:
        _leave_group(ended.code)
        raise


def _leave_group(code: str | int | None) -> None:
    """End a process of a distributed run at once.

    The threads of its group outlive the interpreter, and abort the process while the interpreter shuts down. If the
    group is shut down first, it and the interpreter can wait for each other for ever. By now everything is written.
    """
    group = sys.modules.get("torch.distributed")
    if group is None or not (group.is_available() and group.is_initialized()):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
