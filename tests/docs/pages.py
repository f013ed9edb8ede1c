"""The pages of the documentation, and the blocks of commands in them.

    ```sh                every line is run, in order, in one empty folder per page; each must end with 0
    ```console           the same for lines after `$ `, and what they print on stdout must be what the page shows
    ```sh gpu            not run, as it needs a GPU; its commands must exist with these options
    ```sh hub            the same, as it needs the hub
    ```sh setup          the same, as it installs something, takes minutes or needs a cluster

In the output a line `...` stands for any lines, and whatever is measured in seconds may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = ("gpu", "hub", "setup")


@dataclass(frozen=True)
class Block:
    """A fenced block: the language and the word after it, its text, and the number of its first line."""

    language: str
    note: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """One command as it is typed, and what it is shown to print (None: not shown)."""

    typed: str
    shown: str | None
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    inside: list[str] | None = None
    language, note, begun = "", "", 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if inside is None and (fence := re.fullmatch(r"```(\w*) ?(\w*)", line)):
            language, note, inside, begun = fence[1], fence[2], [], number + 1
        elif inside is not None and line == "```":
            yield Block(language, note, "\n".join(inside), begun)
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{page.name}:{begun}: the block is never closed"


def commands(block: Block) -> list[Command]:
    """The commands of a `sh` or `console` block."""
    if block.language == "sh":
        typed = block.text.replace("\\\n", " ").splitlines()
        return [Command(line.strip(), None, block.line) for line in typed if line.strip() and line[0] != "#"]
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"line {block.line}: a console block begins with `$ `"
    found = []
    for part in parts[1:]:
        typed, _, shown = part.replace("\\\n", " ").partition("\n")
        found.append(Command(typed, shown, block.line))
    return found
