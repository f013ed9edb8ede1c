"""`sipf data` writes problems as lines, whole file or nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evals.records import Problem
from tests.data import need

ROW = {"question": "Two and three?", "answer": "First add.\n2+3=<<2+3=5>>5\n#### 5"}

SHEPHERD = {"task": "GSM8K", "input": "1+1? Step 1: 2 \u043a\u0438", "label": "1+1? Step 1: 2 +"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("world", ["chain", "functions"])
def test_problems_of_an_embedded_world_depend_on_seed_and_split_alone(sipf: Any, tmp_path: Path, world: str) -> None:
    for name, n in (("a", "20"), ("b", "20"), ("c", "5")):
        line = ("data", world, "--split", "train", "-n", n, "--seed", "3", "-o", f"{name}.jsonl")
        result = sipf(*line, cold=True)
        assert result.returncode == 0, result.stderr
    a, b, c = (lines(tmp_path / f"{name}.jsonl") for name in "abc")
    assert a == b
    assert a[:5] == c
    assert len({row["question"] for row in a}) == 20
    assert Problem.from_row(a[0]).task == world


def test_lines_on_stdout_come_alone_and_the_summary_goes_to_stderr(sipf: Any) -> None:
    result = sipf("data", "chain", "--split", "ood", "-n", "3", "-o", "-", "--json")
    assert result.returncode == 0, result.stderr
    assert len([json.loads(line) for line in result.stdout.splitlines()]) == 3
    assert json.loads(result.stderr)["problems"] == 3


def test_json_goes_to_stdout_when_the_lines_go_to_a_file(sipf: Any) -> None:
    result = sipf("data", "chain", "--split", "test", "-n", "2", "-o", "t.jsonl", "--json")
    assert json.loads(result.stdout)["problems"] == 2
    assert result.stderr == ""


def test_an_output_that_is_there_is_only_replaced_when_asked(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("mine\n", encoding="utf-8")
    arguments = ["data", "chain", "--split", "test", "-n", "2", "-o", "t.jsonl"]
    assert sipf(*arguments).returncode == 2
    assert (tmp_path / "t.jsonl").read_text(encoding="utf-8") == "mine\n"
    assert sipf(*arguments, "--overwrite").returncode == 0
    assert len(lines(tmp_path / "t.jsonl")) == 2


def test_the_same_command_again_finds_its_work_done_and_another_is_refused(sipf: Any) -> None:
    arguments = ["data", "chain", "--split", "test", "-o", "t.jsonl", "--json", "-n"]
    assert sipf(*arguments, "2").returncode == 0
    assert json.loads(sipf(*arguments, "2").stdout) == {
        "output": "t.jsonl",
        "already complete": True,
        "problems": 2,
        "without a solution": 0,
    }
    other = sipf(*arguments, "3")
    assert other.returncode == 2
    assert "n was 2 and is now 3" in other.stderr


@pytest.mark.parametrize("packed", [False, True])
def test_gsm8k_lines_become_problems_with_steps(sipf: Any, tmp_path: Path, packed: bool) -> None:
    text = "\n".join([json.dumps(ROW)] * 3) + "\n"
    path = tmp_path / ("train.jsonl.gz" if packed else "train.jsonl")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    result = sipf("data", "gsm8k", "--path", path.name, "--split", "train", "-n", "2", "-o", "p.jsonl")
    assert result.returncode == 0, result.stderr
    first, second = lines(tmp_path / "p.jsonl")
    assert (first["id"], second["id"]) == ("gsm8k/train/0", "gsm8k/train/1")
    assert first["answer"] == "5"
    assert first["solution"] == ["First add.", "2+3=<<2+3=5>>5"]


def test_annotations_can_be_stripped(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps(ROW), encoding="utf-8")
    arguments = ["--path", "train.jsonl", "--split", "train", "--annotations", "strip"]
    assert sipf("data", "gsm8k", *arguments, "-o", "p.jsonl").returncode == 0
    assert lines(tmp_path / "p.jsonl")[0]["solution"] == ["First add.", "2+3=5"]


def test_the_hub_that_cannot_be_reached_is_told_in_one_line(sipf: Any, tmp_path: Path) -> None:
    cache = {"HF_HOME": str(tmp_path / "empty"), "HF_DATASETS_OFFLINE": "1"}
    result = sipf("data", "gsm8k", "--split", "test", "-o", "p.jsonl", env=cache)
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    assert "--path" in result.stderr
    assert not (tmp_path / "p.jsonl").exists()


def test_a_file_of_ones_own_keeps_its_keys(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(
        '{"question": "Two and three?", "answer": 5, "note": "easy"}\n', encoding="utf-8"
    )
    assert sipf("data", "math", "--path", "mine.jsonl", "-o", "p.jsonl").returncode == 0
    (row,) = lines(tmp_path / "p.jsonl")
    assert (row["id"], row["task"], row["answer"], row["note"]) == ("mine/0", "math", "5", "easy")


GOOD = '{"question": "a", "answer": 1}'
BAD_FILES = [
    ("math", [GOOD, '{"question": "b"}', GOOD], "answer: must be a text or a number"),
    ("math", ['{"question": "a", "answer": 1, "id": "x"}'] * 2 + [GOOD], "id: 'x' is already used in line 1"),
    ("math", [GOOD, "[1]", GOOD], "a line must be a JSON object, this one is list"),
    ("gsm8k", [json.dumps(ROW), '{"question": "b", "answer": "5"}', json.dumps(ROW)], "answer: has no line `#### N`"),
    ("math-shepherd", [json.dumps(SHEPHERD), '{"task": "MATH"}', json.dumps(SHEPHERD)], "input: must be a text"),
]


@pytest.mark.parametrize(("kind", "text", "said"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_bad_row_is_told_by_file_and_line_skipped_and_counted(
    sipf: Any, tmp_path: Path, kind: str, text: list[str], said: str
) -> None:
    (tmp_path / "mine.jsonl").write_text("\n".join(text) + "\n", encoding="utf-8")
    split = ("--split", "train") if kind == "gsm8k" else ()
    arguments = ("data", kind, "--path", "mine.jsonl", *split, "-o", "p.jsonl", "--json")
    result = sipf(*arguments)
    assert result.returncode == 3
    assert result.stderr.startswith(f"sipf: bad line skipped: mine.jsonl:2: {said}")
    assert (json.loads(result.stdout)["problems"], json.loads(result.stdout)["bad lines"]) == (2, 1)
    ids = [row["id"] for row in lines(tmp_path / "p.jsonl")]
    assert ids[1].endswith("/2"), "a row keeps its number, whatever is wrong with those before it"
    manifest = json.loads((tmp_path / "p.jsonl.manifest.json").read_text())
    assert manifest["counts"]["bad lines"] == 1
    again = sipf(*arguments)
    assert (again.returncode, json.loads(again.stdout)["already complete"]) == (3, True)
    strict = sipf(*arguments[:-2], "q.jsonl", "--strict")
    assert strict.returncode == 3
    assert f"mine.jsonl:2: {said}" in strict.stderr
    assert not (tmp_path / "q.jsonl").exists()


def test_many_bad_rows_are_counted_and_the_first_ones_named(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{\n" * 40 + GOOD, encoding="utf-8")
    result = sipf("data", "math", "--path", "mine.jsonl", "-o", "p.jsonl", "--json")
    assert (result.returncode, json.loads(result.stdout)["bad lines"]) == (3, 40)
    assert len(result.stderr.splitlines()) == 21
    assert "mine.jsonl:20: " in result.stderr
    assert "mine.jsonl:21: " not in result.stderr


@pytest.mark.parametrize(("text", "said"), [("\n\n", "no problem"), ("not json\n", "JSON"), ("", "no problem")])
def test_a_file_without_a_good_row_leaves_no_output_behind(sipf: Any, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.jsonl").write_text(text, encoding="utf-8")
    result = sipf("data", "math", "--path", "mine.jsonl", "-o", "p.jsonl")
    assert result.returncode == 3
    assert said in result.stderr
    assert not (tmp_path / "p.jsonl").exists()


def test_a_bad_mmlu_row_is_told_by_its_line(sipf: Any, tmp_path: Path) -> None:
    for split in ("dev", "test"):
        (tmp_path / "mmlu" / split).mkdir(parents=True)
        rows = ['"Two\nand three?",4,5,6,7,B', "broken,1,2", "Which is prime?,4,6,7,8,C"][
            :: 1 if split == "test" else 2
        ]
        (tmp_path / "mmlu" / split / f"a_{split}.csv").write_text("\n".join(rows) + "\n")
    result = sipf("data", "mmlu", "--path", "mmlu", "--split", "test", "--subjects", "a", "-o", "p.jsonl")
    assert result.returncode == 3
    assert "mmlu/test/a_test.csv:3: row: 3 fields instead of question" in result.stderr
    assert [row["id"] for row in lines(tmp_path / "p.jsonl")] == ["mmlu/test/a/0", "mmlu/test/a/2"]


def test_a_bad_worked_example_is_told_by_its_line_and_the_next_ones_are_shown(sipf: Any, tmp_path: Path) -> None:
    for split, rows in (("dev", ["broken", "Which is prime?,4,6,7,8,C"]), ("test", ["Two and three?,4,5,6,7,B"])):
        (tmp_path / "mmlu" / split).mkdir(parents=True)
        (tmp_path / "mmlu" / split / f"a_{split}.csv").write_text("\n".join(rows) + "\n")
    result = sipf("data", "mmlu", "--path", "mmlu", "--split", "test", "--subjects", "a", "-o", "p.jsonl")
    assert result.returncode == 3
    assert "mmlu/dev/a_dev.csv:1: row: 1 fields instead of question" in result.stderr
    (row,) = lines(tmp_path / "p.jsonl")
    assert [shot["id"] for shot in row["shots"]] == ["mmlu/dev/a/1"]


def test_a_row_of_another_command_is_named_with_that_command(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    result = sipf("data", "math", "--path", "x.jsonl", "-o", "p.jsonl")
    assert result.returncode == 3
    assert "x.jsonl:1: this looks like a pair" in result.stderr
    assert "Use sipf orpo or sipf dpo." in result.stderr


def test_a_broken_archive_is_bad_data(sipf: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl.gz").write_bytes(gzip.compress(b'{"question": "a", "answer": 1}\n')[:-12])
    assert sipf("data", "math", "--path", "mine.jsonl.gz", "-o", "p.jsonl").returncode == 3


def test_real_gsm8k_lines(sipf: Any, tmp_path: Path) -> None:
    path = need("gsm8k/train.jsonl")
    result = sipf("data", "gsm8k", "--path", str(path), "--split", "train", "-o", "p.jsonl", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["problems"] == len(path.read_bytes().splitlines())
    assert all(row["solution"] and row["answer"] for row in lines(tmp_path / "p.jsonl"))
