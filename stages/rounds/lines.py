"""health.jsonl: one line per round, in the order of the rounds.

write_line(folder, {"round": 2, "accuracy": 0.416, ...})     # "added", "unchanged" or "replaced"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from evals.errors import DataError
from evals.records import parse_json
from stages.files.atomic import atomic_file
from stages.files.locks import output_lock, place_of
from stages.files.outputs import to_line

HEALTH = "health.jsonl"

Written = Literal["added", "unchanged", "replaced"]


def health_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a loop's folder; none where no health was computed.

    Raises:
        DataError: `FILE:LINE: what is wrong`.
    """
    file = folder / HEALTH
    if not file.is_file():
        return []
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = parse_json(text)
        except ValueError as error:
            raise _damaged(file, number, f"not JSON ({error})") from error
        if not isinstance(line, dict) or not isinstance(line.get("round"), int):
            raise _damaged(file, number, "round: missing")
        lines.append(line)
    return lines


def write_line(folder: Path, line: Mapping[str, Any]) -> Written:
    """Add a round's line, or replace it if it says something else now.

    Raises:
        DataError: the file is damaged.
        UsageError: another process is writing it.
        Interrupted: it cannot be written.
    """
    path = place_of(str(folder / HEALTH))
    assert path is not None, "a file in a folder"
    with output_lock(path):
        lines = {one["round"]: one for one in health_lines(folder)}
        before = lines.get(line["round"])
        if before == line:
            return "unchanged"
        lines[line["round"]] = dict(line)
        with atomic_file(path) as file:
            for _, one in sorted(lines.items()):
                file.write(f"{to_line(one)}\n".encode())
    return "added" if before is None else "replaced"


def _damaged(file: Path, number: int, what: str) -> DataError:
    return DataError(f"{file}:{number}: {what}", "Delete the file and run sipf health again.")
