"""`sipf pairs`: what ORPO learns from."""

from __future__ import annotations

from dataclasses import asdict

from sipf_cli import options as o
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.generated import new_app
from stages.settings.files import PlannedSettings
from stages.settings.pairs import PairSettings

app = new_app()


@app.command()
def pairs(
    lines: o.Input, output: o.Output, settings: PairSettings, files: PlannedSettings, console: o.PresetOptions
) -> None:
    """Choose preference pairs by the scores of their paths, and show what each eta would yield.

    \b
    Example:
      sipf data chain --split train -n 40 --seed 3 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -o paths.jsonl
      sipf pairs paths.jsonl --feedback outcome -o pairs.jsonl
    """
    from sipf_cli.console import Table, emit
    from stages.pairs import write_pairs

    summary = write_pairs(
        str(lines), str(output), settings, skipping_bad_lines(strict=files.strict), overwrite=files.overwrite,
        dry_run=files.dry_run, manifest=None if files.manifest is None else str(files.manifest),
    )  # fmt: skip
    tables = [Table(("", ""), [("output", str(output)), *summary["counts"].items()])]
    if settings.feedback == "process":
        sweep = [(float(value), made["pairs"], made["problems"]) for value, made in summary["sweep"].items()]
        tables.append(Table(("eta", "pairs", "problems"), sweep, title="What other values of --eta would yield"))
    emit({**summary, "settings": asdict(settings)}, tables, json=console.json, data_on_stdout=str(output) == "-")
    end_after(summary["bad lines"])
