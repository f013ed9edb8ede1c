"""Code that leaves a mark where it runs, for tests that it does not."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any


class Mark:
    """A file that appears as soon as the code of `source` or the pickle of `pickled` runs."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "it-ran"
        self.source = f"open({str(self.file)!r}, 'w').close()\n"

    @property
    def left(self) -> bool:
        return self.file.exists()

    def pickled(self) -> bytes:
        return pickle.dumps(_Calls(self.source), protocol=2)  # the one that torch writes


class _Calls:
    def __init__(self, source: str) -> None:
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.source,)


def edit(file: Path, **more: Any) -> None:
    """Change keys of a file of JSON; None takes one out."""
    values = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    values |= more
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}), encoding="utf-8")
