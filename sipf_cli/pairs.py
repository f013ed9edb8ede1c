"""`sipf pairs`: what ORPO learns from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sipf_cli import options as o
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import Table
from sipf_cli.generated import new_app
from stages.settings.files import PlannedSettings
from stages.settings.pairs import PairSettings

app = new_app()


@app.command()
def pairs(
    lines: o.Input, output: o.Output, settings: PairSettings, files: PlannedSettings, console: o.PresetOptions
) -> None:
    """Choose preference pairs by a rule, and show what it yields and why pairs are missing.

    The rules; a right path is one whose answer is right:

    \b
      threshold   every pair with a gap of --eta between the scores (the paper's rule)
      widest      the same pairs, the widest gap first
      sigma       rejects paths near the mean score minus two standard deviations
      shuffled    a control: threshold with the question's scores dealt out anew
      outcome     right paths above wrong ones, without scores
      consistent  the same, but all steps of the chosen path must be right, by scores or labels
      frequent    the same, but the chosen path must have been drawn --min-times times
      fork        from one right prefix: a right rollout above the wrong continuation

    \b
    Example:
      sipf data chain --split train -n 40 --seed 3 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -o paths.jsonl
      sipf pairs paths.jsonl --rule outcome -o pairs.jsonl
    """
    from sipf_cli.console import emit
    from stages.pairs import write_pairs

    summary = write_pairs(
        str(lines), str(output), settings, skipping_bad_lines(strict=files.strict), overwrite=files.overwrite,
        dry_run=files.dry_run, manifest=None if files.manifest is None else str(files.manifest),
    )  # fmt: skip
    tables = _tables(str(output), summary)
    emit({**summary, "settings": asdict(settings)}, tables, json=console.json, data_on_stdout=str(output) == "-")
    end_after(summary["bad lines"])


def _tables(output: str, summary: dict[str, Any]) -> list[Table]:
    """What was written, what each rule made of it, and what other values of --eta or --pass-score would do."""
    rules = summary["rules"]
    tables = [Table(("", ""), [("output", output), *summary["counts"].items()])]
    if "pass scores by steps" in summary:
        scores = [(int(steps), score) for steps, score in summary["pass scores by steps"].items()]
        tables.append(Table(("steps", "score"), scores, title="What --pass-share asks of a right path"))
    for name, told in rules.items():
        tables.append(Table(("", ""), list(told["counts"].items()), title=f"Made by {name}"))
        if "sweep" in told:
            sweep = [(float(value), made["pairs"], made["problems"]) for value, made in told["sweep"].items()]
            title = f"What other values of --eta would yield by {name}"
            tables.append(Table(("eta", "pairs", "problems"), sweep, title=title))
        if "pass scores" in told:
            shares = [(float(share), score) for share, score in told["pass scores"].items()]
            title = "Share of the right paths that a --pass-score keeps"
            tables.append(Table(("share", "pass-score"), shares, title=title))
    return tables
