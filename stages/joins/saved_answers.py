"""Answers saved earlier, perhaps by another program, and the problems they belong to.

{"task_id": "HumanEval/0", "completion": "    return any(...)"}      a sample, several per problem
{"id": "gsm8k/test/17", "paths": [{"text": "..."}], ...}             a line of this toolkit

    answers = SavedAnswers("samples.jsonl", BadLines(tell=print))
    stage = Judging("samples.jsonl", answers)                         # every problem gets its samples as paths first
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Path, Problem
from stages.counts import Tally
from stages.files.manifest import hash_file
from stages.files.reading import BadLines
from stages.files.records import RecordReader
from stages.joins.earlier_paths import EarlierPaths
from stages.joins.samples import Names, Sample, is_sample, sample
from stages.runs.whole_file import WholeFile

LISTED = 5
"""Unknown names that an error shows; all are counted."""


class SavedAnswers:
    """Samples by problem; a `stages.runs.stage.Resource`.

    Args:
        source: a .jsonl or .jsonl.gz file.
        bad: receives the lines without an answer, when the file is read.
        names: finds the problems that the samples answer; None: they are not known yet, and every sample must name the
            problem's own id.
    """

    def __init__(self, source: str, bad: BadLines, names: Callable[[], Names] | None = None) -> None:
        self.source, self.bad, self.names = source, bad, names
        self._texts: dict[str, list[str]] = {}

    def facts(self) -> dict[str, Any]:
        """The file's name and hash, for the manifest."""
        return {"samples": self.source, "samples_sha256": hash_file(self.source)}

    def open(self) -> None:
        """Read the file.

        Raises:
            DataError: a bad line, if `bad` is strict; there is no good line; or none answers a known problem.
        """
        if self._texts:
            return
        names = None if self.names is None else self.names()
        texts: dict[str, list[str]] = defaultdict(list)
        filters: dict[str, str | None] = {}
        for found in self.bad.good(RecordReader(self.source, sample)):
            identity = _identity(found, names)
            if found.filter == filters.setdefault(identity, found.filter):
                texts[identity] += found.texts
        if not texts:
            raise self.bad.first or DataError(f"{self.source} holds no line")
        if names is not None and names.ids.isdisjoint(texts):
            unknown = ", ".join(repr(name) for name in sorted(texts)[:LISTED])
            more = f" and {len(texts) - LISTED:,} more" if len(texts) > LISTED else ""
            raise DataError(
                f"{self.source}: no problem has the id {unknown}{more}",
                f"The {len(names.ids):,} problems are {_examples(names)}. Give those that the samples answer: "
                f"sipf eval PROBLEMS --from {self.source} (sipf data writes them).",
            )
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
    """Whether a file holds samples: its first good line is one."""
    return is_sample(next(BadLines().good(RecordReader(source, lambda row, _: dict(row))), {}))


def answers_in(file: FilePath, bad: BadLines, lines: FilePath | None) -> SavedAnswers | EarlierPaths | None:
    """The answers in a file: samples, or lines with paths for other lines; None: its own lines are judged.

    Args:
        bad: receives the samples without an answer.
        lines: the problems that they answer; None: HumanEval's for samples, else the file's own.
    """
    if is_samples(str(file)):
        piped = lines is not None and not lines.is_file()
        return SavedAnswers(str(file), bad, None if piped else lambda: _names(lines))
    return None if lines is None else EarlierPaths(file)


def _names(lines: FilePath | None) -> Names:
    """The names of the problems in a file, or of HumanEval's. Bad lines are reported when they are judged."""
    if lines is None:
        from evals.datasets.humaneval import problems

        return Names(((problem.id, problem.question, None) for problem in problems()), numbered=False)
    return Names(BadLines().good(RecordReader(str(lines), lambda row, _: _known(row))))


def _known(row: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """A problem's id, question and right answer; the letter of a choice is not how others write it."""
    answer = None if "choices" in row else row.get("answer")
    return str(row.get("id")), str(row.get("question")), answer if isinstance(answer, str) else None


def _identity(found: Sample, names: Names | None) -> str:
    """The id of the sample's problem; where it is not known, the name that the sample gives."""
    return (names.find(found) if names is not None else None) or found.names[0]


def _examples(names: Names) -> str:
    first, *rest = sorted(names.ids, key=lambda identity: (len(identity), identity))
    return f"{first} to {rest[-1]}" if rest else first


def problems_for(file: FilePath, lines: FilePath | None, output: FilePath) -> FilePath:
    """The problems that a file's answers belong to: the lines given; else HumanEval's for samples; else its own lines.

    Raises:
        UsageError: HumanEval's problems would have to be written beside stdout.
    """
    if lines is not None:
        return lines
    return humaneval_lines(output) if is_samples(str(file)) else file
