"""Makes docs/terminal.svg: a recording of five commands in a terminal, with what they print.

    python -m docs.make_terminal

The commands run for real, in a pseudo-terminal where they print in colour. The recording is one file of SVG that moves
by its own styles: a command appears, then its output, and the lines move up as in a terminal. Where nothing may move,
and at the end, it shows the last screen: a problem with its labelled steps. Takes a minute.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

from rich.style import Style
from rich.text import Text

DOCS = Path(__file__).resolve().parent
COMMANDS = (
    "sipf data chain --split train -n 8 -o problems.jsonl",
    "sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl",
    "sipf simulate paths.jsonl --model chain-base --k 4 -o labels.jsonl",
    "sipf show labels.jsonl chain/train/0/2",
)
COLUMNS, ROWS = 84, 36
LETTER, LINE, EDGE = 7.8, 18.0, 14.0
"""Width of a letter, height of a line, and the room around them, in pixels."""
TYPED, PRINTED = 1.2, 2.6
"""Seconds after which a command's output appears, and after that the next command."""
COLOURS = ("#a3adb8", "#ff9a8d", "#6fd699", "#e8bf62", "#79b4ff", "#c79bff", "#6cd6d6", "#e6e9ed")
"""Black to white, as a terminal numbers them; black as a grey, since the ground is dark."""
STYLE = """
  .ground { fill: #14171b } text { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    fill: #e6e9ed; white-space: pre } .b { font-weight: 700 } .d { fill: #a3adb8 }
  .p { fill: #79b4ff; font-weight: 700 }
  @keyframes appear { from { visibility: hidden } to { visibility: visible } }
  @media (prefers-reduced-motion: reduce) { * { animation: none !important } }
"""


@dataclass(frozen=True)
class Part:
    """Lines that appear together, so many seconds after the beginning."""

    at: float
    lines: Sequence[Text]


def printed(command: str, folder: Path) -> str:
    """What a command prints in a terminal: its output, in colour, without the progress on stderr."""
    shell = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "PAGER": "cat", "OMP_NUM_THREADS": "1",
             "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as reader:
        running = subprocess.Popen(
            command.split(), cwd=folder, env={**os.environ, **shell}, stdout=theirs, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        found = b"".join(iter(lambda: _some(reader.fileno()), b""))
        if running.wait():
            raise SystemExit(f"{command} ended with {running.returncode}")
    return found.decode().replace("\r\n", "\n")


def _some(terminal: int) -> bytes:
    """The next bytes; none once the command has closed its side, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def parts(folder: Path) -> Iterator[Part]:
    """The commands and what they print, one after the other."""
    at = 0.4
    for command in COMMANDS:
        yield Part(at, [Text.assemble(("$ ", "prompt"), (command, "bold"))])
        at += TYPED
        text = Text.from_ansi(printed(command, folder).rstrip("\n"))
        yield Part(at, [line for whole in text.split("\n") for line in wrapped(whole)])
        at += PRINTED


def wrapped(line: Text) -> list[Text]:
    """A line as a terminal shows one that is too long."""
    return [line[start : start + COLUMNS] for start in range(0, max(len(line), 1), COLUMNS)]


def drawn(text: Text, row: int) -> str:
    """A line, its coloured parts each at their columns, whatever the width of the viewer's font."""
    y = EDGE + LINE * (row + 0.72)
    ends = sorted({0, len(text), *(end for span in text.spans for end in (span.start, span.end))})
    found = []
    for start, end in pairwise(ends):
        plain = text.plain[start:end]
        if plain.strip():
            x, width = EDGE + LETTER * start, LETTER * (end - start)
            how = look(text, start)
            found.append(f'<text x="{x:g}" y="{y:g}" textLength="{width:g}"{how}>{escape(plain)}</text>')
    return "".join(found)


def look(text: Text, place: int) -> str:
    """The attributes of a letter's style."""
    names = [str(span.style) for span in text.spans if span.start <= place < span.end]
    if "prompt" in names:
        return ' class="p"'
    style = Style.combine([Style(), *map(Style.parse, names)])
    classes = [letter for letter, on in (("b", style.bold), ("d", style.dim)) if on]
    number = style.color.number if style.color else None
    fill = "" if number is None else f' style="fill: {COLOURS[number % len(COLOURS)]}"'
    return (f' class="{" ".join(classes)}"' if classes else "") + fill


def recording(shown: Sequence[Part]) -> str:
    """The whole drawing."""
    width, height = 2 * EDGE + LETTER * COLUMNS, 2 * EDGE + LINE * ROWS
    row, groups, moves = 0, [], []
    for part in shown:
        lines = "".join(drawn(text, row + n) for n, text in enumerate(part.lines))
        row += len(part.lines)
        groups.append(f'<g style="animation: appear .01s {part.at:g}s backwards">{lines}</g>')
        moves.append((part.at, -LINE * max(0, row - ROWS)))
    seconds, last = moves[-1]
    steps = "".join(f"{100 * at / seconds:.2f}% {{ transform: translateY({y:g}px) }} " for at, y in moves)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-labelledby="what">',
            f'<title id="what">A terminal: {escape(", then ".join(COMMANDS))}</title>',
            f"<style>{STYLE}  @keyframes move {{ 0% {{ transform: none }} {steps}}}\n</style>",
            f'<clipPath id="screen"><rect x="0" y="{EDGE:g}" width="{width:g}" height="{LINE * ROWS:g}"/></clipPath>',
            f'<rect width="{width:g}" height="{height:g}" rx="8" class="ground"/>',
            f'<g clip-path="url(#screen)"><g style="transform: translateY({last:g}px); '
            f'animation: move {seconds:g}s steps(1, end) backwards">',
            *groups,
            "</g></g>",
            "</svg>\n",
        ]
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = recording(list(parts(Path(folder))))
    (DOCS / "terminal.svg").write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
