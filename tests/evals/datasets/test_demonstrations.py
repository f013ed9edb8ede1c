"""Conversations, and prompts with completions, in the forms of other tools."""

from __future__ import annotations

from typing import Any

import pytest

from evals.datasets.demonstrations import demonstration, is_demonstration
from evals.errors import DataError

SYSTEM = {"role": "system", "content": "s"}
ASK, TWO = {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [SYSTEM, ASK, TWO]},
        {"messages": [ASK, TWO], "system": "s"},
        {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "1+1?"},
                           {"from": "gpt", "value": "2"}]},
        {"system": "s", "conversation": [{"human": "1+1?", "assistant": "2"}]},
        {"system": "s", "query": "1+1?", "response": "2", "history": None},
        {"system": "s", "instruction": "1+1?", "input": "", "output": "2"},
        {"prompt": [SYSTEM, ASK], "completion": [TWO]},
        {"prompt": [SYSTEM, ASK], "completion": "2"},
        {"input": [SYSTEM, ASK], "output": [TWO]},
    ],
)  # fmt: skip
def test_the_forms_of_a_conversation_are_one(row: dict[str, Any]) -> None:
    assert is_demonstration(row)
    assert demonstration(row).turns == (([SYSTEM, ASK], "2"),)


@pytest.mark.parametrize("row", [{"prompt": "1+1?", "completion": " 2"}, {"input": "1+1?", "output": " 2"}])
def test_texts_stay_as_they_are(row: dict[str, Any]) -> None:
    assert demonstration(row).turns == (("1+1?", " 2"),)


def test_every_turn_of_the_assistant_is_learnt() -> None:
    more = {"role": "user", "content": "sure?"}
    turns = demonstration({"messages": [ASK, TWO, more, TWO]}).turns
    assert turns == (([ASK], "2"), ([ASK, TWO, more], "2"))
    assert demonstration({"prompt": [ASK, TWO, more], "completion": [TWO]}).turns == turns[1:], "the prompt is given"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": []}, "messages: must be a list of messages"),
        ({"messages": [ASK]}, "messages: its last message is of the role 'user'"),
        ({"messages": [TWO]}, "messages: there is no turn of the assistant"),
        ({"messages": [ASK, {"role": "assistant", "content": " "}]}, "messages.1: the assistant's message has no text"),
        ({"messages": [ASK, {"role": "assistant", "tool_calls": [1]}, ASK, TWO]}, "messages.1: the assistant's"),
        ({"messages": [SYSTEM, ASK, TWO], "system": "t"}, "system: the conversation has a system message"),
        ({"messages": [ASK, TWO], "images": ["x.png"]}, "images: only texts can be learnt"),
        ({"query": "q", "response": "r", "history": [["a"]]}, "history.0: must be a question and its answer"),
        ({"prompt": "q", "completion": [TWO]}, "prompt: is text, and completion has messages"),
        ({"prompt": "q", "completion": ""}, "completion: must be a text"),
        ({"prompt": "", "completion": "c"}, "prompt: must be text"),
        ({"prompt": "q", "completion": "c", "system": "s"}, "system: is no part of the prompt"),
    ],
)
def test_what_cannot_be_learnt_is_refused_by_its_field(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        demonstration(row)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "completion": "c", "label": True},
        {"messages": [ASK, TWO], "rejected_response": "3"},
        {"task_id": "HumanEval/1", "prompt": "q", "completion": "c"},
        {"id": "a", "task": "math", "question": "q", "messages": []},
        {"conversations": [{"role": "user", "content": "q Step 1: a"}, {"role": "assistant", "content": "+"}]},
        {"text": "t"},
    ],
)
def test_rows_of_another_kind_are_none(row: dict[str, Any]) -> None:
    assert not is_demonstration(row)


def test_a_prompt_without_a_completion_beside_an_input_and_an_output_is_no_pair() -> None:
    row = {"prompt": "Add:", "input": "1+1?", "output": "2"}
    assert is_demonstration(row)
    assert demonstration(row).turns == (("1+1?", "2"),)
