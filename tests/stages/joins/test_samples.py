"""The samples of other programs: which problem each answers, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError
from stages.files.reading import BadLines
from stages.files.records import Place
from stages.joins.samples import Names, is_sample, sample
from stages.joins.saved_answers import SavedAnswers, answers_in

HERE = Place("s.jsonl:1", 0, 0)
NAMES = Names(
    [
        ("HumanEval/0", "def a", None),
        ("HumanEval/53", "def add", None),
        ("mbpp/test/11", "Write  x.", None),
        ("gsm8k/test/5", "How many?", "18"),
    ]
)


@pytest.mark.parametrize(
    ("row", "identity", "texts"),
    [
        ({"task_id": "HumanEval/53", "completion": "    x"}, "HumanEval/53", ["    x"]),
        ({"task_id": "humaneval/53", "completion": "x"}, "HumanEval/53", ["x"]),
        ({"task_id": "HumanEval/53", "solution": "x", "_identifier": "m"}, "HumanEval/53", ["x"]),
        ({"task_id": "HumanEval/53", "completion": ["x", "y"]}, "HumanEval/53", ["x", "y"]),
        *(({"task_id": name, "solution": "x"}, "mbpp/test/11", ["x"])
          for name in ("MBPP/11", "Mbpp/11", "mbpp/11", 11, "11", "mbpp/test/11")),
        ({"id": "gsm8k/test/5", "response": "18"}, "gsm8k/test/5", ["18"]),
        ({"question_id": 5, "output": "18"}, "gsm8k/test/5", ["18"]),
        ({"doc_id": 5, "doc": {"question": "q"}, "resps": [["18"]], "filter": "none"}, "gsm8k/test/5", ["18"]),
        ({"doc_id": 0, "doc": {"question": "How  many?"}, "resps": [["18", "19"]]}, "gsm8k/test/5", ["18", "19"]),
        ({"doc_id": 9, "doc": {"task_id": 11, "text": "Write x."}, "resps": [["x"]]}, "mbpp/test/11", ["x"]),
        ({"doc_id": 1, "doc": {"task_id": "HumanEval/0"}, "resps": [["x"], ["y"]]}, "HumanEval/0", ["x", "y"]),
        ({"task_id": "test/0", "completion": "x"}, None, ["x"]),
        ({"task_id": "gsm8k/train/5", "completion": "x"}, None, ["x"]),
    ],
)  # fmt: skip
def test_a_sample_finds_its_problem(row: dict[str, Any], identity: str | None, texts: list[str]) -> None:
    assert is_sample(row)
    found = sample(row, HERE)
    assert (NAMES.find(found), list(found.texts)) == (identity, texts)


def test_a_name_that_fits_two_problems_is_nobodys() -> None:
    pairs = [("mbpp/test/11", "a"), ("HumanEval/11", "b"), ("mmlu/test/x/3", "c"), ("mmlu/test/y/3", "c")]
    names = Names((identity, question, None) for identity, question in pairs)
    said = {
        name: names.find(sample({"task_id": name, "completion": ""}, HERE)) for name in (11, "MBPP/11", "mmlu/3", 3)
    }
    assert said == {11: None, "MBPP/11": "mbpp/test/11", "mmlu/3": None, 3: None}
    log = {"doc_id": 3, "doc": {"question": "c"}, "resps": [["x"]]}
    assert names.find(sample(log, HERE)) is None, "nor is a question that is asked twice"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task_id": "a", "completion": None}, "completion: must be a text"),
        ({"task_id": "a", "solution": 3}, "solution: must be a text"),
        ({"task_id": "a", "completion": []}, "completion: must be a text"),
        ({"task_id": "a"}, "completion: must be a text"),
        ({"task_id": None, "completion": "x"}, "task_id: must be a text or a whole number"),
        ({"task_id": True, "completion": "x"}, "task_id: must be"),
        ({"completion": "x"}, "task_id: must be"),
        ({"doc_id": 0, "doc": {}, "resps": [[[-1.5, False]]]}, "resps: must be texts"),
        ({"doc_id": 0, "doc": {}, "resps": []}, "resps: must be texts"),
        ({"doc": {}, "resps": [["x"]]}, "doc_id: must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_sample_is_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        sample(row, HERE)
    assert caught.value.message.startswith(message)


def test_a_line_of_our_own_is_no_sample() -> None:
    assert not is_sample({"id": "a", "task": "math", "question": "?", "answer": "1", "solution": ["x"]})
    assert not is_sample({"id": "a", "paths": [], "completion": "x"})
    assert not is_sample({})


def saved(
    tmp_path: Path, *rows: dict[str, Any], problems: tuple[str, ...] = ("gsm8k/test/0", "gsm8k/test/1")
) -> SavedAnswers:
    source, lines = tmp_path / "samples.jsonl", tmp_path / "problems.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines.write_text("".join(json.dumps({"id": name, "question": f"q {name}"}) + "\n" for name in problems))
    found = answers_in(source, BadLines(), lines)
    assert isinstance(found, SavedAnswers)
    return found


def test_the_filters_of_a_log_repeat_one_answer(tmp_path: Path) -> None:
    rows = [
        {"doc_id": n, "doc": {}, "resps": [[f"The answer is {n}"]], "filter": name}
        for name in ("strict-match", "flexible-extract") for n in (0, 1)
    ]  # fmt: skip
    found = saved(tmp_path, *rows)
    assert found.ids() == {"gsm8k/test/0", "gsm8k/test/1"}
    assert [found._texts[name] for name in sorted(found.ids())] == [["The answer is 0"], ["The answer is 1"]]


def test_samples_of_unknown_problems_are_named(tmp_path: Path) -> None:
    rows = [{"task_id": f"test/{n}", "completion": "x"} for n in range(7)]
    with pytest.raises(DataError, match=r"samples\.jsonl: no problem has the id 'test/0', .* and 2 more") as caught:
        saved(tmp_path, *rows).open()
    assert "The 2 problems are gsm8k/test/0 to gsm8k/test/1" in caught.value.advice
    assert "sipf eval PROBLEMS --from" in caught.value.advice
    assert saved(tmp_path, *rows, {"task_id": 1, "completion": "x"}).ids() >= {"gsm8k/test/1", "test/6"}, (
        "some are known"
    )


def test_a_number_is_no_name_where_the_right_answers_differ_or_nobody_chose_the_problems() -> None:
    log = {"doc_id": 5, "doc": {}, "resps": [["x"]]}
    for target, identity in (("6*3\n#### 18", "gsm8k/test/5"), ("18.0", "gsm8k/test/5"), ("#### 19", None)):
        assert NAMES.find(sample({**log, "target": target}, HERE)) == identity
    alone = Names([("HumanEval/5", "def a", None)], numbered=False)
    assert alone.find(sample(log, HERE)) is None
    assert alone.find(sample({"task_id": "humaneval/5", "completion": ""}, HERE)) == "HumanEval/5"
