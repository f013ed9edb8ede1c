"""Problems from outside: published rows and users' files in, lines out.

rows = json_rows("train.jsonl")
write_problems(gsm8k.problems(rows, "train"), "problems.jsonl", {"task": "gsm8k"}, source="train.jsonl")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evals.errors import DataError
from evals.records import Problem, parse_json
from stages.files.interrupts import catching_signals
from stages.files.lines import is_file, read_lines
from stages.files.manifest import hash_file, parent_of
from stages.files.outputs import atomic_lines


def lines_of(source: str) -> Iterator[str]:
    """The lines of a file (packed, if it ends in .gz) or of `-`; a blank line comes as "", so that the count is right.

    Raises:
        UsageError: there is no such file.
        DataError: it is torn, or not UTF-8 text.
    """
    expected = 0
    for n, text in read_lines(source):
        yield from [""] * (n - expected)
        yield text
        expected = n + 1


def json_rows(source: str, listed: bool = False) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON lines file; blank lines are passed over.

    Args:
        listed: the file may as well be one JSON list of objects.

    Raises:
        DataError: `file:line: what is wrong`.
    """
    if listed and (rows := _list_of(source)) is not None:
        yield from rows
        return
    for n, text in read_lines(source):
        try:
            row = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{source}:{n + 1}: not a line of JSON ({error})") from error
        if not isinstance(row, Mapping):
            raise DataError(f"{source}:{n + 1}: a line must be a JSON object, this one is {type(row).__name__}")
        yield row


def _list_of(source: str) -> list[Mapping[str, Any]] | None:
    """The objects of a file that is one JSON list; None if it is something else."""
    if not is_file(source):
        return None
    try:
        rows = parse_json(Path(source).read_bytes())
    except (ValueError, RecursionError):
        return None
    return rows if isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows) else None


def hub_rows(name: str, configuration: str, split: str) -> Iterator[Mapping[str, Any]]:
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
        raise DataError(f"{name} cannot be had from the hub: {first}", "Name a file of yours with --path.") from error
    yield from rows


def csv_rows(source: str) -> list[list[str]]:
    """The rows of a CSV file, in file order.

    Raises:
        DataError: there is no such file, or it is no CSV text.
    """
    import csv

    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))
    except FileNotFoundError as error:
        raise DataError(f"there is no file {source}", "Name the folder that holds dev, val and test.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{source}: cannot be read as CSV ({error})") from error


def stem_of(source: str) -> str:
    """The file's name without `.jsonl` or `.jsonl.gz`; problems without an id are numbered under it."""
    name = Path(source).name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def write_problems(
    problems: Iterable[Problem],
    output: str,
    options: Mapping[str, Any],
    *,
    source: str | None = None,
    overwrite: bool = False,
    more: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Write the problems, whole file or nothing, with a manifest beside it.

    Args:
        options: what decides which problems these are.
        source: the file they were read from.
        more: further counts, complete once all problems were taken.

    Returns:
        Counts: problems, and how many of them have no gold solution; whether the output was complete already.

    Raises:
        UsageError: the output is there already, is something else, and `overwrite` is not given.
        DataError: an id stands twice, or there is no problem at all.
        Interrupted: stopped by a signal; nothing is left behind.
    """
    made_from = source is not None and is_file(source)
    read = {"path": source, "sha256": hash_file(source) if source is not None and made_from else None}
    identity = {"stage": "data", "options": options, "input": None if source is None else read}
    counts: Counter[str] = Counter({"problems": 0, "without a solution": 0})
    with catching_signals() as flag, atomic_lines(output, identity=identity, overwrite=overwrite, flag=flag) as out:
        if out.already is not None:
            return {"output": output, "already complete": True, **out.already.get("counts", {})}
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen:
                raise DataError(f"the id {problem.id!r} stands twice", "Give every problem an id of its own.")
            seen.add(problem.id)
            out.write(problem)
            counts["problems"] += 1
            counts["without a solution"] += problem.solution is None
        if not seen:
            raise DataError("there is no problem to write", "Is the file empty?")
        counts.update(more or {})
        out.extra["counts"] = dict(counts)
        if source is not None:
            out.extra["parents"] = [parent_of(source, read["sha256"])]
    return {"output": output, **counts}
