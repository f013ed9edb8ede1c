"""Verdicts of complete result files, read without records: what the records would have said, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from evals.records import Problem
from stages.joins.judged import judged
from stages.joins.results import first_answer, right_trace, split_of

WORLD = {"start": 4, "operations": [["+", 3, 1]], "states": [7]}


def save(tmp_path: Path, *rows: dict[str, Any] | str) -> str:
    file = tmp_path / "eval.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(file)


def path(steps: list[str], correct: bool | None, **more: Any) -> dict[str, Any]:
    text = "\n".join(steps)
    return {
        "id": f"p#{text}{correct}{len(more)}",
        "text": text,
        "steps": steps,
        "correct": correct,
        "answer": "7",
        **more,
    }


LINES = [
    {"id": "a", "task": "chain", "question": "?", "split": "test", "world": WORLD, "paths": [path(["4+3=7"], True)]},
    {"id": "b", "task": "chain", "question": "?", "world": WORLD, "paths": [path(["9-2=7"], True)]},
    {"id": "c", "task": "chain", "question": "?", "world": WORLD, "paths": [path(["4+3=7"], False)]},
    {"id": "d", "task": "chain", "question": "?", "paths": [path(["9-2=7"], True), path([], False)]},
    {"id": "e", "task": "gsm8k", "question": "?", "answer": "7", "paths": [path(["<<4+3=7>>"], True)]},
    {"id": "f", "task": "gsm8k", "question": "?", "answer": "7", "paths": [path(["<<4+3=8>>"], True)]},
    {"id": "g", "task": "math", "question": "?", "answer": "7", "paths": [
        path(["x"], True), path(["y"], False, source="eval"), path(["z"], True, source="eval"),
    ]},
]  # fmt: skip


def test_verdicts_are_those_of_the_records(tmp_path: Path) -> None:
    found = list(judged(save(tmp_path, *LINES, "")))
    for line, one in zip(LINES, found, strict=True):
        problem = Problem.from_row(line)
        assert one.identity == problem.id
        assert one.split == split_of(problem)
        assert one.right[0] == first_answer(problem).correct
        assert one.sound == right_trace(problem), problem.id
    assert [one.sound for one in found] == [True, False, False, None, True, False, None]
    assert [one.split for one in found] == ["test", "chain", "chain", "chain", "gsm8k", "gsm8k", "math"]
    assert found[3].right == [True, False]
    assert found[6].right == [False, True], "evaluated paths alone"


def test_a_line_without_an_answer_has_no_verdict(tmp_path: Path) -> None:
    (one,) = judged(save(tmp_path, {"id": "a", "task": "math", "question": "?", "paths": []}))
    assert (one.right, one.sound) == ([], None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"eval\.jsonl:2: not a line of JSON"),
        ("[1]", r"eval\.jsonl:2: a line must be a JSON object, this one is list"),
        ({"id": "b", "task": "math", "paths": [{"text": "x"}]}, r"eval\.jsonl:2: paths: not evaluated"),
        ({"id": "b", "task": "math", "paths": 7}, r"eval\.jsonl:2: not a line that sipf eval writes"),
        ({"task": "math", "paths": [{"correct": True}]}, r"eval\.jsonl:2: not a line that sipf eval writes"),
        ({"id": "b", "task": "chain", "world": {"operations": 3}, "paths": [path(["4+3=7"], True)]},
         r"eval\.jsonl:2: not a line that sipf eval writes"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_an_error_with_its_place(tmp_path: Path, line: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(judged(save(tmp_path, LINES[0], line)))
