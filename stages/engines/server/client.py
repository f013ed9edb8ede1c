"""Asking a server that may be busy, slow, restarting or gone: JSON out, JSON back, and patience in between.

    caller = RetryingClient("http://localhost:8000/v1", concurrency=64, timeout=300, retries=6)
    answer = await caller.post("/completions", {"model": "m1", "prompt": "..."}, read=parse, salt=seed)

What happens to a request:

    429, 408, 409, 425, 5xx, a broken connection,       tried again after 0.5, 1, 2, ... at most 30 seconds, each
    a time-out, an answer that cannot be read           times a factor of [0.5, 1.5) that hangs on the draw's seed
    429 or 503 with Retry-After                         nobody asks anything before it is over
    still so after `retries` tries                      the server then serves a short prompt, or others: this problem
                                                        failed; else the server is gone: the run stops (exit 4),
                                                        resumable
    401, 403, 404, 3xx                                  the run stops (exit 4)
    400 or 422 that names a field we can do without     sent again without it, as are all later ones (see `Dialect`)
    any other refusal (400, 413, 422)                   this problem failed, the others go on (exit 6); after 20 and
                                                        not one answer, a short prompt must be served, else exit 4

A 429 of a server that serves others meanwhile means "not yet" and is not counted as a try.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx2

from evals.errors import ModelError
from stages.engines.server.dialect import Dialect
from stages.engines.server.replies import Malformed, NoReply, Reply, ask, in_short
from stages.runs.faults import ProblemFailed
from stages.settings.model import ServerSettings

Read = TypeVar("Read")

FIRST, LONGEST = 0.5, 30.0
"""Seconds before the first try again, and at most before any."""
LONGEST_ASKED = 300.0
"""Seconds that a server may ask us to wait; beyond that the run stops."""
RETRIED = frozenset({408, 409, 425, 429})
REFUSED_AT_FIRST = 20
"""After so many refusals and not one answer, the request itself may be wrong, not the problems."""
SHORT, SHORT_TOKENS = "1+1=", 16
"""The text (of token ids as many as it has characters) and the tokens asked for to see whether a server works."""


class ServerGone(ModelError):
    """A server that does not answer, however often it is asked; another one of the same model might."""


class _Refused(ProblemFailed):
    """A request that the server will not take, however often it is sent."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a try came to nothing, and how long the server asks to be left alone."""

    why: str
    busy: bool = False
    wait: float | None = None


class RetryingClient:
    """Posts JSON, at most `concurrency` requests at a time.

    Args:
        url: what stands before "/completions".
        concurrency: requests that may be open at once.
        timeout: seconds to wait for a whole answer.
        retries: tries after the first.
        key: sent as a bearer token; never shown.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = ServerSettings.concurrency,
        timeout: float = ServerSettings.timeout,
        retries: int = ServerSettings.retries,
        key: str | None = None,
    ) -> None:
        self.url, self.concurrency, self.retries = url, concurrency, retries
        self._key, self._timeout = key, timeout
        self.tried_again = 0
        self.dialect = Dialect()
        self._gate = asyncio.Semaphore(concurrency)
        self._resume = 0.0
        self._served: float | None = None
        """When the last answer came."""
        self._reached = -math.inf
        """When the newest request that was answered was sent."""
        self._refused = 0
        self._client = httpx2.AsyncClient(
            base_url=url,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0), pool=None),
            limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    async def post(self, path: str, body: dict[str, Any], read: Callable[[Any], Read], salt: int = 0) -> Read:
        """The answer to a POST, as `read` makes it out of its JSON (raising `Malformed` where it cannot).

        Raises:
            ProblemFailed: this request is refused, or fails again and again while others are served.
            ServerGone: the server does not answer any more.
            ModelError: it refuses everybody, or knows no such model.
        """
        jitter = random.Random(salt)
        tries, since = 0, time.monotonic()
        while True:
            try:
                result = await self._try(path, body, read)
            except _Refused as error:
                self._refused += 1
                if (
                    self._served is None
                    and self._refused >= REFUSED_AT_FIRST
                    and not await self._works(path, body, read)
                ):
                    raise ModelError(
                        f"{self.url} refuses every request: {error.message}", "Check the options."
                    ) from error
                raise ProblemFailed(error.message) from error
            if not isinstance(result, _Trouble):
                return result
            self.tried_again += 1
            if result.wait is not None:
                self._leave_alone(result.wait)
            if not (result.busy and self._served is not None and self._served >= since):
                tries += 1
            if tries > self.retries:
                raise await self._given_up(result.why, since, path, body, read)
            since = time.monotonic()
            await asyncio.sleep(min(LONGEST, FIRST * 2 ** (max(tries, 1) - 1)) * jitter.uniform(0.5, 1.5))

    async def get(self, path: str) -> Any:
        """The JSON behind a path, or None where the server has nothing there."""
        try:
            reply = await ask(self._client, "GET", path, seconds=self._timeout)
            return reply.json() if reply.status == 200 else None
        except (NoReply, Malformed):
            return None

    async def _try(self, path: str, body: dict[str, Any], read: Callable[[Any], Read]) -> Read | _Trouble:
        try:
            async with self._gate:
                await self._wait()
                sent, when = self.dialect.written(body), time.monotonic()
                reply = await ask(self._client, "POST", path, seconds=self._timeout, json=sent)
        except NoReply as error:
            return _Trouble(self._shown(str(error)))
        status = reply.status
        if status in RETRIED or status >= 500:
            return _Trouble(f"HTTP {status}{self._said(reply)}", status == 429, _retry_after(reply))
        if status in (400, 422) and self.dialect.learn(sent, _json(reply)):
            return await self._try(path, body, read)
        if status != 200:
            raise self._refusal(status, path, reply)
        try:
            answer = read(reply.json())
        except Malformed as error:
            return _Trouble(f"an answer that cannot be read ({error})")
        self._served, self._reached = time.monotonic(), max(self._reached, when)
        return answer

    def _said(self, reply: Reply) -> str:
        said = self._shown(reply.said())
        return f": {said}" if said else ""

    def _shown(self, text: str) -> str:
        """In short, and without the key: some servers show the one that they refuse."""
        return in_short(text.replace(self._key, "[key]") if self._key else text)

    def _refusal(self, status: int, path: str, reply: Reply) -> ModelError | ProblemFailed:
        said = f"HTTP {status}{self._said(reply)}"
        if status in (401, 403):
            return ModelError(
                f"{self.url} lets nobody in without a valid key: {said}", "Set SIPF_API_KEY (or OPENAI_API_KEY)."
            )
        if status == 404 or status < 400:
            return ModelError(
                f"{self.url}{path} is not there, or has no such model: {said}",
                "Check --url and --model (its name there).",
            )
        return _Refused(f"the server refuses it: {said}")

    async def _given_up(
        self, why: str, since: float, path: str, body: dict[str, Any], read: Callable[[Any], Read]
    ) -> ModelError | ProblemFailed:
        # a server that is going down still finishes what it has begun, so only requests sent since then count
        if await self._works(path, body, read) or self._reached >= since:
            return ProblemFailed(f"the server failed on it {self.retries + 1} times: {why}")
        return ServerGone(
            f"{self.url} does not answer as it should: {why}",
            "When the server is there again, the same command goes on from here.",
        )

    async def _works(self, path: str, body: dict[str, Any], read: Callable[[Any], Read]) -> bool:
        """Whether the server answers the same request with a short prompt: then it is the problem that fails.

        A resumed run may have nothing left to do but the problems that fail, so that nobody else is served meanwhile.
        """
        short = {**body, "max_tokens": SHORT_TOKENS}
        if "messages" in body:
            short["messages"] = [{**one, "content": SHORT} for one in body["messages"]]
        else:
            prompt = body["prompt"]
            short["prompt"] = SHORT if isinstance(prompt, str) else prompt[: len(SHORT)]
        try:
            if isinstance(await self._try(path, short, read), _Trouble):
                return False
        except _Refused:
            return False
        except ProblemFailed:
            self._served = time.monotonic()  # it answers, only not with a text
        return True

    def _leave_alone(self, seconds: float) -> None:
        if seconds > LONGEST_ASKED:
            raise ServerGone(
                f"{self.url} asks to be left alone for {seconds:.0f} seconds",
                "Run the same command again after that: it goes on from here.",
            )
        self._resume = max(self._resume, time.monotonic() + seconds)

    async def _wait(self) -> None:
        left = self._resume - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)
            await self._wait()  # another answer may have asked for longer meanwhile

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _json(reply: Reply) -> Any:
    """What the server says as JSON, or None."""
    try:
        return reply.json()
    except Malformed:
        return None


def _retry_after(reply: Reply) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as a date."""
    value = reply.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
