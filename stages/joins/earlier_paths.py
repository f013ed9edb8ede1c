"""The pool of earlier rounds: D_{i+1} = D_i + new samples. A problem's earlier paths are looked up by its id.

    with EarlierPaths("r0/labelled.jsonl") as pool:
        stage = pool.joined(Sampler(engine, settings))

Only where each line begins is kept in memory, so a pool may be much larger than that (stages/files/indexed.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evals.records import Problem
from stages.files.indexed import RecordIndex
from stages.files.manifest import hash_file
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
        self._lines: RecordIndex[Problem] | None = None
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        if self.source is not None:
            lines = RecordIndex(str(self.source), lambda row, _: Problem.from_row(row), lambda problem: problem.id)
            self._lines = lines.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lines is not None:
            self._lines.__exit__(kind, error, traceback)

    def facts(self) -> dict[str, Any]:
        """The pool's name and hash, for the manifest."""
        if self.source is None:
            return {"pool": None}
        return {"pool": str(self.source), "pool_sha256": hash_file(str(self.source))}

    def ids(self) -> set[str]:
        """The ids of the problems it has paths of."""
        return set() if self._lines is None else self._lines.ids()

    def unused(self) -> int:
        """How many problems of the pool no line has asked for."""
        return len(self.ids()) - len(self._asked)

    def joined(self, stage: Stage) -> Stage:
        """The stage, with each problem given its earlier paths (those it does not have already) first."""

        async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
            self._join(problem, tally)
            return await stage(problem, tally)

        return work

    def _join(self, problem: Problem, tally: Tally) -> None:
        earlier = None if self._lines is None else self._lines.get(problem.id)
        if earlier is None:
            return
        self._asked.add(problem.id)
        here = {path.id for path in problem.paths}
        paths = [path for path in earlier.paths if path.id not in here]
        tally.count("paths from the pool", len(paths))
        problem.paths = [*paths, *problem.paths]
        drawn = [value for value in (getattr(p, DRAWN, None) for p in (problem, earlier)) if isinstance(value, int)]
        if drawn:
            setattr(problem, DRAWN, max(drawn))
