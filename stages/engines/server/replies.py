"""What a server has sent, read with care: within a time, up to a length, and whatever it is.

reply = await ask(client, "POST", "/completions", seconds=300, json=body)
reply.status, reply.json()       # 200, {"choices": [...]}
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx2

LARGEST = 64 << 20
"""Bytes of an answer, unpacked; a text of all tokens that a model takes is a few MB."""
SHOWN = 300
"""Characters of what a server says that are shown."""
_LONE = re.compile("[\ud800-\udfff]")


class Malformed(Exception):
    """An answer that is not what it should be."""


class NoReply(Exception):
    """No answer has come: the connection broke, or it took too long."""


class Reply(NamedTuple):
    """An answer that has come, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Its JSON.

        Raises:
            Malformed: it is none, or nested too deeply.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Malformed(str(error)) from error

    def said(self) -> str:
        """What a refusing server says, as it says it."""
        try:
            found = self.json()
            error = found.get("error", found) if isinstance(found, dict) else found
            return str(error.get("message", error) if isinstance(error, dict) else error)
        except Malformed:
            return self.body.decode("utf-8", "replace")


async def ask(client: httpx2.AsyncClient, method: str, path: str, *, seconds: float, **how: Any) -> Reply:
    """Send a request, and read the answer to its end.

    Raises:
        NoReply: it does not come, not within so many seconds, or is larger than `LARGEST`.
    """
    try:
        async with asyncio.timeout(seconds), client.stream(method, path, **how) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise NoReply(f"an answer of more than {LARGEST >> 20} MiB")
            return Reply(response.status_code, response.headers, bytes(body))
    except TimeoutError as error:
        raise NoReply(f"no whole answer within {seconds:g} seconds") from error
    except httpx2.TimeoutException as error:
        raise NoReply(f"no answer in time ({type(error).__name__})") from error
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise NoReply(str(error) or type(error).__name__) from error


def in_short(text: str) -> str:
    """Text that a server has sent, as one line that can be shown. What must not be shown is taken out before."""
    return writable(" ".join(text.split())[:SHOWN])


def writable(text: str) -> str:
    """Text that can be written as UTF-8: JSON can hold halves of characters, which are replaced as tokenizers do it."""
    return _LONE.sub("\ufffd", text)
