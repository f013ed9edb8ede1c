"""Conversations, as others write them, in one form: messages with a role and a text.

    [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]

ShareGPT's `from` and `value` become role and content, content in parts of text becomes one text, and a field that is
null counts as missing. Other keys of a message are left to the chat template.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.errors import DataError

Message = dict[str, Any]
_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant"}
"""ShareGPT's names of the roles."""
_UNSEEN = ("tools", "images", "videos", "audios")


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages rather than a text."""
    return isinstance(value, list) and bool(value) and all(isinstance(part, Mapping) for part in value)


def messages(value: Any, field: str) -> list[Message]:
    """The messages of a list.

    Raises:
        DataError: `field.N.role: ...` or `field.N.content: ...`.
    """
    if not is_conversation(value):
        raise DataError(f"{field}: must be a list of messages")
    return [_message(part, f"{field}.{n}") for n, part in enumerate(value)]


def conversation(row: Mapping[str, Any]) -> list[Message] | None:
    """The conversation in a row: its `messages`, or one of the forms of ShareGPT, ms-swift and Alpaca, with the row's
    `system` text before it; None if the row has none.

    Raises:
        DataError: `field: what is wrong`; tools or pictures, which no prompt here would show.
    """
    found = messages(row["messages"], "messages") if row.get("messages") is not None else _turns(row)
    if found is None:
        return None
    for name in _UNSEEN:
        if row.get(name):
            raise DataError(f"{name}: only texts can be learnt here, and a prompt would lack them")
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        raise DataError("system: must be a text")
    if system and found[0]["role"] == "system":
        raise DataError("system: the conversation has a system message, too")
    return [{"role": "system", "content": system}, *found] if system else found


def refuse_system(row: Mapping[str, Any]) -> None:
    """Refuse a system text beside a prompt, which would not hold it.

    Raises:
        DataError: there is one.
    """
    if row.get("system"):
        raise DataError("system: is no part of the prompt", "Put it into the prompt, as a message or as text.")


def last_turn(conversation: list[Message], field: str) -> tuple[list[Message], str]:
    """A conversation that ends in the assistant's turn, as what stands before that turn, and its text.

    Raises:
        DataError: it ends in another role's message.
    """
    *before, last = conversation
    if last["role"] != "assistant":
        raise DataError(f"{field}: its last message is of the role {last['role']!r}, not the assistant's")
    if last["content"] is None:
        raise DataError(f"{field}: the assistant's message has no text (tool calls cannot be learnt)")
    return before, str(last["content"])


def _turns(row: Mapping[str, Any]) -> list[Message] | None:
    if row.get("conversations") is not None:
        return messages(row["conversations"], "conversations")
    if row.get("conversation") is not None:
        return _exchanges(row["conversation"], "conversation", ("human", "assistant"))
    if row.get("query") is not None and row.get("response") is not None:
        earlier = _exchanges(row.get("history") or [], "history", (0, 1))
        return [*earlier, *_exchange(row["query"], row["response"], "query")]
    if row.get("instruction") is not None and row.get("output") is not None:
        asked = [row["instruction"], row.get("input")]
        if not all(isinstance(part, str) for part in asked if part is not None):
            raise DataError("instruction: it and input must be texts")
        return _exchange("\n".join(part for part in asked if part), row["output"], "instruction")
    return None


def _message(part: Mapping[str, Any], field: str) -> Message:
    given = {key: value for key, value in part.items() if value is not None}
    if "from" in given and "role" not in given:
        given["role"] = _ROLES.get(given.pop("from"), part["from"])
    if "value" in given and "content" not in given:
        given["content"] = given.pop("value")
    if not isinstance(given.get("role"), str) or not given["role"]:
        raise DataError(f"{field}.role: must be a text")
    content = given.get("content")
    if isinstance(content, list):
        content = _joined_parts(content, field)
    if content is None and given["role"] == "assistant" and "tool_calls" in given:
        return {**given, "content": None}
    if not isinstance(content, str):
        raise DataError(f"{field}.content: must be a text")
    return {**given, "content": content}


def _joined_parts(parts: list[Any], field: str) -> str:
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{field}.content: has parts that are no texts", "Only texts can be learnt here.")
    return "".join(str(text) for text in texts)


def _exchange(asked: Any, answered: Any, field: str) -> list[Message]:
    if not isinstance(asked, str) or not isinstance(answered, str):
        raise DataError(f"{field}: it and its answer must be texts")
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]


def _exchanges(value: Any, field: str, keys: tuple[Any, Any]) -> list[Message]:
    if not isinstance(value, list):
        raise DataError(f"{field}: must be a list of questions and answers")
    found: list[Message] = []
    for n, part in enumerate(value):
        try:
            asked, answered = part[keys[0]], part[keys[1]]
        except (KeyError, IndexError, TypeError) as error:
            raise DataError(f"{field}.{n}: must be a question and its answer") from error
        found += _exchange(asked, answered, f"{field}.{n}")
    return found
