"""Pairs in the forms of other tools: what becomes of each, and what none of them may lose in silence."""

from __future__ import annotations

from typing import Any

import pytest

from evals.datasets.pairs import is_plain, pair
from evals.errors import DataError

ASK = {"role": "user", "content": "1+1?"}
TWO, THREE = {"role": "assistant", "content": "2"}, {"role": "assistant", "content": "3"}
BOTH = {"chosen": "2", "rejected": "3"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [ASK], "chosen": [TWO], "rejected": [THREE]},
        {"prompt": [ASK], "chosen": TWO, "rejected": "3"},
        {"prompt": [ASK], "chosen": [ASK, TWO], "rejected": [ASK, THREE]},
        {"prompt": "1+1?", "chosen": [ASK, TWO], "rejected": [ASK, THREE]},
        {"chosen": [ASK, TWO], "rejected": [ASK, THREE]},
        {"messages": [ASK, TWO], "rejected_response": "3"},
        {"messages": [ASK, TWO], "rejected_messages": [ASK, THREE]},
        {"query": "1+1?", "response": "2", "rejected_response": "3"},
        {"conversations": [{"from": "human", "value": "1+1?"}], "chosen": {"from": "gpt", "value": "2"},
         "rejected": {"from": "gpt", "value": "3"}},
        {"prompt": [ASK], "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "2"}]}],
         "rejected": "3"},
    ],
    ids=["trl", "a message and a text", "repeated", "text beside a whole conversation", "trl, implicit", "ms-swift",
         "ms-swift, messages", "ms-swift, query", "sharegpt", "parts"],
)  # fmt: skip
def test_a_pair_of_messages_has_one_prompt_and_two_texts_in_every_form(row: dict[str, Any]) -> None:
    assert pair({**row, "source": "theirs"}) == {"prompt": [ASK], **BOTH, "source": "theirs"}


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("The sky is blue.", "The sky is green.", "The sky is"),
        ("The sky is blue.", "The sky is black.", "The sky is"),
        ("\n\nHuman: Hi\n\nAssistant: Oh you", "\n\nHuman: Hi\n\nAssistant: Oh no", "\n\nHuman: Hi\n\nAssistant:"),
    ],
    ids=["trl's own", "within a word", "hh-rlhf"],
)  # fmt: skip
def test_a_prompt_of_two_texts_is_what_both_begin_with(chosen: str, rejected: str, prompt: str) -> None:
    made = pair({"chosen": chosen, "rejected": rejected})
    assert made["prompt"] == prompt
    assert (prompt + made["chosen"], prompt + made["rejected"]) == (chosen, rejected)


def test_earlier_turns_and_a_system_text_belong_to_the_prompt() -> None:
    shared = [ASK, TWO, {"role": "user", "content": "sure?"}]
    assert pair({"chosen": [*shared, TWO], "rejected": [*shared, THREE]})["prompt"] == shared
    row = {"query": "1+1?", "response": "2", "rejected_response": "3", "system": "s", "history": [["a", "b"]]}
    asked = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    assert pair(row) == {"prompt": [*asked, ASK], **BOTH}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": [ASK], "chosen": [TWO, ASK, TWO], "rejected": [THREE]}, "chosen: has 3 messages after the prompt"),
        ({"chosen": [ASK, TWO, ASK, TWO], "rejected": [ASK, THREE, ASK, THREE]}, "chosen: has 3 messages"),
        ({"prompt": [ASK], "chosen": [TWO], "rejected": [ASK, ASK]}, "rejected: its last message is of the role"),
        ({"prompt": [ASK], "chosen": [TWO], "rejected": [ASK]}, "rejected: has no message after the prompt"),
        ({"messages": [TWO, ASK], "rejected_response": "3"}, "messages: its last message is of the role 'user'"),
        ({"messages": [TWO], "rejected_response": "3"}, "messages: has nothing before"),
        ({"messages": [ASK, TWO], "rejected_response": 3}, "rejected_response: must be a text"),
        ({"prompt": "1+1?", "chosen": [TWO], "rejected": [THREE]}, "prompt: is text, and chosen has messages"),
        ({"prompt": "else", "chosen": [ASK, TWO], "rejected": [ASK, THREE]}, "prompt: is text, and chosen and"),
        ({"prompt": "1+1?", "chosen": [ASK, TWO], "rejected": "3"}, "rejected: chosen and rejected must both be text"),
        ({"chosen": [TWO], "rejected": [THREE]}, "prompt: missing"),
        ({"chosen": "abc", "rejected": "xyz"}, "prompt: missing"),
        ({"instruction": "q", "chosen": "It is 2", "rejected": "It is 3"}, "instruction: is not read as a prompt"),
        ({"system": "s", "chosen": [ASK, TWO], "rejected": [ASK, THREE]}, "system: is not read as a prompt"),
        ({"system": "s", "prompt": "q", **BOTH}, "system: is no part of the prompt"),
        ({"tools": ["t"], "messages": [ASK, TWO], "rejected_response": "3"}, "tools: only texts"),
        ({"prompt": 7, **BOTH}, "prompt: must be text or a list of messages"),
        ({"prompt": [{"content": "q"}], **BOTH}, "prompt.0.role: must be a text"),
        ({"prompt": [ASK], "chosen": [{"role": "assistant", "content": None}], "rejected": "3"}, "chosen.0.content: "),
        ({"prompt": [ASK], "chosen": [{"role": "assistant", "content": [{"type": "image_url"}]}], "rejected": "3"},
         "chosen.0.content: has parts that are no texts"),
        ({"prompt": "q", "chosen": ["2"], "rejected": ["3"]}, "chosen: must be text or messages"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_by_its_field(row: dict[str, Any], message: str) -> None:
    assert not is_plain(row)
    with pytest.raises(DataError) as caught:
        pair(row)
    assert caught.value.message.startswith(message)
