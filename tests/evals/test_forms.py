"""What a row is called that a command cannot use."""

from __future__ import annotations

from typing import Any

import pytest

from evals.errors import DataError
from evals.forms import named, refusal


@pytest.mark.parametrize(
    ("keys", "what", "reader"),
    [
        ("task_id prompt canonical_solution test entry_point", "HumanEval", "data humaneval"),
        ("task_id text code test_list", "MBPP", "data mbpp"),
        ("prompt tests entry_point solution", "code file", "data code"),
        ("id problem steps label final_answer_correct", "ProcessBench", "data processbench"),
        ("prompt chosen rejected", "pair", "orpo"),
        ("messages rejected_response", "ms-swift", "orpo"),
        ("prompt completion label", "KTO", ""),
        ("messages", "conversation", "sft"),
        ("instruction input output", "Alpaca", "sft"),
        ("question process label", "OpenR", "train-prm"),
        ("prompt completions labels", "step labels", "train-prm"),
        ("problem level type solution", "MATH", "data math"),
        ("question answer", "math file", "data gsm8k"),
    ],
)
def test_a_row_is_named_by_its_keys_with_what_reads_it(keys: str, what: str, reader: str) -> None:
    row: dict[str, Any] = dict.fromkeys(keys.split(), "x")
    form = named(row)
    assert form is not None
    assert what in form.what
    assert reader in form.reader
    said = refusal(row, DataError("id: Field required"), "sipf nothing")
    assert said.message.startswith("this looks like")
    assert "id: Field required" in said.message
    assert said.advice


def test_a_problem_and_a_row_of_the_command_itself_keep_their_own_fault() -> None:
    fault = DataError("answer: missing")
    assert refusal({"id": "a", "task": "math", "question": "q", "chosen": 1, "rejected": 2}, fault, "sipf sft") is fault
    assert refusal({"chosen": 1, "rejected": 2}, fault, "sipf orpo") is fault
    assert refusal({"mine": 1}, fault, "sipf sft") is fault
