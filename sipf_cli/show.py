"""`sipf show`: look at a problem, its paths and its pairs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli import options as o
from sipf_cli.bad_lines import end_after, skipping_bad_lines
from sipf_cli.console import emit
from sipf_cli.generated import new_app
from stages.settings.show import ShowSettings

if TYPE_CHECKING:
    from stages.show import Shown

app = new_app()

File = Annotated[Path, typer.Argument(allow_dash=True, metavar="FILE", help="Lines of problems, pairs or reasons.")]
Wanted = Annotated[str | None, typer.Argument(metavar="[ID]", help="A problem, a path, a pair, or a line (:12).")]


@app.command()
def show(file: File, settings: ShowSettings, console: o.ConsoleOptions, wanted: Wanted = None) -> None:
    """Show a problem in the terminal: every path with the labels and scores of its steps, or its pairs.

    FILE is what any stage wrote, packed or not. ID is one of

    \b
      chain/train/0/7      a problem, or in a file of pairs all pairs of this problem
      chain/train/0/7#3    one path, or the pairs it is in
      chain/train/0/7#3>1  a pair, or its two paths
      :12                  whatever is on line 12 (line:12 means the same)

    Without ID the first problem is shown, and what else is there. On a terminal the output comes in pages (PAGER, or
    less); NO_COLOR=1 leaves colours out.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --engine scripted --script gold:0.5 -n 3 -o paths.jsonl
      sipf simulate paths.jsonl --engine scripted --script gold:0.5 -o labels.jsonl
      sipf show labels.jsonl chain/train/0/2
    """
    import os
    import sys
    from shutil import get_terminal_size

    from stages.show import show as find

    bad = skipping_bad_lines(strict=False)
    shown = find(str(file), wanted, settings, bad)
    if console.json:
        items = [item.as_dict() for item in shown.items]
        emit({"items": items, "lines": shown.lines, "matching": shown.matching, "seed": shown.seed}, json=True)
    else:
        from sipf_cli.pager import page
        from sipf_cli.screen import Look, can_show_marks, drawn

        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        look = Look(
            get_terminal_size().columns, colour, can_show_marks(sys.stdout.encoding), settings.pass_score,
            settings.rollouts, settings.full,
        )  # fmt: skip
        page(drawn(shown.items, look, _what_is_there(str(file), shown, settings)), sys.stdout)
    end_after(bad.count)


def _what_is_there(file: str, shown: Shown, settings: ShowSettings) -> list[str]:
    """Lines that say how much there is, and how to open the rest."""
    if shown.lines is None:
        return []
    told = [f"{'stdin' if file == '-' else file} has {shown.lines:,} line{'' if shown.lines == 1 else 's'}"]
    if shown.matching is not None:
        told[0] += f"; {shown.matching:,} match --where {settings.where}"
    if shown.seed is not None:
        told[0] += f"; drawn with --seed {shown.seed}"
    told[0] += "."
    if shown.others:
        told.append(f"Next: {', '.join(shown.others)}")
    if shown.others and file != "-":
        told.append(f"Open one: sipf show {shlex.quote(file)} {shlex.quote(shown.others[0])}")
        told.append("or a line (:2), or more of them (-n 5, --random, --where wrong-step).")
    return told
