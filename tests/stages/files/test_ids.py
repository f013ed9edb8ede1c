from __future__ import annotations

from stages.files.ids import SeenIds


def test_many_ids_are_remembered_beyond_memory() -> None:
    with SeenIds() as seen:
        assert all(seen.first(f"p/{i}", i) is None for i in range(100_000))
        assert [seen.first(f"p/{i}", 0) for i in (0, 77_777, 99_999)] == [0, 77_777, 99_999]
        assert seen.first("p/100000", 5) is None
