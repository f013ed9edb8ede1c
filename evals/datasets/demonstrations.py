"""What supervised fine-tuning learns from, as others write it: prompts and the text that is to follow each.

    {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]}
    {"prompt": "1+1?", "completion": " 2"}

Messages, ShareGPT's and ms-swift's conversations, query and response, Alpaca's instructions; prompt and completion
(TRL) or input and output (OpenRLHF), as text or messages. Of a conversation every turn of the assistant is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.datasets.messages import Message, conversation, is_conversation, last_turn, messages, refuse_system
from evals.errors import DataError
from evals.forms import is_rlhflow

_FORMS = [
    frozenset(keys.split())
    for keys in (
        "messages", "conversations", "conversation", "query response", "instruction output", "prompt completion",
        "input output",
    )
]  # fmt: skip
_OTHERS = [
    frozenset(keys.split()) for keys in ("chosen", "rejected_response", "rejected_messages", "label", "task_id")
]  # fmt: skip
"""Keys of rows that are something else, whatever keys they have besides."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A line without a problem: each prompt (text, or messages) and the text that is to be written after it."""

    turns: tuple[tuple[str | list[Message], str], ...]

    @property
    def prompt(self) -> str | list[Message]:
        """What the line begins with: lines that begin alike belong together."""
        return self.turns[0][0]


def is_demonstration(row: Mapping[str, Any]) -> bool:
    """Whether a row has the keys of one of the forms read here, and is no problem."""
    if row.get("task") is not None and row.get("question") is not None:
        return False
    present = {key for key, value in row.items() if value is not None}
    return (
        any(form <= present for form in _FORMS)
        and not any(other <= present for other in _OTHERS)
        and not is_rlhflow(row)
    )


def demonstration(row: Mapping[str, Any]) -> Demonstration:
    """A row for which `is_demonstration` holds.

    Raises:
        DataError: `field: what is wrong`.
    """
    found = conversation(row)
    if found is not None:
        return _of_conversation(found)
    refuse_system(row)
    named = row.get("prompt") is not None and row.get("completion") is not None
    first, then = ("prompt", "completion") if named else ("input", "output")
    prompt, completion = row[first], row[then]
    if is_conversation(completion):
        answered = messages(completion, then)
        if not is_conversation(prompt):
            raise DataError(f"{first}: is text, and {then} has messages", "Give both as texts or both as messages.")
        begun = messages(prompt, first)
        return _of_conversation([*begun, *answered], len(begun))
    if not isinstance(completion, str) or not completion.strip():
        raise DataError(f"{then}: must be a text")
    if is_conversation(prompt):
        return Demonstration(((messages(prompt, first), completion),))
    if not isinstance(prompt, str) or not prompt:
        raise DataError(f"{first}: must be text or a list of messages")
    return Demonstration(((prompt, completion),))


def _of_conversation(whole: list[Message], begun: int = 1) -> Demonstration:
    """Every turn of the assistant from message `begun` on, after all that stands before it."""
    last_turn(whole, "messages")
    turns = []
    for n, message in enumerate(whole):
        if n < begun or message["role"] != "assistant":
            continue
        if not (message["content"] or "").strip():
            raise DataError(f"messages.{n}: the assistant's message has no text (tool calls cannot be learnt)")
        turns.append((whole[:n], str(message["content"])))
    if not turns:
        raise DataError("messages: there is no turn of the assistant after another's message")
    return Demonstration(tuple(turns))
