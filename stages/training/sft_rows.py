"""From lines to what supervised fine-tuning is trained on: problems with their solutions or their right paths, and
demonstrations, which bring their prompts along.

    lines, faults = read_lines("train.parquet")
    rows, counts = sft_rows(lines, prompter, max_length=1024)      # [{"input_ids": [...], "labels": [...]}]
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evals.datasets import gsm8k
from evals.datasets.demonstrations import Demonstration, demonstration, is_demonstration
from evals.errors import DataError
from evals.forms import refusal
from evals.records import Problem
from evals.tasks import check_problem, task_of
from stages.files.inputs import bare_name
from stages.files.reading import BadLines, Located, located, read_all
from stages.files.records import Place, RecordReader
from stages.models.prompts import Encoded, Prompter
from stages.settings.training import OwnPaths, SftSettings, TrainSettings
from stages.training.given_prompts import Kind, kind_of_prompt
from stages.training.own_paths import Written, own_paths
from stages.training.targets import completion_labels

Line = Problem | Demonstration
Row = dict[str, list[int]]


def read_lines(source: str, *, strict: bool = False) -> tuple[Located[Line], list[DataError]]:
    """Read what can be learnt: problems, GSM8K's own rows, and the forms of `evals.datasets.demonstrations`.

    Returns:
        The good lines, and what is wrong with each bad one.

    Raises:
        DataError: the first bad line, with `strict`; or there is no good one.
    """
    reader: RecordReader[Line] = RecordReader(
        source,
        lambda row, place: parse_line(row, place, source),
        id_of=lambda line: line.id if isinstance(line, Problem) else None,
    )
    return read_all(reader, strict=strict)


def parse_line(row: Any, place: Place, source: str) -> Line:
    """A parsed line of any kind.

    Raises:
        DataError: `field: what is wrong`, or what the line looks like instead.
    """
    if is_demonstration(row):
        return demonstration(row)
    if gsm8k.is_row(row):
        return gsm8k.problem(row, bare_name(source), place.row)
    try:
        problem = Problem.from_row(row)
    except DataError as error:
        raise refusal(row, error, "sipf sft") from error
    check_problem(problem)
    return problem


def kind_of_line(line: Line) -> Kind:
    """What a line is prompted by."""
    return "problem" if isinstance(line, Problem) else kind_of_prompt(line.prompt)


def group_of(line: Line) -> str:
    """What is held out together: a problem, or all that begins alike."""
    if isinstance(line, Problem):
        return line.id
    return line.prompt if isinstance(line.prompt, str) else json.dumps(line.prompt)


def sft_rows(
    lines: Iterable[Line],
    prompter: Prompter,
    max_length: int,
    loss: str = SftSettings.loss,
    own: OwnPaths | None = None,
    seed: int = TrainSettings.seed,
    *,
    bad: BadLines | None = None,
) -> tuple[list[Row], Counter[str]]:
    """Training rows of the lines that can be trained on: first those of problems, then those of demonstrations.

    Returns:
        Rows {"input_ids", "labels"} (labels: EOS included, -100 on the prompt unless the loss is on "all"), and counts:
        "rows", "no solution", "too long" (more than `max_length` tokens), and those of `own_paths`.

    Raises:
        DataError: `file:line: ...` of the first line that cannot be used, without `bad`.
    """
    bad = BadLines(strict=True) if bad is None else bad
    return located_sft_rows(located(lines), prompter, max_length, loss, own, seed, bad)


def located_sft_rows(
    lines: Sequence[tuple[str, Line]],
    prompter: Prompter,
    max_length: int,
    loss: str,
    own: OwnPaths | None,
    seed: int,
    bad: BadLines,
) -> tuple[list[Row], Counter[str]]:
    """`sft_rows` of lines with their places."""
    rows: list[Row] = []
    counts: Counter[str] = Counter(rows=0)
    told = _of_demonstrations(lines, prompter, loss, bad) if own is None else _no_paths(lines, counts)
    for encoded in (*_of_problems(lines, prompter, own, seed, counts, bad), *told):
        if len(encoded.ids) > max_length:
            counts["too long"] += 1
            continue
        counts["rows"] += 1
        rows.append(
            {"input_ids": encoded.ids, "labels": list(encoded.ids) if loss == "all" else completion_labels(encoded)}
        )
    return rows, counts


def _of_problems(
    lines: Sequence[tuple[str, Line]],
    prompter: Prompter,
    own: OwnPaths | None,
    seed: int,
    counts: Counter[str],
    bad: BadLines,
) -> Iterator[Encoded]:
    problems = [line for _, line in lines if isinstance(line, Problem)]
    places = {line.id: place for place, line in lines if isinstance(line, Problem)}
    for written in _gold(problems, counts) if own is None else own_paths(problems, own, seed, counts):
        try:
            yield prompter.encode(written.problem, written.text, end=written.ended)
        except DataError as error:
            place = places.pop(written.problem.id, None)
            if place is not None:  # one bad line, however many of its paths there are
                bad.add(error.at(place))


def _of_demonstrations(
    lines: Sequence[tuple[str, Line]], prompter: Prompter, loss: str, bad: BadLines
) -> Iterator[Encoded]:
    for place, line in lines:
        if isinstance(line, Demonstration):
            turns = line.turns[-1:] if loss == "all" else line.turns  # the last one holds all that stands before it
            try:
                encoded = [prompter.encode_raw(prompt, text, end=True) for prompt, text in turns]
            except DataError as error:
                bad.add(error.at(place))
                continue
            yield from encoded


def _no_paths(lines: Sequence[tuple[str, Line]], counts: Counter[str]) -> tuple[()]:
    """Count the lines that have no paths, where paths are to be learnt."""
    left_out = sum(isinstance(line, Demonstration) for _, line in lines)
    if left_out:
        counts["left out: demonstrations have no paths"] += left_out
    return ()


def _gold(problems: Iterable[Problem], counts: Counter[str]) -> Iterable[Written]:
    for problem in problems:
        text = task_of(problem).gold_text(problem)
        if text:
            yield Written(problem, text)
        else:
            counts["no solution"] += 1
