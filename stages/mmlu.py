"""MMLU's files: one CSV a subject and split, as its authors publish them, or the same rows from the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evals.datasets.mmlu import problems
from evals.errors import UsageError
from evals.reading.letters import LETTERS
from evals.records import Problem
from evals.tasks.mmlu import Mode
from stages.data import csv_rows, hub_rows
from stages.files.manifest import hash_file

_HUB_SPLITS = {"val": "validation"}


def rows_of(
    path: str, split: str, subjects: Sequence[str], mode: Mode, counts: Counter[str]
) -> tuple[Iterator[Problem], dict[str, Any]]:
    """The problems of some subjects, one subject after the other.

    Args:
        path: the folder with dev/, val/ and test/, or "hub".
        counts: gets what was left out or is damaged, while the problems are taken.

    Returns:
        The problems, and what identifies the input (the hash of every file that is read).

    Raises:
        DataError: a file is missing or is not what it should be.
        UsageError: a subject is named twice, or none is.
    """
    if not subjects or len(set(subjects)) != len(subjects):
        raise UsageError("--subjects must name each subject once", "For example --subjects abstract_algebra.")
    if path == "hub":
        return _all(_from_hub, split, subjects, mode, counts), {"hub": True}
    wanted = [Path(path) / part / f"{name}_{part}.csv" for name in subjects for part in dict.fromkeys((split, "dev"))]
    files = {str(file.relative_to(path)): hash_file(str(file)) for file in wanted if file.is_file()}

    def from_folder(subject: str, part: str) -> list[list[str]]:
        return csv_rows(str(Path(path) / part / f"{subject}_{part}.csv"))

    return _all(from_folder, split, subjects, mode, counts), {"hub": False, "files": files}


def _all(
    read: Callable[[str, str], list[list[str]]],
    split: str,
    subjects: Sequence[str],
    mode: Mode,
    counts: Counter[str],
) -> Iterator[Problem]:
    for subject in subjects:
        dev = [] if mode == "number" else read(subject, "dev")
        yield from problems(read(subject, split), subject, split, mode, dev, counts)


def _from_hub(subject: str, part: str) -> list[list[str]]:
    rows = hub_rows("cais/mmlu", subject, _HUB_SPLITS.get(part, part))
    return [[row["question"], *row["choices"], LETTERS[row["answer"]]] for row in rows]
