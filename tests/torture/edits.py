"""What a hand or a careless program does to a file between two runs of a command.

    words = edit(folder, random.Random(7))        # "out.jsonl.part: one byte is another"

Edited are outputs, journals and whatever else a run leaves. A manifest only loses its end: nothing could know that one
of its numbers was another.
"""

from __future__ import annotations

import random
from pathlib import Path


def edit(folder: Path, draws: random.Random) -> str:
    """Change one file below a folder.

    Returns:
        The file and what was done, in words; empty if there is no file with anything in it.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return ""
    path = draws.choice(files)
    how = "cut off" if path.name.endswith("manifest.json") else draws.choice([*EDITS])
    data = path.read_bytes()
    made = EDITS[how](data, draws)
    if made == data:
        return ""
    path.write_bytes(made)
    return f"{path.relative_to(folder)}: {how}"


def _cut_off(data: bytes, draws: random.Random) -> bytes:
    return data[: draws.randrange(len(data))]


def _other_byte(data: bytes, draws: random.Random) -> bytes:
    at = draws.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draws.randrange(8)]) + data[at + 1 :]


def _line_gone(data: bytes, draws: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[draws.randrange(len(lines))]
    return b"".join(lines)


def _line_twice(data: bytes, draws: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = draws.randrange(len(lines))
    return b"".join([*lines[: at + 1], *lines[at:]])


def _other_order(data: bytes, draws: random.Random) -> bytes:
    first, *lines = data.splitlines(keepends=True)
    draws.shuffle(lines)
    return b"".join([first, *lines])


def _zeros(data: bytes, draws: random.Random) -> bytes:
    at = draws.randrange(len(data))
    return data[:at] + b"\0" * len(data[at : at + 4096]) + data[at + 4096 :]


def _more(data: bytes, draws: random.Random) -> bytes:
    return data + draws.choice([b"\n", b"{}\n", b"\xff\xfe", data])


EDITS = {
    "cut off": _cut_off,
    "one byte is another": _other_byte,
    "a line is gone": _line_gone,
    "a line is there twice": _line_twice,
    "lines in another order": _other_order,
    "zeros": _zeros,
    "more at the end": _more,
}
