from __future__ import annotations

import hashlib
import os
from pathlib import Path

from stages.files.lines import TextLine, TextLines


def texts(source: Path) -> list[TextLine]:
    return [line for line in TextLines(str(source)) if line is not None]


def test_lines_are_numbered_from_zero_and_start_where_they_start(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n \t\ntwo\n\xff\nlast")
    found = texts(path)
    assert [(line.n, line.text) for line in found] == [(0, "one"), (1, ""), (2, "two"), (3, ""), (4, "last")]
    data = path.read_bytes()
    assert [data[line.start :].split(b"\n")[0] for line in found] == data.split(b"\n")
    assert [line.fault is not None for line in found] == [False, False, False, True, False]
    assert found[3].fault is not None
    assert found[3].fault.message == "is not UTF-8 text (invalid start byte at byte 0)"


def test_the_digest_is_that_of_the_content_without_mark_and_line_end(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\none\n")
    wanted = hashlib.blake2b(b"one", digest_size=8).hexdigest()
    assert [line.digest for line in texts(path)] == [wanted, wanted]


def test_a_pipe_is_hashed_as_it_is_read_and_need_not_be_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)  # so that neither end waits for the other
    lines = TextLines(path, wait=False)
    read = iter(lines)
    assert next(read) is None
    os.write(holder, b"one\ntw")
    first = next(read)
    assert first is not None
    assert first.text == "one"
    assert next(read) is None, "half a line has come"
    os.write(holder, b"o\n")
    assert (next(read) or first).text == "two"
    os.close(holder)
    assert next(read, None) is None
    assert (lines.count, lines.sha256) == (2, hashlib.sha256(b"one\ntwo\n").hexdigest())
