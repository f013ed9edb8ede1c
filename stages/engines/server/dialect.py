"""How servers that speak OpenAI's completions differ, in what they take and in what they answer.

    {"choices": [{"text": "72-5=67\\n", "finish_reason": "stop"}],
     "usage": {"prompt_tokens": 61, "completion_tokens": 7}}

Taken: OpenAI takes four stop strings, and its reasoning models want `max_completion_tokens` and take neither `stop` nor
`top_p`; others forbid `seed`. What a server refuses by name is left out from then on where that asks for the same.
Answered: `usage` may be missing (proxies), `finish_reason` may be null (Ollama), `eos`, `content_filter` or a word
of the server's own, and `content` null where a model has only thought or refuses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.engines.server.replies import Malformed, in_short, writable
from stages.runs.faults import ProblemFailed

STOPS = 4
"""Stop strings that every server takes."""

_RENAMED = {"max_tokens": "max_completion_tokens"}
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}
_SPARED = ("stop", "seed")
"""Texts are cut at stop strings here as well, and no server has to heed a seed."""

_ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"})
_CUT = frozenset({"length", "max_tokens", "max_length", "model_length", "content_filter"})
_BROKEN = frozenset({"abort", "error"})
"""Finish reasons of texts that the server gave up half-way."""


class Dialect:
    """What one server has been found not to take."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.left_out: Counter[str] = Counter()
        """Requests without a field, by the field's name."""

    def written(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request as this server takes it."""
        self.left_out.update(name for name in self.refused if name in body and name not in _RENAMED)
        return {
            _RENAMED[name] if name in self.refused else name: value
            for name, value in body.items()
            if name not in self.refused or name in _RENAMED
        }

    def learn(self, sent: Mapping[str, Any], refusal: Any) -> bool:
        """Whether the refused request can be sent in another form that asks for the same; it is remembered."""
        name = _named(refusal)
        if name not in sent or not (name in _RENAMED or name in _SPARED or _DEFAULTS.get(name) == sent[name]):
            return False
        self.refused.add(name)
        return True


def _named(refusal: Any) -> str:
    """The field that a refusal says is not supported, or ""."""
    if not isinstance(refusal, dict):
        return ""
    error = refusal.get("error", refusal)
    error = error if isinstance(error, dict) else {"message": error}
    said = str(error.get("message"))
    if _RENAMED["max_tokens"] in said:
        return "max_tokens"
    if error.get("code") == "unsupported_parameter" and isinstance(error.get("param"), str):
        return str(error["param"])
    found = re.search(r"unsupported parameter:? ['\"`]?(\w+)", said, re.IGNORECASE)
    if found:
        return found[1]
    # as FastAPI writes it: {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], ...}]}
    detail = refusal.get("detail")
    for fault in detail if isinstance(detail, list) else []:
        place = fault.get("loc") if isinstance(fault, dict) and fault.get("type") == "extra_forbidden" else None
        if isinstance(place, list) and place:
            return str(place[-1])
    return ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a server wrote. `tokens` and `prompt_tokens` (those computed, not cached) are None where it does not say."""

    text: str
    finish: Literal["stop", "length"]
    tokens: int | None
    prompt_tokens: int | None


def read_answer(answer: Any, most: int) -> Written:
    """Text, finish and token counts of the answer to a request for at most `most` tokens.

    A reason that is null or unknown means "stop", unless all tokens were used. Text that a content filter ended is cut.

    Raises:
        Malformed: no answer, or one that the server gave up; asked again it may answer.
        ProblemFailed: the model wrote no text, but thoughts, a refusal or calls of tools.
    """
    choice = first_choice(answer)
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    tokens, prompt = _count(usage.get("completion_tokens")), _count(usage.get("prompt_tokens"))
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if prompt is not None:
        prompt = max(0, prompt - (cached or 0))
    reason = choice.get("finish_reason")
    reason = reason if isinstance(reason, str) else None
    if reason in _BROKEN:
        raise Malformed(f"the server gave it up: finish_reason {reason!r}")
    text = writable(_text(choice, reason))
    tokens = None if tokens == 0 and text else tokens  # as Ollama counts what it has not measured
    cut = reason in _CUT or (reason not in _ENDED and tokens is not None and tokens >= most)
    return Written(text, "length" if cut else "stop", tokens, prompt)


def _text(choice: Mapping[str, Any], reason: Any) -> str:
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        if not isinstance(text, str):
            raise Malformed("its choice has no text")
        return text
    content = message.get("content")
    if isinstance(content, list):  # in parts; those of other types are thoughts
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str)) if parts else None
    if isinstance(content, str):
        return content
    if message.get("refusal"):
        raise ProblemFailed(f"the model refuses it: {in_short(str(message['refusal']))}")
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if reason is None and not thoughts:
        raise Malformed("its choice has no text")
    if thoughts and reason in _CUT:
        raise ProblemFailed(
            "the model wrote thoughts only, no answer, until its tokens were used up; raise --max-tokens"
        )
    raise ProblemFailed(f"the model wrote no answer{', thoughts only' if thoughts else ''} (finish_reason {reason!r})")


def first_choice(answer: Any) -> dict[str, Any]:
    """The answer's only choice.

    Raises:
        Malformed: it has none; with what the server says instead (LM Studio answers 200 to paths it does not know).
    """
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        found: dict[str, Any] = choices[0]
        return found
    said = answer.get("error") if isinstance(answer, dict) else None
    said = said.get("message", said) if isinstance(said, dict) else said
    raise Malformed(f"it says: {in_short(str(said))}" if said else "it has no choices")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
