"""`sipf export`: lines for other tools."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.app import COMMANDS
from sipf_cli.generated import new_app
from stages.settings.files import OutputSettings
from stages.settings.labels import StepwiseSettings

app = new_app(help=COMMANDS["export"])


@app.callback()
def formats() -> None:
    """Write lines in a form that other tools read."""


@app.command()
def stepwise(
    lines: o.Input, output: o.Output, settings: StepwiseSettings, files: OutputSettings, console: o.ConsoleOptions
) -> None:
    """Write labelled paths as lines of prompt, completions and labels, the stepwise format of reward-model trainers.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --k 2 -o labels.jsonl
      sipf export stepwise labels.jsonl -o stepwise.jsonl
    """
    from sipf_cli.bad_lines import end_after, skipping_bad_lines
    from sipf_cli.console import emit
    from stages.export import export_stepwise

    counts = export_stepwise(
        str(lines), str(output), skipping_bad_lines(strict=files.strict), settings, overwrite=files.overwrite,
        manifest=None if files.manifest is None else str(files.manifest),
    )  # fmt: skip
    emit({"output": str(output), **counts}, json=console.json, data_on_stdout=str(output) == "-")
    end_after(counts["bad lines"])
