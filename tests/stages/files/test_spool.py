"""What is kept in a spool comes back as it was added, and none of it stays in memory."""

from __future__ import annotations

import tracemalloc

from stages.files.spool import Spool


def test_lines_come_back_in_their_order_with_their_numbers() -> None:
    kept = [(7, "a\tb"), (7, ""), (3, '{"x": "\u00e9\U0001f600"}'), (10**12, "\x1e\r")]
    with Spool() as spool:
        for number, line in kept:
            spool.add(number, line)
        assert list(spool) == kept
        assert list(spool) == kept, "as often as they are asked for"


def test_memory_does_not_grow_with_what_is_kept() -> None:
    tracemalloc.start()
    try:
        with Spool() as spool:
            for number in range(20_000):
                spool.add(number, f"{number:01000}")
            assert tracemalloc.get_traced_memory()[1] < 1 << 20, "20 MB are kept"
            assert sum(1 for _ in spool) == 20_000
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
