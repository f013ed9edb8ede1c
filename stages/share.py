"""Which problems belong to a share of them: by a hash of the id and the seed, so the choice needs no other line."""

from __future__ import annotations

import hashlib


def in_share(problem_id: str, share: float, seed: int, purpose: str = "") -> bool:
    """Whether a problem belongs to a share of all problems; shares of other purposes are independent of it."""
    digest = hashlib.blake2b(f"{purpose}{seed}/{problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
