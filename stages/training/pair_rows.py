"""From lines of pairs to what a preference method is trained on: token ids and labels of both sides.

    {"prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "task": "chain", "question": "..."}

Prompts, BOS and EOS come from `Prompter`, as for every other stage, and no pair is cut or dropped silently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task_of
from stages.files.reading import read_all
from stages.files.records import Place, RecordReader
from stages.models.prompts import Encoded, Prompter
from stages.training.targets import completion_labels


def read_pairs(source: str, *, strict: bool = False) -> tuple[list[dict[str, Any]], list[DataError]]:
    """Read a file of pairs.

    Returns:
        The good lines, and what is wrong with each bad one (`file:line: field: what is wrong`).

    Raises:
        DataError: the first bad line, with `strict`.
    """
    return read_all(RecordReader(source, _pair), strict=strict)


def problem_of(line: Mapping[str, Any]) -> str:
    """The problem that a pair belongs to: as `sipf pairs` writes it, else the question or the prompt."""
    named = next((line[name] for name in ("problem", "question", "prompt") if line.get(name)), "")
    return named if isinstance(named, str) else json.dumps(named)


def pair_rows(
    pairs: Iterable[Mapping[str, Any]], prompter: Prompter, max_length: int, max_prompt_length: int | None = None
) -> tuple[list[dict[str, list[int]]], Counter[str]]:
    """Tokenised pairs, in TRL's columns.

    Returns:
        Rows (labels: the completion's ids, EOS included, and -100 on the prompt and on a prefix), and counts: "pairs",
        "empty completion", "chosen equals rejected", "prompt too long", "too long".

    Raises:
        DataError: `line N: field: what is wrong`.
    """
    rows = []
    counts: Counter[str] = Counter(pairs=0)
    for number, line in enumerate(pairs, 1):
        try:
            chosen, rejected = _text(line, "chosen"), _text(line, "rejected")
            if not chosen.strip() or not rejected.strip():
                counts["empty completion"] += 1
                continue
            if chosen == rejected:
                counts["chosen equals rejected"] += 1
                continue
            prefix = _prefix(line)
            good = _encode(line, prompter, chosen, line.get("chosen_finish"), prefix)
            bad = _encode(line, prompter, rejected, line.get("rejected_finish"), prefix)
        except DataError as error:
            raise error.at(f"line {number}") from error
        if max_prompt_length is not None and len(good.prompt_ids) > max_prompt_length:
            counts["prompt too long"] += 1
        elif max(len(good.ids), len(bad.ids)) > max_length:
            counts["too long"] += 1
        else:
            counts["pairs"] += 1
            rows.append(_row(good, bad))
    return rows, counts


def _row(good: Encoded, bad: Encoded) -> dict[str, list[int]]:
    row = {"prompt_input_ids": good.prompt_ids, "prompt_attention_mask": [1] * len(good.prompt_ids)}
    for name, side in (("chosen", good), ("rejected", bad)):
        row[f"{name}_input_ids"] = side.ids
        row[f"{name}_attention_mask"] = [1] * len(side.ids)
        row[f"{name}_labels"] = completion_labels(side)
    return row


def _pair(line: dict[str, Any], _: Place) -> dict[str, Any]:
    _text(line, "chosen")
    _text(line, "rejected")
    _prefix(line)
    if problem_in(line) is None:
        _prompt(line)
    return line


def _encode(line: Mapping[str, Any], prompter: Prompter, completion: str, finish: Any, prefix: str) -> Encoded:
    end = finish != "length"  # a path that was cut off did not end by itself
    problem = problem_in(line)
    if problem is not None:
        return prompter.encode(problem, prefix + completion, end, prefix)
    return prompter.encode_raw(_prompt(line), prefix + completion, end, prefix)


def _prefix(line: Mapping[str, Any]) -> str:
    prefix = line.get("prefix") or ""
    if not isinstance(prefix, str):
        raise DataError("prefix: must be text")
    return prefix


def _prompt(line: Mapping[str, Any]) -> str | list[dict[str, Any]]:
    prompt = line.get("prompt")
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(isinstance(message, dict) for message in prompt):
        return prompt
    raise DataError("prompt: must be text or a list of messages")


def problem_in(line: Mapping[str, Any]) -> Problem | None:
    """The pair's problem, if the line has enough of it to build the prompt."""
    if "task" not in line or "question" not in line:
        return None
    known = {name: line[name] for name in ("task", "question", "choices", "tests") if name in line}
    problem = Problem.from_row({"id": str(line.get("id") or "pair"), **known})
    task_of(problem)
    return problem


def _text(line: Mapping[str, Any], name: str) -> str:
    value = line.get(name)
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        value = value[-1].get("content")
    if not isinstance(value, str):
        raise DataError(f"{name}: must be text, or messages whose last one has text")
    return value
