"""A server that answers by what it is asked alone, and misbehaves now and then: errors, broken connections."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

from tests.stages.engines.lookalike import Lookalike, Reply, wrote


def answer(body: dict[str, Any]) -> Reply:
    """The same answer to the same request."""
    asked = json.dumps([body.get("prompt"), body.get("messages"), body.get("seed"), body.get("n")])
    digest = hashlib.sha256(asked.encode()).digest()
    return wrote(f"3+{digest[0] % 9}={digest[1] % 9}\nThe answer is {digest[2] % 20}.\n")


def misbehaving(seed: int, share: float = 0.06) -> Lookalike:
    """The server; `share` of the requests get something else first."""
    draws = random.Random(seed)

    def reply(body: dict[str, Any], _number: int) -> Reply:
        if draws.random() >= share:
            return answer(body)
        return draws.choice([
            Reply(status=500, json={"error": {"message": "out of memory"}}),
            Reply(status=429, json={"error": {"message": "slow down"}}, headers={"Retry-After": "0"}),
            Reply(status=502, raw=b"<html>bad gateway</html>"), Reply(raw=b"<html>bad gateway</html>"),
            Reply(raw=b'{"choices": [{"ind'), Reply(drop=True), Reply(**answer(body), delay=0.3),
        ])  # fmt: skip

    return Lookalike(reply)
