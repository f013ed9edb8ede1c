"""`sipf export`: lines for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sipf_cli import options as o
from sipf_cli.app import COMMANDS
from sipf_cli.generated import new_app
from stages.settings.export import PairFormSettings, SftFormSettings, StepwiseSettings
from stages.settings.files import OutputSettings

app = new_app(help=COMMANDS["export"])


@app.callback()
def formats() -> None:
    """Write lines in a form that other tools read: lines of JSON, or a table if the output's name ends in .parquet."""


@app.command()
def stepwise(
    lines: o.Input, output: o.Output, settings: StepwiseSettings, files: OutputSettings, console: o.ConsoleOptions
) -> None:
    """Write labelled paths as lines of prompt, completions and labels, or in another form of step labels.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --k 2 -o labels.jsonl
      sipf export stepwise labels.jsonl -o stepwise.jsonl
    """
    from stages.export import export_stepwise

    _write(export_stepwise, lines, output, settings, files, console)


@app.command()
def pairs(
    lines: o.Input, output: o.Output, settings: PairFormSettings, files: OutputSettings, console: o.ConsoleOptions
) -> None:
    """Write preference pairs in the form of TRL, OpenRLHF or ms-swift; reads every form that orpo reads.

    \b
    Example:
      echo '{"prompt": "Question: 1 and 2?", "chosen": "1+2=3", "rejected": "1+2=4"}' > pairs.jsonl
      sipf export pairs pairs.jsonl --form ms-swift -o swift.jsonl
    """
    from stages.export import export_pairs

    _write(export_pairs, lines, output, settings, files, console)


@app.command()
def sft(
    lines: o.Input, output: o.Output, settings: SftFormSettings, files: OutputSettings, console: o.ConsoleOptions
) -> None:
    """Write gold solutions and demonstrations in the form of TRL, OpenRLHF or ms-swift; reads all that sft reads.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf export sft problems.jsonl --form trl -o train.parquet
    """
    from stages.export import export_sft

    _write(export_sft, lines, output, settings, files, console)


def _write(
    export: Callable[..., dict[str, Any]],
    lines: Path,
    output: Path,
    settings: Any,
    files: OutputSettings,
    console: o.ConsoleOptions,
) -> None:
    from sipf_cli.bad_lines import end_after, skipping_bad_lines
    from sipf_cli.console import emit

    counts = export(
        str(lines), str(output), skipping_bad_lines(strict=files.strict), settings, overwrite=files.overwrite,
        manifest=None if files.manifest is None else str(files.manifest),
    )  # fmt: skip
    emit({"output": str(output), **counts}, json=console.json, data_on_stdout=str(output) == "-")
    end_after(counts["bad lines"])
