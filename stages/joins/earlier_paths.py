"""The pool of earlier rounds: D_{i+1} = D_i + new samples. A problem's earlier paths are looked up by its id.

    stage = Sampler(engine, settings, EarlierPaths("r0/labelled.jsonl"))

Only the place of each line is kept in memory, so a pool may be much larger than memory (stages/files/indexed.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.records import Problem
from stages.counts import Tally
from stages.files.indexed import RecordIndex
from stages.files.manifest import hash_file


class EarlierPaths:
    """Paths of earlier rounds by problem id; a `stages.runs.stage.Resource`."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._lines: RecordIndex[Problem] | None = None
        self._asked: set[str] = set()

    def facts(self) -> dict[str, Any]:
        """The pool's name and hash, for the manifest."""
        return {"pool": str(self.source), "pool_sha256": hash_file(str(self.source))}

    def open(self) -> None:
        """Find where each problem's line begins.

        Raises:
            UsageError: there is no such file, or it is a pipe.
            DataError: a line of the pool is bad (an incomplete pool would give out numbers and seeds twice), or two
                lines share an id.
        """
        if self._lines is None:
            lines = RecordIndex(str(self.source), lambda row, _: Problem.from_row(row), lambda problem: problem.id)
            lines.read()
            self._lines = lines

    def hungry(self) -> bool:
        """Always: there is nothing to wait for."""
        return True

    def spent(self) -> dict[str, int]:
        """No costs."""
        return {}

    async def close(self) -> None:
        """Close the file; the ids stay known."""
        if self._lines is not None:
            self._lines.close()

    def ids(self) -> set[str]:
        """The ids of the problems that it has paths for; none before it is opened."""
        return set() if self._lines is None else self._lines.ids()

    def unused(self) -> int:
        """How many problems of the pool no line has asked for."""
        return len(self.ids()) - len(self._asked)

    def join(self, problem: Problem, tally: Tally) -> None:
        """Give the problem its earlier paths (those it does not have already), before its own, and its question's
        label."""
        earlier = None if self._lines is None else self._lines.get(problem.id)
        if earlier is None:
            return
        self._asked.add(problem.id)
        here = {path.id for path in problem.paths}
        paths = [path for path in earlier.paths if path.id not in here]
        tally.count("paths from the pool", len(paths))
        problem.paths = [*paths, *problem.paths]
        problem.drawn = max(problem.drawn, earlier.drawn)
        if problem.root is None and earlier.root is not None:
            problem.root = earlier.root
