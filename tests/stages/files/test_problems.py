from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evals.errors import DataError, UsageError
from evals.records import Problem
from stages.files.problems import all_problems, problem_reader, read_problems
from stages.files.reading import BadLines
from stages.files.shards import Shard

GOOD = {"id": "a", "task": "math", "question": "1+1?"}


def line(**more: object) -> bytes:
    return json.dumps({**GOOD, **more}).encode()


def read(path: Path, shard: Shard | None = None) -> tuple[list[tuple[int, str]], list[str]]:
    """The good lines as (number, id), and the messages of the bad ones."""
    lines = [line for line in problem_reader(str(path), shard=shard) if line is not None]
    good = [(line.n, line.record.id) for line in lines if line.record is not None]
    return good, [line.fault.message for line in lines if line.fault is not None]


BAD_LINES = [
    (b"{oops", "not a line of JSON"),
    (b'{"id": "b", "task": "math"', "not a line of JSON"),
    (b"[1, 2]", "a line must be a JSON object, this one is list"),
    (b"null", "a line must be a JSON object"),
    (b'{"id": "b", "task": "math"}', "question: "),
    (line(id=7), "id: "),
    (line(id=""), "id: "),
    (line(id="b", paths=[{"id": "b#0", "text": 3}]), "paths.0.text: "),
    (line(id="b", paths=[{"id": "b#0", "text": "", "labels": [{"k": 0}]}]), "paths.0.labels.0.k: "),
    (b'{"id": "b", "task": "math", "question": "?", "x": NaN}', "NaN is not JSON"),
    (b'{"id": "b", "task": "math", "question": "?", "x": -Infinity}', "-Infinity is not JSON"),
    (b'{"id": "b", "task": "math", "question": "?", "x": [0, 1e999]}', "x.1: the number is too large"),
    (b'{"id": "b", "task": "math", "question": "?", "x": 1' + b"0" * 400 + b".0}", "x: the number is too large"),
    (b'{"id": "b", "task": "math", "question": "?", "x": 1' + b"0" * 9000 + b"}", "not a line of JSON"),
    (b'{"id": "b", "task": "math", "question": "\xff"}', "not UTF-8"),
    (b'{"id": "b", "task": "math", "question": "\xed\xa0\x80"}', "not UTF-8"),
    (b'{"id": "b", "task": "math", "question": "\\ud800"}', "question: holds half a surrogate"),
    (b'{"id": "b", "task": "math", "question": "?", "x": {"y": ["\\uDFFF"]}}', "x.y.0: holds half a surrogate"),
    (b'{"id": "b", "task": "math", "question": "?", "\\ud800": 1}', "holds half a surrogate"),
    (b'{"id": "b", "task": "math", "question": "?", "x": ' + b"[" * 300 + b"]" * 300 + b"}", "nested"),
    (b'{"id": "b", "task": "math", "question": "?", "x": ' + b"[" * 200000 + b"]" * 200000 + b"}", "nested"),
    (line(id="a"), "id: 'a' is already used in line 1"),
    (line(id="b").decode().encode("utf-16"), "not UTF-8"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_bad_line_is_named_and_the_next_one_read(tmp_path: Path, bad: bytes, said: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line() + b"\n" + bad.replace(b"\n", b"") + b"\n" + line(id="z") + b"\n")
    good, messages = read(path)
    assert good == [(0, "a"), (2, "z")]
    assert len(messages) == 1
    assert messages[0].startswith(f"{path}:2: ")
    assert said in messages[0]
    messages[0].encode()


def test_what_is_unusual_but_right_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    # byte order mark, Windows line ends, blank lines, a whole surrogate pair, no newline at the end
    pair = b'{"id": "c", "task": "math", "question": "\\ud83d\\ude00", "x": 1e99}'
    path.write_bytes(b"\xef\xbb\xbf" + line() + b"\r\n\n  \t\r\n" + line(id="b") + b"\n" + pair)
    assert read(path) == ([(0, "a"), (3, "b"), (4, "c")], [])


def test_wide_line_is_no_deep_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line(x=[{"y": i} for i in range(5000)]) + b"\n")
    assert read(path) == ([(0, "a")], [])


def test_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"")
    assert read(tmp_path / "in.jsonl") == ([], [])


def test_id_of_a_bad_line_is_free_for_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id": "a"}\n' + line() + b"\n")
    assert read(path)[0] == [(1, "a")]


def test_packed_lines_are_read_and_torn_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    data = gzip.compress(b"".join(line(id=f"p{i}", x=hash(str(i))) + b"\n" for i in range(3000)))
    path.write_bytes(data)
    assert len(read(path)[0]) == 3000
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"in\.jsonl\.gz:\d+: the gzip data are truncated"):
        read(path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match=r"in\.jsonl\.gz:1: "):
        read(path)


def test_unusable_inputs_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path / "in.jsonl")
    (tmp_path / "in.jsonl.part").touch()
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "in.jsonl")
    assert "It is unfinished" in caught.value.advice


def test_task_check_makes_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line() + b"\n")

    def check(problem: Problem) -> None:
        raise DataError("answer: is needed", "Give one.")

    bad = BadLines()
    assert list(read_problems(str(path), bad, check=check)) == []
    assert bad.first is not None
    assert (bad.count, bad.first.message) == (1, f"{path}:1: answer: is needed")
    assert bad.first.advice == "Give one."
    with pytest.raises(DataError, match="answer: is needed"):
        list(read_problems(str(path), BadLines(strict=True), check=check))
    with pytest.raises(DataError, match="answer: is needed"):
        all_problems(str(path), check=check)


def test_shards_hold_each_line_once_and_know_each_others_ids(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    ids = ["a", "b", "c", "a", "d", "e", "b"]
    path.write_bytes(b"".join(line(id=name) + b"\n" for name in ids))
    parts = [read(path, Shard(i, 3)) for i in range(3)]
    assert sorted(pair for good, _ in parts for pair in good) == read(path)[0]
    assert sorted(text for _, bad in parts for text in bad) == read(path)[1]
    assert len(read(path)[1]) == 2
