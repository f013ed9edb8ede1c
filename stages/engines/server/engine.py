"""The `server` engine: any server that speaks OpenAI's completions, asked for one draw at a time.

    sipf simulate paths.jsonl --engine server --url http://localhost:8000/v1 --model m1 -o labels.jsonl

    POST /v1/completions {"model": "m1", "prompt": "Question: ...\\nAnswer:\\n40+32=72\\n", "seed": 7,
                          "temperature": 1.0, "top_p": 1.0, "max_tokens": 512, "stop": ["Question:"]}

How prompts are sent:
- By default as text, from the plain template (`--template` chooses another); no model is needed here, and a BOS is the
  server's to put in front.
- With `--tokenizer` (the model's folder or hub name) as token ids, built as for every other engine, its chat template
  included: against the same model the greedy text is the same, byte for byte. Log-likelihoods need it.
- With `--template chat` and no tokenizer as chat messages (POST /v1/chat/completions). A rollout goes on from a prefix,
  so the assistant's turn has to be left open: `continue_final_message`, which vLLM and SGLang know. A server that
  refuses unknown fields says so; one that ignores them would begin a new answer, so use `--tokenizer` with it.

At most four stop strings are sent, because OpenAI takes no more; the text is cut at all of them here. `Dialect` says in
what else servers differ.

Seeds are passed on; whether they are heeded is the server's affair, and the manifest says "not guaranteed".
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from evals.errors import ModelError, UsageError
from evals.records import Problem
from evals.tasks.prompts import CHAT
from stages.engines.base import Completion, Draw, Request
from stages.engines.draws import Answer, DrawEngine
from stages.engines.server.client import RetryingClient
from stages.engines.server.dialect import STOPS, Written, first_choice, read_answer
from stages.engines.server.replies import Malformed
from stages.models.prompts import Prompter
from stages.models.templates import Prompters
from stages.settings.model import ModelSettings

KEYS = ("SIPF_API_KEY", "OPENAI_API_KEY")
BACKLOG = 2
"""Draws under way, as a multiple of the requests that may be open at once."""
BYTES = 4
"""UTF-8 bytes per token, about, of English text."""


class ServerEngine(DrawEngine):
    """Has text written by a server.

    Args:
        url: as `base_url` makes it.
        model: the model's name on the server.
        tokenizer: a transformers tokenizer; None: prompts are sent as text.
        template: as for `stages.models.templates.make_prompter`.
        recorded: the template that the tokenizer's folder records.
        chat_args: what the tokenizer's chat template is told.
        caller: who asks.
    """

    def __init__(
        self, caller: RetryingClient, model: str, *, tokenizer: Any = None, template: str = ModelSettings.template,
        recorded: str | None = None, chat_args: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(BACKLOG * caller.concurrency)
        self.caller, self.model, self.tokenizer = caller, model, tokenizer
        self.chat = tokenizer is None and template == CHAT
        self._prompters = Prompters(tokenizer or _NoTokenizer(self.chat), template, recorded, chat_args or {})
        self._tasks: set[asyncio.Task[None]] = set()
        self.uncounted = 0
        """Answers whose tokens the server has not counted."""
        self._card: asyncio.Task[Any] | None = None

    def prompter(self, problem: Problem) -> Prompter:
        """See `DrawEngine.prompter`."""
        return self._prompters.of(problem)

    def prepare(self, request: Request) -> dict[str, Any]:
        """What says the prompt in a request's body."""
        problem, prefix = request.problem, request.prefix
        prompter = self.prompter(problem)
        if self.tokenizer is not None:
            return {"prompt": prompter.begun(problem, prefix).ids}
        if not self.chat:
            return {"prompt": prompter.prompt(problem) + prefix}
        messages = json.loads(prompter.prompt(problem))
        if not prefix:
            return {"messages": messages}
        opened = [*messages, {"role": "assistant", "content": prefix}]
        return {"messages": opened, "continue_final_message": True, "add_generation_prompt": False}

    def begin(self, prompt: dict[str, Any], request: Request, draw: Draw, answer: Answer) -> None:
        """See `DrawEngine.begin`."""
        task = asyncio.get_running_loop().create_task(self._draw(prompt, request, draw, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        answer.add_done_callback(lambda future: task.cancel() if future.cancelled() else None)

    async def _draw(self, prompt: dict[str, Any], request: Request, draw: Draw, answer: Answer) -> None:
        try:
            completion = await self._complete(prompt, request, draw)
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
            return
        if not answer.done():
            answer.set_result(completion)

    async def _complete(self, prompt: dict[str, Any], request: Request, draw: Draw) -> Completion:
        most = request.max_tokens
        if self.tokenizer is not None:
            room = await self._length() - len(prompt["prompt"])
            if room < 1:
                self.usage.completions += 1
                return Completion("", 0, "length", draw.seed)
            most = min(most, room)
        body = {
            "model": self.model, **prompt, "seed": draw.seed, "temperature": draw.temperature, "top_p": request.top_p,
            "max_tokens": most,
        }  # fmt: skip
        if request.stop:
            body["stop"] = list(request.stop[:STOPS])
        path = "/chat/completions" if self.chat else "/completions"
        answer = await self.caller.post(path, body, lambda said: read_answer(said, most), draw.seed)
        text, finish, tokens = answer.text, answer.finish, self._tokens(answer)
        places = [place for place in (text.find(stop) for stop in request.stop) if place >= 0]
        if places:
            text, finish = text[: min(places)], "stop"
        self.usage.completions += 1
        self.usage.tokens += tokens
        self.usage.prompt_tokens += answer.prompt_tokens or 0
        return Completion(text, tokens, finish, draw.seed)

    def _tokens(self, answer: Written) -> int:
        """Tokens written; where the server does not count them, as the tokenizer does, else about one per 4 bytes."""
        if answer.tokens is not None:
            return answer.tokens
        self.uncounted += 1
        if self.tokenizer is not None:
            return len(self.tokenizer(answer.text, add_special_tokens=False)["input_ids"])
        return -(-len(answer.text.encode()) // BYTES)

    async def _length(self) -> int:
        """Tokens that the model takes, where the server says so (vLLM does: `max_model_len`)."""
        if self._card is None:
            self._card = asyncio.get_running_loop().create_task(self.caller.get("/models"))
        listed = await asyncio.shield(self._card)
        cards = listed.get("data") if isinstance(listed, dict) else None
        for card in cards if isinstance(cards, list) else []:
            if isinstance(card, dict) and card.get("id") == self.model:
                length = card.get("max_model_len")
                if isinstance(length, int) and length > 0:
                    return length
        return 1 << 30

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`; how often a request was tried again, and in what the server differs from others."""
        found = {**super().spent(), "requests tried again": self.caller.tried_again}
        found |= {f"requests without {name}": n for name, n in sorted(self.caller.dialect.left_out.items())}
        return found | ({"answers without a token count": self.uncounted} if self.uncounted else {})

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`. The server echoes the prompt with the log-probability of each of its tokens."""
        if self.tokenizer is None:
            raise ModelError(
                "log-likelihoods need the model's tokenizer", "Give --tokenizer, the model's folder or hub name."
            )
        encoded = [self.prompter(problem).encode(problem, text, end=False) for text in continuations]
        if any(not item.completion_ids for item in encoded):
            raise ModelError("a continuation without a token has no likelihood")
        bodies = [
            {"model": self.model, "prompt": item.ids, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
            for item in encoded
        ]
        asked = [asyncio.ensure_future(self._echo(body)) for body in bodies]
        try:
            found = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()
        return [
            sum(row[len(item.prompt_ids) : len(item.ids)]) for item, row in zip(encoded, found, strict=True)
        ]  # fmt: skip

    async def _echo(self, body: dict[str, Any]) -> list[float]:
        answer = self.expect()  # it counts as under way
        try:
            return await self.caller.post("/completions", body, lambda said: _echoed(said, len(body["prompt"])))
        finally:
            answer.cancel()

    async def close(self) -> None:
        """Give up what is under way and close the connections."""
        await super().close()
        tasks = [*self._tasks, *([self._card] if self._card is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.caller.close()


class _NoTokenizer:
    """Stands where a tokenizer would: prompts stay text, and a chat's messages are written as JSON."""

    def __init__(self, chat: bool) -> None:
        self.chat_template = "the server's" if chat else None

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": []}  # so that no BOS is found, or put in front

    special_tokens_map: ClassVar[dict[str, str]] = {}

    def get_chat_template(self) -> str:
        """None that runs here."""
        return ""

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return json.dumps(messages)


def _echoed(answer: Any, length: int) -> list[float]:
    """Log-probability of every prompt token; the first has none and counts 0."""
    given = first_choice(answer).get("logprobs")
    found = given.get("token_logprobs") if isinstance(given, dict) else None
    if not isinstance(found, list) or len(found) < length or not all(map(_is_finite, found[1:])):
        raise Malformed("it does not echo the prompt's log-probabilities")
    return [0.0, *map(float, found[1:])]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def base_url(url: str) -> str:
    """What stands before "/completions": the URL as given, with "/v1" where it has no path.

    Raises:
        UsageError: no http(s) URL, or one with a password or a query in it, where keys may be.
    """
    try:
        parts = urlsplit(url)
        named = (parts.port is None or parts.port > 0) and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        named = False
    if not named:
        shown = f"...{url[url.rindex('@') :]}" if "@" in url else url
        raise UsageError(
            f"--url {shown.partition('?')[0]!r} is no http or https address", "For example http://localhost:8000/v1."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "--url must not hold a key, nor anything else before an @ or after a ? or #",
            "Put it into the variable SIPF_API_KEY.",
        )
    whole = url.rstrip("/")
    return whole if parts.path.strip("/") else f"{whole}/v1"


def key_from_environment() -> str | None:
    """The key for the server: SIPF_API_KEY, else OPENAI_API_KEY; white space around it is none of it.

    Raises:
        UsageError: what cannot be sent as a key. (The HTTP library would show it.)
    """
    for name in KEYS:
        key = os.environ.get(name, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{name} holds characters that no key has", "Set it again, without line breaks in it.")
        if key:
            return key
    return None
