"""Every kind of file is read alike: byte order marks, line ends, blank lines, packing, and bad lines by their place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.programs.steps import StepRule
from evals.tasks import check_problem
from stages import data
from stages.engines.scripted.engine import ScriptedEngine
from stages.files.problems import all_problems, read_problems
from stages.files.reading import BadLines
from stages.joins.earlier_paths import EarlierPaths
from stages.joins.results import read_results
from stages.joins.saved_answers import SavedAnswers
from stages.training.pair_rows import read_pairs
from stages.training.sft_rows import read_lines
from stages.training.step_rows import read_examples

Row = dict[str, Any]


def problem(n: int) -> Row:
    path = {"id": f"p{n}#0", "source": "eval", "text": "The answer is 2", "answer": "2", "correct": True}
    return {"id": f"p{n}", "task": "math", "question": f"{n}?", "answer": "2", "paths": [path]}


def code(n: int) -> Row:
    return {"id": f"p{n}", "prompt": "Write f.", "tests": ["assert f(1) == 2"], "entry_point": "f"}


def mbpp(n: int) -> Row:
    return {"task_id": 601 + n, "text": "t", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}


def humaneval(n: int) -> Row:
    check = "def check(candidate):\n    assert candidate(1) == 1\n"
    row = {"task_id": f"HumanEval/{n}", "prompt": "def f(x):\n", "entry_point": "f", "test": check}
    return {**row, "canonical_solution": "    return x\n"}


def shepherd(n: int) -> Row:
    steps = f"{n}+1? Step 1: {n}+1={n + 1}"
    return {"task": "GSM8K", "input": f"{steps} \u043a\u0438", "label": f"{steps} +"}


def bench(n: int) -> Row:
    return {"id": f"x-{n}", "problem": "2+3?", "steps": ["It is 6"], "label": 0, "final_answer_correct": False}


def counted(take: Callable[[BadLines], Iterator[Any]]) -> tuple[int, list[str]]:
    said: list[str] = []
    bad = BadLines(tell=lambda fault: said.append(fault.message))
    return sum(1 for _ in take(bad)), said


def whole(read: tuple[list[Any], list[DataError]]) -> tuple[int, list[str]]:
    return len(read[0]), [fault.message for fault in read[1]]


def earlier_paths(source: str) -> set[str]:
    pool = EarlierPaths(Path(source))
    pool.open()
    return pool.ids()


def samples(source: str, bad: BadLines) -> Iterator[str]:
    yield from SavedAnswers(source, bad).ids()


@dataclass(frozen=True)
class Kind:
    """A kind of file: its n-th good row, how it is read (good rows, messages), and which field a bad row lacks."""

    row: Callable[[int], Row]
    read: Callable[[str], tuple[int, list[str]]]
    field: str
    unique: bool = True
    may_be_empty: bool = True


KINDS = {
    "problems": Kind(problem, lambda s: counted(lambda bad: read_problems(s, bad, check=check_problem)), "id: "),
    "training problems": Kind(
        problem, lambda s: whole(all_problems(s, check=check_problem)), "id: ", may_be_empty=False
    ),
    "stepwise": Kind(
        lambda n: {"prompt": f"{n}?", "completions": ["a"], "labels": [True]},
        lambda s: whole(read_examples(s)), "id: ", unique=False, may_be_empty=False),
    "labelled problems": Kind(problem, lambda s: whole(read_examples(s)), "id: ", may_be_empty=False),
    "pairs": Kind(
        lambda n: {"prompt": f"{n}?", "chosen": "a", "rejected": "b"}, lambda s: whole(read_pairs(s)), "chosen: ",
        unique=False, may_be_empty=False),
    "saved answers": Kind(
        lambda n: {"task_id": f"HumanEval/{n}", "completion": "x"},
        lambda s: counted(lambda bad: samples(s, bad)), "task_id: ", unique=False, may_be_empty=False),
    "math": Kind(
        lambda n: {"id": f"p{n}", "question": "1+1?", "answer": 2},
        lambda s: counted(lambda bad: data.math_problems(s, bad)), "answer: ",
    ),
    "code": Kind(code, lambda s: counted(lambda bad: data.code_problems(s, StepRule(), bad)), "prompt: "),
    "gsm8k": Kind(
        lambda n: {"question": "1+1?", "answer": "1+1=2\n#### 2"},
        lambda s: counted(lambda bad: data.gsm8k_problems(s, "train", "keep", bad)), "question: ", unique=False,
    ),
    "mbpp": Kind(
        mbpp, lambda s: counted(lambda bad: data.mbpp_problems(s, "train", True, StepRule(), bad)), "task_id: "
    ),
    "humaneval": Kind(
        humaneval, lambda s: counted(lambda bad: data.humaneval_problems(s, StepRule(), bad)), "task_id: "
    ),
    "math-shepherd": Kind(
        shepherd, lambda s: counted(lambda bad: data.math_shepherd_problems(s, bad)), "input: ", unique=False
    ),
    "step labels": Kind(
        lambda n: {"question": f"{n}?", "process": "Step 1: 2 \u043a\u0438", "label": ["+"]},
        lambda s: counted(lambda bad: data.step_label_problems(s, bad)), "no form of step labels", unique=False,
    ),
    "demonstrations": Kind(
        lambda n: {"prompt": f"{n}?", "completion": "2"}, lambda s: whole(read_lines(s)), "id: ", unique=False,
        may_be_empty=False,
    ),
    "processbench": Kind(bench, lambda s: counted(lambda bad: data.processbench_problems(s, bad)), "id: "),
}  # fmt: skip
BAD = {
    b"{oops": "not a line of JSON",
    b'"text"': "a line must be a JSON object, this one is str",
    b'{"x": NaN}': "not a line of JSON (NaN is not JSON)",
    b'{"x": "\xff"}': "is not UTF-8 text",
    b'{"x": "\\ud800"}': "x: holds half a surrogate pair",
    b'{"x": ' + b"[" * 300 + b"]" * 300 + b"}": "nested more than 200 levels deep",
    b'{"x": ' + b"[" * 200000: "nested too deeply",
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def lines_of(kind: Kind, n: int) -> list[bytes]:
    return [json.dumps(kind.row(i), ensure_ascii=False).encode() for i in range(n)]


@each_kind
def test_marks_windows_line_ends_and_blank_lines_are_taken_as_they_are_meant(kind: Kind, tmp_path: Path) -> None:
    text = b"\xef\xbb\xbf" + b"\r\n \t\r\n\r\n".join(lines_of(kind, 3))
    for name, content in (("in.jsonl", text), ("in.jsonl.gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(content)
        assert kind.read(str(tmp_path / name)) == (3, [])


@each_kind
def test_every_bad_line_is_told_by_file_and_line_and_the_others_are_read(kind: Kind, tmp_path: Path) -> None:
    good = lines_of(kind, len(BAD) + 2)
    twice = good[0] if kind.unique else b'{"wrong": 1}'
    lines = [part for bad, one in zip([*BAD, b'{"wrong": 1}', twice], good, strict=True) for part in (one, b"", bad)]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(lines))
    read, said = kind.read(str(path))
    assert read == len(good)
    wanted = [*BAD.values(), kind.field, " is already used in line 1" if kind.unique else kind.field]
    assert len(said) == len(wanted), said
    for i, (message, what) in enumerate(zip(said, wanted, strict=True)):
        assert message.startswith(f"{path}:{3 * i + 3}: ")
        assert what in message
        message.encode()


@each_kind
def test_torn_data_are_told_where_they_are_torn(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines_of(kind, 40)))[:-9])
    with pytest.raises(DataError, match=r"in\.jsonl\.gz:\d+: the gzip data are truncated"):
        kind.read(str(path))


@each_kind
@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_nothing_is_read_from_an_empty_file(kind: Kind, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    if kind.may_be_empty:
        assert kind.read(str(tmp_path / "in.jsonl")) == (0, [])
    else:
        with pytest.raises(DataError, match=r"in\.jsonl holds no line$"):
            kind.read(str(tmp_path / "in.jsonl"))


@pytest.mark.parametrize("name", ["mbpp", "processbench"])
def test_a_file_may_be_one_list_and_its_items_are_told_by_number(name: str, tmp_path: Path) -> None:
    kind, path = KINDS[name], tmp_path / "in.json"
    rows = [kind.row(0), {"wrong": 1}, 7, kind.row(1), kind.row(0)]
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows, indent=2).encode())
    read, said = kind.read(str(path))
    assert read == 2
    starts = [f"item 2: {kind.field}", "item 3: must be a JSON object, this one is int", "item 5: id: "]
    assert [message.startswith(f"{path}: {start}") for message, start in zip(said, starts, strict=True)] == [True] * 3
    assert said[2].endswith(" is already used in item 1")
    path.write_text(json.dumps(rows)[:-5])
    with pytest.raises(DataError, match=r"in\.json: begins like a JSON list but is not one"):
        kind.read(str(path))


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize(
    ("read", "row"),
    [
        (earlier_paths, problem),
        (read_results, problem),
        (ScriptedEngine, lambda n: {"id": f"p{n}", "completions": ["x"]}),
    ],
    ids=["earlier paths", "results", "script"],
)
def test_what_must_be_whole_stops_at_the_first_bad_line(
    read: Callable[[str], object], row: Callable[[int], Row], bad: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    good = [json.dumps(row(n)).encode() for n in range(2)]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(good))
    read(str(path))
    path.write_bytes(b"\n".join([good[0], b"", bad, good[1]]))
    with pytest.raises(DataError) as caught:
        read(str(path))
    assert caught.value.message.startswith(f"{path}:3: ")
    assert BAD[bad] in caught.value.message


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 5), st.binary(max_size=12)), max_size=12), st.booleans())
def test_whatever_stands_between_good_lines_they_are_all_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[int | bytes], packed: bool
) -> None:
    kind, good = KINDS["pairs"], 0
    lines = []
    for part in parts:
        if isinstance(part, int):
            good += 1
            lines.append(json.dumps(kind.row(part)).encode())
        else:
            lines.append(part.replace(b"\n", b""))
    path = tmp_path_factory.mktemp("any") / ("in.jsonl.gz" if packed else "in.jsonl")
    text = b"\n".join(lines)
    path.write_bytes(gzip.compress(text) if packed else text)
    try:
        read, said = kind.read(str(path))
    except DataError:
        assert good == 0
        return
    assert read == good
    assert read + len(said) + sum(not line.removeprefix(b"\xef\xbb\xbf").strip() for line in lines) >= len(lines)
