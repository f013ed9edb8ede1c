"""What commands take besides their stage's settings: what is read, what is written, and how the command prints.

    def merge(sources: Inputs, output: Output, console: ConsoleOptions) -> None:

A parameter has its option's long name, so flag (`--top-p`), variable (`SIPF_SAMPLE_TOP_P`) and configuration key
(`top-p`) agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sipf_cli.configuration import Config, Debug, on_preset
from stages.settings.declare import Panel

Input = Annotated[
    Path,
    typer.Argument(allow_dash=True, metavar="LINES", help="Lines to read: .jsonl (packed too), a table, or -."),
]
Inputs = Annotated[list[Path], typer.Argument(metavar="LINES...", help="Files of lines, .jsonl or .jsonl.gz.")]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", allow_dash=True, metavar="FILE", rich_help_panel=Panel.MAIN,
        help="File to write, or - for stdout.",
    ),
]  # fmt: skip
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output", "-o", file_okay=False, metavar="FOLDER", rich_help_panel=Panel.MAIN,
        help="Folder for the trained model.",
    ),
]  # fmt: skip
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Folder, adapter folder, hub name, or 'chain-base', 'chain-teacher' or 'functions-base' (embedded).",
    ),
]  # fmt: skip
Base = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Base model to restart from, as the paper does in each round.",
    ),
]  # fmt: skip
ContinueFrom = Annotated[
    str | None,
    typer.Option(
        "--continue-from", metavar="TEXT", rich_help_panel=Panel.MAIN,
        help="Continue from this policy instead of restarting from the base.",
    ),
]  # fmt: skip
Overwrite = Annotated[
    bool, typer.Option("--overwrite", rich_help_panel=Panel.FILES, help="Start over, replacing the output.")
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", callback=on_preset, is_eager=True, metavar="NAME", rich_help_panel=Panel.MORE,
        help="Named set of options: paper or paper-code.",
    ),
]  # fmt: skip
Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=Panel.MORE, help="Print the summary as one JSON object, not a table.")
]


@dataclass(frozen=True)
class ConsoleOptions:
    """Where a command's settings come from, and how it prints."""

    config: Config = None
    json: Json = False
    debug: Debug = False


@dataclass(frozen=True)
class PresetOptions(ConsoleOptions):
    """The same for commands that have presets; a configuration file may name the preset, so it is read first."""

    preset: Preset = None
