"""How many pairs of each rule make given shares, against trying all numbers."""

from __future__ import annotations

import random

from stages.pairing.union import each_once, in_shares


def test_as_many_as_possible_are_taken_and_no_part_is_off_by_a_whole_pair() -> None:
    rng = random.Random(2)
    for _ in range(300):
        sizes = [rng.randrange(0, 40) for _ in range(rng.randrange(1, 4))]
        shares = [rng.choice([0.1, 0.25, 0.5, 1.0, 3.0]) for _ in sizes]
        most = rng.choice([None, 7, 30])
        taken, whole = in_shares(sizes, shares, most), sum(shares)
        total = sum(taken)
        assert all(0 <= n <= size for n, size in zip(taken, sizes, strict=True))
        assert all(abs(n - total * share / whole) < 1 for n, share in zip(taken, shares, strict=True))
        more = total + 1
        assert total == most or any(
            more * share / whole > size + 1e-9 for size, share in zip(sizes, shares, strict=True)
        )


def test_half_and_half_is_limited_by_the_smaller() -> None:
    assert in_shares([10, 4], [0.5, 0.5]) == [4, 4]
    assert in_shares([10, 4], [0.5, 0.5], most=5) in ([3, 2], [2, 3])
    assert in_shares([10, 0], [1, 1]) == [0, 0]
    assert in_shares([9, 9, 9], [1, 1, 1], most=3) == [1, 1, 1]


def test_what_a_rule_before_has_made_is_not_made_again() -> None:
    assert each_once([["a", "b"], ["B", "c"], ["C", "d"]], str.lower) == [["a", "b"], ["c"], ["d"]]
