"""From lines of pairs to what a preference method is trained on: token ids and labels of both sides.

    {"prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "task": "chain", "question": "..."}

Prompts, BOS and EOS come from `Prompter`, as for every other stage, and no pair is cut or dropped silently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evals.datasets.pairs import is_plain, pair
from evals.errors import DataError
from evals.forms import refusal
from evals.records import Problem
from evals.tasks import task_of
from stages.files.reading import BadLines, Located, located, read_all
from stages.files.records import Place, RecordReader
from stages.models.prompts import Encoded, Prompter
from stages.training.given_prompts import Kind, kind_of_prompt
from stages.training.targets import completion_labels


def read_pairs(source: str, *, strict: bool = False) -> tuple[Located[dict[str, Any]], list[DataError]]:
    """Read a file of pairs, in any of the forms of `evals.datasets.pairs`.

    Returns:
        The good lines in the form of `sipf pairs`, and what is wrong with each bad one (`file:line: field: what is
        wrong`).

    Raises:
        DataError: the first bad line, with `strict`.
    """
    return read_all(RecordReader(source, parse_pair), strict=strict)


def problem_of(line: Mapping[str, Any]) -> str:
    """The problem that a pair belongs to: as `sipf pairs` writes it, else the question or the prompt."""
    named = next((line[name] for name in ("problem", "question", "prompt") if line.get(name)), "")
    return named if isinstance(named, str) else json.dumps(named)


def kind_of_pair(line: Mapping[str, Any]) -> Kind:
    """What a pair is prompted by."""
    return "problem" if "task" in line and "question" in line else kind_of_prompt(line.get("prompt"))


def pair_rows(
    pairs: Iterable[Mapping[str, Any]],
    prompter: Prompter,
    max_length: int,
    max_prompt_length: int | None = None,
    *,
    bad: BadLines | None = None,
) -> tuple[list[dict[str, list[int]]], Counter[str]]:
    """Tokenised pairs, in TRL's columns.

    Args:
        pairs: lines of any form that `read_pairs` takes; `Located` ones are named by their places.
        bad: receives the lines that cannot be used; None: the first one is raised.

    Returns:
        Rows (labels: the completion's ids, EOS included, and -100 on the prompt and on a prefix), and counts: "pairs",
        "empty completion", "chosen equals rejected", "prompt too long", "too long".

    Raises:
        DataError: `file:line: field: what is wrong`, or `line N: ...`.
    """
    bad = BadLines(strict=True) if bad is None else bad
    return located_pair_rows(parsed_pairs(pairs, bad), prompter, max_length, max_prompt_length, bad)


def parsed_pairs(pairs: Iterable[Mapping[str, Any]], bad: BadLines) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Lines of pairs with their places, in the form of `sipf pairs`; those of `read_pairs` are so already."""
    for place, line in located(pairs):
        try:
            yield place, line if isinstance(pairs, Located) else parse_pair(line)
        except DataError as error:
            bad.add(error.at(place))


def located_pair_rows(
    pairs: Iterable[tuple[str, Mapping[str, Any]]],
    prompter: Prompter,
    max_length: int,
    max_prompt_length: int | None,
    bad: BadLines,
) -> tuple[list[dict[str, list[int]]], Counter[str]]:
    """`pair_rows` of lines from `parsed_pairs`."""
    rows = []
    counts: Counter[str] = Counter(pairs=0)
    for place, line in pairs:
        try:
            found = _encoded(line, prompter)
        except DataError as error:
            bad.add(error.at(place))
            continue
        if isinstance(found, str):
            counts[found] += 1
            continue
        good, other = found
        if max_prompt_length is not None and len(good.prompt_ids) > max_prompt_length:
            counts["prompt too long"] += 1
        elif max(len(good.ids), len(other.ids)) > max_length:
            counts["too long"] += 1
        else:
            counts["pairs"] += 1
            rows.append(_row(good, other))
    return rows, counts


def _encoded(line: Mapping[str, Any], prompter: Prompter) -> tuple[Encoded, Encoded] | str:
    """Both sides of a pair, or why it teaches nothing."""
    chosen, rejected = line["chosen"], line["rejected"]
    if not chosen.strip() or not rejected.strip():
        return "empty completion"
    if chosen == rejected:
        return "chosen equals rejected"
    prefix = _prefix(line)
    return (
        _encode(line, prompter, chosen, line.get("chosen_finish"), prefix),
        _encode(line, prompter, rejected, line.get("rejected_finish"), prefix),
    )


def _row(good: Encoded, bad: Encoded) -> dict[str, list[int]]:
    row = {"prompt_input_ids": good.prompt_ids, "prompt_attention_mask": [1] * len(good.prompt_ids)}
    for name, side in (("chosen", good), ("rejected", bad)):
        row[f"{name}_input_ids"] = side.ids
        row[f"{name}_attention_mask"] = [1] * len(side.ids)
        row[f"{name}_labels"] = completion_labels(side)
    return row


def parse_pair(line: Mapping[str, Any], _: Place | None = None) -> dict[str, Any]:
    """A line of pairs of any form that is known, in the form of `sipf pairs`.

    Raises:
        DataError: `field: what is wrong`, or what the line looks like instead.
    """
    if is_plain(line):
        made = dict(line)
    else:
        try:
            made = pair(line)
        except DataError as error:
            raise refusal(line, error, "sipf orpo") from error
    _prefix(made)
    if problem_in(made) is None and not made.get("prompt"):
        raise DataError("prompt: must be text or a list of messages")
    return made


def _encode(line: Mapping[str, Any], prompter: Prompter, completion: str, finish: Any, prefix: str) -> Encoded:
    end = finish != "length"  # a path that was cut off did not end by itself
    problem = problem_in(line)
    if problem is not None:
        return prompter.encode(problem, prefix + completion, end, prefix)
    return prompter.encode_raw(line["prompt"], prefix + completion, end, prefix)


def _prefix(line: Mapping[str, Any]) -> str:
    prefix = line.get("prefix") or ""
    if not isinstance(prefix, str):
        raise DataError("prefix: must be text")
    return prefix


def problem_in(line: Mapping[str, Any]) -> Problem | None:
    """The pair's problem, if the line has enough of it to build the prompt."""
    if "task" not in line or "question" not in line:
        return None
    known = {name: line[name] for name in ("task", "question", "choices", "tests") if name in line}
    problem = Problem.from_row({"id": str(line.get("id") or "pair"), **known})
    task_of(problem)
    return problem
