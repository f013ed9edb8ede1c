"""Everything that a hash decides: seeds of draws, shares of problems, lots. None depends on any other line.

The hashed texts are part of the data's promise (same seed, same bytes), so they must not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TypeVar

Line = TypeVar("Line")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def seed_of(stage: str, problem_id: str, seed: int, key: object) -> int:
    """A draw's own seed: the first 8 bytes of blake2b over JSON [stage, problem id, user seed, key].

    The key is the running path number for `sample`, [prefix text, draw] for `simulate`, the draw for `eval`.

    Returns:
        An integer in [0, 2**63): one bit is given up so that JSON readers and int64 tensors hold it.
    """
    return _number(_encode([stage, problem_id, seed, key]).encode("utf-8", "surrogatepass")) >> 1


def in_share(problem_id: str, share: float, seed: int, purpose: str = "") -> bool:
    """Whether a problem belongs to a share of all problems; shares for other purposes are independent of it."""
    return _number(f"{purpose}{seed}/{problem_id}".encode()) < share * 2**64


def held_out(group: str, seed: int, share: float) -> bool:
    """Whether a problem belongs to the held-out part: a function of its id and the seed alone."""
    return _number(json.dumps(["held-out", seed, group]).encode()) < share * 2**64


def split_problems(
    lines: Iterable[Line], group: Callable[[Line], str], seed: int, share: float
) -> tuple[list[Line], list[Line]]:
    """Lines to train on, and lines of the held-out problems, in their order.

    Args:
        group: a line's problem.
    """
    parts: tuple[list[Line], list[Line]] = ([], [])
    for line in lines:
        parts[held_out(group(line), seed, share)].append(line)
    return parts


def lot(text: str, seed: int) -> str:
    """A hash that orders things which are otherwise equal, so neither draw order nor length decides."""
    return hashlib.blake2b(f"{seed}/{text}".encode(), digest_size=8).hexdigest()


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
