"""What supervised fine-tuning reads, and the rows that are made of conversations and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evals.records import Problem
from stages.models.templates import make_prompter
from stages.settings.training import OwnPaths
from stages.training.sft_rows import Line, read_lines, sft_rows
from tests.lines import labelled_problem
from tests.models import build_tokenizer

ASK = {"role": "user", "content": "How many?"}
TALK = [ASK, {"role": "assistant", "content": "72"}, ASK, {"role": "assistant", "content": "8"}]


def read(tmp_path: Path, *rows: Any) -> tuple[list[Line], list[str]]:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines, faults = read_lines(str(tmp_path / "in.jsonl"))
    return lines, [str(fault).removeprefix(f"{tmp_path}/") for fault in faults]


def test_a_row_is_made_per_turn_and_the_loss_is_on_that_turn(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(chat=True)
    prompter = make_prompter(tokenizer, {"bare": "{question}"}, "chat")
    lines, faults = read(tmp_path, {"messages": TALK}, {"prompt": "How many?\n", "completion": "72"})
    assert faults == []
    rows, counts = sft_rows(lines, prompter, 500)
    assert counts == {"rows": 3}
    shown = [tokenizer.decode(row["input_ids"]) for row in rows]
    learnt = [tokenizer.decode([label for label in row["labels"] if label >= 0]) for row in rows]
    begun = "<bos><|user|>\nHow many?\n<|assistant|>\n"
    assert shown == [
        f"{begun}72<eos>",
        f"{begun}72\n<|user|>\nHow many?\n<|assistant|>\n8<eos>",
        "<bos>How many?\n72<eos>",
    ]
    assert learnt == ["72<eos>", "8<eos>", "72<eos>"]
    (whole, _), _ = sft_rows(lines, prompter, 500, "all")
    assert whole["labels"] == whole["input_ids"] == rows[1]["input_ids"], "no turn is learnt twice"


def test_demonstrations_are_counted_where_paths_are_to_be_learnt(tmp_path: Path) -> None:
    prompter = make_prompter(build_tokenizer(), {"bare": "{question}"})
    lines, _ = read(tmp_path, {"prompt": "q", "completion": "c"}, json.loads(labelled_problem(1).to_json()))
    _, counts = sft_rows(lines, prompter, 500, own=OwnPaths())
    assert counts["left out: demonstrations have no paths"] == 1
    assert counts["rows"] == counts["gold solutions"] + counts["paths"]


def test_problems_gsm8ks_rows_and_demonstrations_are_read_and_others_named(tmp_path: Path) -> None:
    lines, faults = read(
        tmp_path,
        json.loads(labelled_problem(1).to_json()),
        {"question": "1+1?", "answer": "1+1=2\n#### 2"},
        {"messages": TALK},
        {"chosen": "a", "rejected": "b"},
        {"text": "once upon a time"},
        {"id": "a", "task": "math", "question": "q"},
    )
    assert [line.id if isinstance(line, Problem) else len(line.turns) for line in lines] == [
        "p1",
        "gsm8k/in.jsonl/1",
        2,
    ]
    starts = (
        "in.jsonl:4: this looks like a pair",
        "in.jsonl:5: this looks like plain text",
        "in.jsonl:6: answer: missing",
    )
    assert len(faults) == len(starts)
    assert all(fault.startswith(start) for fault, start in zip(faults, starts, strict=True)), faults
