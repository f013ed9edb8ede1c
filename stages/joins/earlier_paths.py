"""The pool of earlier rounds: D_{i+1} = D_i + new samples. A problem's earlier paths are looked up by its id.

    with EarlierPaths("r0/labelled.jsonl") as pool:
        stage = pool.joined(Sampler(engine, settings))

Only where each line begins is kept in memory, so a pool may be much larger than that.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from evals.errors import DataError
from evals.records import Problem, parse_problem
from stages.runs.runner import Tally
from stages.sample import DRAWN

Stage = Callable[[Problem, Tally], Awaitable[Sequence[Problem]]]


class EarlierPaths:
    """Paths of earlier rounds by problem id; `None` is an empty pool.

    Raises:
        DataError: a line of the pool is bad (an incomplete pool would give out numbers and seeds twice), or two lines
            have one id.
    """

    def __init__(self, source: Path | None) -> None:
        self.source = source
        self._file: IO[bytes] | None = None
        self._places: dict[str, int] = {}
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        if self.source is not None:
            file: Any = gzip.open(self.source) if self.source.suffix == ".gz" else self.source.open("rb")
            self._file = file
            try:
                self._index(file)
            except BaseException:
                file.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

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

    def facts(self) -> dict[str, Any]:
        """The pool's name and hash, for the manifest."""
        if self.source is None:
            return {"pool": None}
        with self.source.open("rb") as file:
            return {"pool": str(self.source), "pool_sha256": hashlib.file_digest(file, "sha256").hexdigest()}

    def ids(self) -> set[str]:
        """The ids of the problems it has paths of."""
        return set(self._places)

    def unused(self) -> int:
        """How many problems of the pool no line has asked for."""
        return len(self._places) - len(self._asked)

    def joined(self, stage: Stage) -> Stage:
        """The stage, with each problem given its earlier paths (those it does not have already) first."""

        async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
            self._join(problem, tally)
            return await stage(problem, tally)

        return work

    def _join(self, problem: Problem, tally: Tally) -> None:
        if self._file is None or problem.id not in self._places:
            return
        self._asked.add(problem.id)
        self._file.seek(self._places[problem.id])
        earlier = parse_problem(self._file.readline().decode("utf-8"), str(self.source))
        here = {path.id for path in problem.paths}
        paths = [path for path in earlier.paths if path.id not in here]
        tally.count("paths from the pool", len(paths))
        problem.paths = [*paths, *problem.paths]
        drawn = [value for value in (getattr(p, DRAWN, None) for p in (problem, earlier)) if isinstance(value, int)]
        if drawn:
            setattr(problem, DRAWN, max(drawn))
