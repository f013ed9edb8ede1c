"""`sipf export`: lines for other tools."""

from __future__ import annotations

from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import COMMANDS, new_app
from sipf_cli.groups import ConsoleOptions, expanded

app = new_app(help=COMMANDS["export"])


@app.callback()
def formats() -> None:
    """Write lines in a form that other tools read."""


@app.command()
@expanded
def stepwise(
    lines: o.Input,
    output: o.Output,
    console: ConsoleOptions,
    labels: Annotated[str, typer.Option("--labels", help="hard, soft, or threshold:T.")] = "hard",
    template: Annotated[
        str, typer.Option("--template", help="Prompt template: auto (the task's first), chat, or one of the task's.")
    ] = "auto",
    strict: o.Strict = False,
    overwrite: o.Overwrite = False,
    manifest: o.Manifest = None,
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
        str(lines), str(output), skipping_bad_lines(strict=strict), labels=labels, template=template,
        overwrite=overwrite, manifest=None if manifest is None else str(manifest),
    )  # fmt: skip
    emit({"output": str(output), **counts}, json=console.json, data_on_stdout=str(output) == "-")
    end_after(counts["bad lines"])
