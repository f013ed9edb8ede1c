"""The pool of earlier rounds: D_{i+1} = D_i + new samples. A problem's earlier paths are looked up by its id.

    stage = Sampler(engine, settings, EarlierPaths("r0/labelled.jsonl"))

Only where each line begins is kept in memory, so a pool may be much larger than that.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

from evals.errors import DataError
from evals.records import Problem, parse_problem
from stages.files.manifest import hash_file
from stages.runs.scheduler import Tally


class EarlierPaths:
    """Paths of earlier rounds by problem id; a `stages.runs.stage.Resource`."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._file: IO[bytes] | None = None
        self._places: dict[str, int] = {}
        self._asked: set[str] = set()

    def facts(self) -> dict[str, Any]:
        """The pool's name and hash, for the manifest."""
        return {"pool": str(self.source), "pool_sha256": hash_file(str(self.source))}

    def open(self) -> None:
        """Find where each problem's line begins.

        Raises:
            DataError: a line of the pool is bad (an incomplete pool would give out numbers and seeds twice), or two
                lines have one id.
        """
        if self._file is None:
            file: Any = gzip.open(self.source) if self.source.suffix == ".gz" else self.source.open("rb")  # noqa: SIM115 (closed by close)
            self._file = file
            self._index(file)

    def hungry(self) -> bool:
        """Always: it is at hand."""
        return True

    def spent(self) -> dict[str, int]:
        """Nothing."""
        return {}

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _index(self, file: IO[bytes]) -> None:
        place, number = file.tell(), 0
        while line := file.readline():
            number += 1
            if line.strip():
                problem = parse_problem(line.decode("utf-8", "replace"), f"{self.source}:{number}")
                if problem.id in self._places:
                    raise DataError(f"{self.source}:{number}: id: {problem.id!r} stands twice in the pool")
                self._places[problem.id] = place
            place = file.tell()

    def ids(self) -> set[str]:
        """The ids of the problems it has paths of."""
        return set(self._places)

    def unused(self) -> int:
        """How many problems of the pool no line has asked for."""
        return len(self._places) - len(self._asked)

    def join(self, problem: Problem, tally: Tally) -> None:
        """Give the problem its earlier paths (those it does not have already), before its own."""
        if self._file is None or problem.id not in self._places:
            return
        self._asked.add(problem.id)
        self._file.seek(self._places[problem.id])
        earlier = parse_problem(self._file.readline().decode("utf-8"), str(self.source))
        here = {path.id for path in problem.paths}
        paths = [path for path in earlier.paths if path.id not in here]
        tally.count("paths from the pool", len(paths))
        problem.paths = [*paths, *problem.paths]
        problem.drawn = max(problem.drawn, earlier.drawn)
