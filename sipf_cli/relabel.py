"""`sipf relabel`: other labels from rollouts that were kept."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.files import FileSettings
from stages.settings.labels import RelabelSettings

app = new_app()


@app.command()
def relabel(
    lines: o.Input, output: o.Output, settings: RelabelSettings, files: FileSettings, console: o.PresetOptions
) -> None:
    """Derive the step labels again from the rollouts that simulate kept, without a model.

    A line whose rollouts do not decide the wanted labels is a bad line; the message names the strategy that would.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 --strategy brute -o labels.jsonl
      sipf relabel labels.jsonl --k 4 --delta 1 -o other.jsonl
    """
    from sipf_cli.running import execute
    from stages.relabel import Relabelling

    execute(Relabelling(settings), lines, output, files, console)
