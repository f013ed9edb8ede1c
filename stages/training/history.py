"""How a training went, one JSON line per logged step and one per measurement on held-out problems.

    {"step": 10, "steps": 40, "loss": 1.31, "grad_norm": 0.8, "learning_rate": 0.0005, "epoch": 0.5, "seconds": 9.1}
    {"step": 20, "steps": 40, "epoch": 1.0, "held_out_loss": 1.12, "seconds": 17.0}

ORPO's lines hold log-probabilities as well. A resumed run forgets what was written after its checkpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jsonlines

from stages.files.atomic import cannot_write
from stages.files.manifest import sync_folder

HISTORY = "history.jsonl"
HELD_OUT = "held_out_"
"""What the names of held-out figures begin with."""
HELD_OUT_LOSS = f"{HELD_OUT}loss"


class History:
    """The file of a run's history.

    Args:
        file: need not be there yet.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            Interrupted: there is no room.
        """
        try:
            with jsonlines.open(self.file, "a", dumps=partial(json.dumps, allow_nan=False)) as history:
                history.write(line)
        except OSError as error:
            raise cannot_write(str(self.file), error) from error

    def sync(self) -> None:
        """Bring what there is to the disk.

        Raises:
            Interrupted: there is no room.
        """
        if not self.file.exists():
            return
        try:
            with self.file.open("rb") as history:
                os.fsync(history.fileno())
        except OSError as error:
            raise cannot_write(str(self.file), error) from error
        sync_folder(str(self.file))

    def measured_at(self, step: int) -> bool:
        """Whether the held-out problems were measured after this step."""
        return any(line["step"] == step and HELD_OUT_LOSS in line for _, line in self._whole_lines())

    def cut(self, last: int) -> float:
        """Forget what was written after a step.

        Returns:
            "seconds" of the last line that stays.
        """
        if not self.file.is_file():
            return 0.0
        kept, seconds = 0, 0.0
        for size, line in self._whole_lines():
            if line["step"] > last:
                break
            kept += size
            seconds = line["seconds"]
        os.truncate(self.file, kept)
        return seconds

    def _whole_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each line and its size in bytes, up to one that a kill has torn."""
        for raw in self.file.read_bytes().splitlines(keepends=True) if self.file.is_file() else ():
            try:
                line = json.loads(raw)
            except ValueError:
                return
            if not raw.endswith(b"\n"):
                return
            yield len(raw), line
