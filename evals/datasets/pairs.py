"""Preference pairs as others write them, in the form of `sipf pairs`: one prompt, and the text of either side.

    {"chosen": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}], "rejected": [...]}
    ->  {"prompt": [{"role": "user", "content": "1+1?"}], "chosen": "2", "rejected": "3"}

TRL's forms (with a prompt or with an implicit one, as text or as messages), OpenRLHF's, which are the same, ms-swift's
(`messages` and `rejected_response` or `rejected_messages`), and ShareGPT's with `conversations` before both sides.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from typing import Any

from evals.datasets.messages import Message, conversation, is_conversation, last_turn, messages, refuse_system
from evals.errors import DataError

FORM = 'A pair is {"prompt", "chosen", "rejected"}, texts or messages; docs/formats.md has the other forms.'
_HH = "\n\nAssistant:"
"""What begins the assistant's turn in the texts of hh-rlhf."""
_OURS = {
    "prompt", "chosen", "rejected", "messages", "rejected_response", "rejected_messages", "conversations",
    "conversation", "query", "response", "history", "system",
}  # fmt: skip


def pair(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with a prompt (text or messages) and two texts; a row that has them already is returned as it is.

    Raises:
        DataError: `field: what is wrong`.
    """
    prompt, chosen, rejected = _sides(row)
    more = {key: value for key, value in row.items() if key not in _OURS}
    return {**more, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def is_plain(row: Mapping[str, Any]) -> bool:
    """Whether nothing has to be changed: two texts, and a prompt or what stands for it in a line of `sipf pairs`."""
    texts = isinstance(row.get("chosen"), str) and isinstance(row.get("rejected"), str)
    asked = "question" in row or (isinstance(row.get("prompt"), str) and bool(row["prompt"]))
    return texts and asked and not row.get("system")


def _sides(row: Mapping[str, Any]) -> tuple[str | list[Message], str, str]:
    for key in ("rejected_response", "rejected_messages"):
        if row.get(key) is not None:
            return _swift(row, key)
    chosen, rejected = row.get("chosen"), row.get("rejected")
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        if not isinstance(side, str | Mapping) and not is_conversation(side):
            raise DataError(f"{name}: must be text or messages", FORM)
    if isinstance(chosen, str) != isinstance(rejected, str):
        return _one_of_each(row, chosen, rejected)
    if isinstance(chosen, str):
        return _texts(row, chosen, str(rejected))
    sides = [messages([side] if isinstance(side, Mapping) else side, name)
             for name, side in (("chosen", chosen), ("rejected", rejected))]  # fmt: skip
    return _conversations(row, _given_prompt(row), *sides)


def _given_prompt(row: Mapping[str, Any]) -> str | list[Message] | None:
    prompt = row.get("prompt")
    if not prompt and (prompt is None or isinstance(prompt, str | list)):
        return conversation(row)
    refuse_system(row)
    if isinstance(prompt, str):
        return prompt
    if not is_conversation(prompt):
        raise DataError("prompt: must be text or a list of messages")
    return messages(prompt, "prompt")


def _texts(row: Mapping[str, Any], chosen: str, rejected: str) -> tuple[str | list[Message], str, str]:
    prompt = _given_prompt(row)
    if prompt is not None:
        return prompt, chosen, rejected
    _refuse_other_prompts(row)
    common = os.path.commonprefix([chosen, rejected])  # noqa: RUF071  # texts: a prefix by characters is meant
    turn = common.rfind(_HH)
    # A word is never cut, and the space before it belongs to it, as in TRL.
    cut = turn + len(_HH) if turn >= 0 else max(common.rfind(white) for white in " \n\t")
    shared = common[:cut] if cut > 0 else ""
    if not shared.strip():
        raise DataError("prompt: missing, and chosen and rejected do not begin alike", FORM)
    return shared, chosen[len(shared) :], rejected[len(shared) :]


def _one_of_each(row: Mapping[str, Any], chosen: Any, rejected: Any) -> tuple[str | list[Message], str, str]:
    """A text on one side, messages on the other: only where the prompt is given and is a conversation."""
    prompt = _given_prompt(row)
    if not isinstance(prompt, list):
        raise DataError("rejected: chosen and rejected must both be text, or both messages", FORM)
    texts = [
        side if isinstance(side, str) else _after(prompt, messages([side] if isinstance(side, Mapping) else side, name),
                                                  name)
        for name, side in (("chosen", chosen), ("rejected", rejected))
    ]  # fmt: skip
    return prompt, texts[0], texts[1]


def _refuse_other_prompts(row: Mapping[str, Any]) -> None:
    """Where the prompt is what both sides begin with, nothing else in the row may be meant as a part of it."""
    for name in ("instruction", "input", "query", "question", "system", "tools", "images"):
        if row.get(name):
            raise DataError(f"{name}: is not read as a prompt, and there is no other", FORM)


def _conversations(
    row: Mapping[str, Any], prompt: str | list[Message] | None, chosen: list[Message], rejected: list[Message]
) -> tuple[list[Message], str, str]:
    if isinstance(prompt, list):
        return prompt, _after(prompt, chosen, "chosen"), _after(prompt, rejected, "rejected")
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    before = chosen[:shared]
    _refuse_other_prompts(row)
    if prompt is not None and not any(message["content"] == prompt for message in before):
        what = "chosen and rejected are messages that do not begin with it" if before else "chosen has messages"
        raise DataError(f"prompt: is text, and {what}", "Give the prompt as messages, too.")
    if not before:
        raise DataError("prompt: missing, and chosen and rejected do not begin with the same message", FORM)
    return before, _after(before, chosen, "chosen"), _after(before, rejected, "rejected")


def _after(prompt: list[Message], side: list[Message], name: str) -> str:
    """The text of the one turn that a side has after the prompt, which it may repeat."""
    rest = side[len(prompt) :] if side[: len(prompt)] == prompt else side
    if len(rest) > 1:
        raise DataError(
            f"{name}: has {len(rest)} messages after the prompt, and only one turn can be learnt",
            "Put the turns that both sides share into the prompt.",
        )
    if not rest:
        raise DataError(f"{name}: has no message after the prompt")
    return last_turn(rest, name)[1]


def _swift(row: Mapping[str, Any], key: str) -> tuple[list[Message], str, str]:
    found = conversation(row)
    if found is None:
        raise DataError("messages: missing", FORM)
    if key == "rejected_messages":
        return _conversations(row, None, found, messages(row[key], key))
    prompt, chosen = last_turn(found, "messages")
    if not isinstance(row[key], str):
        raise DataError(f"{key}: must be a text")
    if not prompt:
        raise DataError("messages: has nothing before the assistant's turn")
    return prompt, chosen, row[key]
