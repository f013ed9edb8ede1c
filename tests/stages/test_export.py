"""export in the forms of other tools: what is written reads back, and what a form cannot hold is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from stages.data import step_label_problems
from stages.export import export_pairs, export_sft, export_stepwise
from stages.files.reading import BadLines
from stages.models.templates import exported_prompt
from stages.settings.export import PairFormSettings, SftFormSettings, StepwiseSettings
from stages.training.pair_rows import read_pairs
from stages.training.sft_rows import read_lines
from stages.training.step_rows import Stepwise, read_examples
from tests.lines import labelled_problem, pair


def source(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path / "in.jsonl")


def as_row(problem: Problem) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(problem.to_json())
    return row


def exported(
    tmp_path: Path, export: Callable[..., dict[str, Any]], rows: list[dict[str, Any]], settings: Any, name: str
) -> dict[str, Any]:
    return export(source(tmp_path, rows), str(tmp_path / name), BadLines(), settings)


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "jsonl.gz"])
@pytest.mark.parametrize("form", ["openrlhf", "math-shepherd", "openr", "rlhflow", "prm800k"])
def test_step_labels_in_a_form_are_read_again_as_they_were(tmp_path: Path, form: Any, ending: str) -> None:
    problem = labelled_problem(1)
    counts = exported(tmp_path, export_stepwise, [as_row(problem)], StepwiseSettings(form=form), f"out.{ending}")
    assert (counts["paths"], counts["steps"], counts["bad lines"]) == (2, 3, 0)
    again = list(step_label_problems(str(tmp_path / f"out.{ending}"), BadLines(strict=True)))
    assert [line.question for line in again] == [problem.question] * 2
    labels = [[label.hard for label in line.paths[0].labels or []] for line in again]
    assert labels == [[label.hard for label in path.labels or []] for path in problem.paths]
    steps = [[step.partition(": ")[2] or step for step in line.paths[0].steps] for line in again]
    assert steps == [path.steps for path in problem.paths]


def test_stepwise_tables_keep_shares_and_unknown_labels(tmp_path: Path) -> None:
    row = as_row(labelled_problem(1))
    row["paths"][1]["labels"][1] = {"k": 8, "draws": 1, "hits": 0, "settled": False}
    exported(tmp_path, export_stepwise, [row], StepwiseSettings(), "out.parquet")
    examples, faults = read_examples(str(tmp_path / "out.parquet"))
    assert faults == []
    assert [line.labels for line in examples if isinstance(line, Stepwise)] == [[True], [True, None]]
    counts = exported(tmp_path, export_stepwise, [row], StepwiseSettings(form="openr"), "openr.jsonl")
    assert counts["steps left out: from the first unknown one on"] == 1
    assert counts["steps"] == 2


def test_what_a_form_cannot_hold_is_counted_or_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds \\+ and -, and no shares"):
        StepwiseSettings(labels="soft", form="openr")
    program = as_row(labelled_problem(1))
    program["paths"][1] |= {"text": "a\n  b", "steps": ["a", "  b"], "split": "given"}
    counts = exported(tmp_path, export_stepwise, [program], StepwiseSettings(form="rlhflow"), "out.jsonl")
    assert counts["left out: a step begins or ends with white space"] == 1
    assert counts["paths"] == 1


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", ["trl", "openrlhf", "ms-swift"])
def test_pairs_of_every_form_are_written_and_read_again(tmp_path: Path, form: Any, ending: str) -> None:
    ask = [{"role": "user", "content": "1+1?"}]
    rows = [
        {"messages": [*ask, {"role": "assistant", "content": "2"}], "rejected_response": "3"},
        {"prompt": "q"},
        {"prompt": ask, "chosen": "4", "rejected": "5", "prefix": "so ", "chosen_finish": "length"},
    ]
    counts = exported(tmp_path, export_pairs, rows, PairFormSettings(form=form), f"out.{ending}")
    assert counts == {
        "pairs": 2, "bad lines": 1, "prefixes in both sides": 1, "sides that were cut off": 1,
    }  # fmt: skip
    again, faults = read_pairs(str(tmp_path / f"out.{ending}"))
    assert faults == []
    assert again == [
        {"prompt": ask, "chosen": "2", "rejected": "3"},
        {"prompt": ask, "chosen": "so 4", "rejected": "so 5"},
    ]


def test_the_prompt_of_a_problems_pair_is_built_as_asked(tmp_path: Path) -> None:
    question = str(pair(1)["question"])
    for settings, prompt in (
        (PairFormSettings(), exported_prompt(labelled_problem(1), "auto")),
        (PairFormSettings(template="chat"), [{"role": "user", "content": question}]),
        (PairFormSettings(form="ms-swift"), [{"role": "user", "content": question}]),
    ):
        name = f"{settings.form}-{settings.template}.jsonl"
        exported(tmp_path, export_pairs, [pair(1)], settings, name)
        assert read_pairs(str(tmp_path / name))[0][0]["prompt"] == prompt
    forked = {**pair(1), "prompt": "Q: ", "prefix": "1+1=2\n"}
    counts = exported(tmp_path, export_pairs, [forked], PairFormSettings(), "fork.jsonl")
    assert counts["prefixes in the prompt"] == 1
    assert read_pairs(str(tmp_path / "fork.jsonl"))[0][0]["prompt"] == "Q: 1+1=2\n"


@pytest.mark.parametrize("form", ["trl", "openrlhf", "ms-swift"])
def test_solutions_and_demonstrations_are_written_and_read_again(tmp_path: Path, form: Any) -> None:
    problem = labelled_problem(1)
    talk = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "abcd", strict=True)]
    unsolved = {**as_row(labelled_problem(2)), "solution": None}
    rows = [as_row(problem), unsolved, {"messages": talk}, {"question": "1+1?", "answer": "1+1=2\n#### 2"}]
    counts = exported(tmp_path, export_sft, rows, SftFormSettings(form=form, template="chat"), "out.parquet")
    assert counts == {"rows": 4, "left out: no solution": 1, "bad lines": 0}
    again, faults = read_lines(str(tmp_path / "out.parquet"))
    assert faults == []
    turns = [line.turns[-1] for line in again if not isinstance(line, Problem)]
    assert [text for _, text in turns] == [
        f"{(problem.solution or [''])[0]}\nThe answer is {problem.answer}", "b", "d", "1+1=2\nThe answer is 2",
    ]  # fmt: skip
    assert turns[2][0] == talk[:3], "what stands before a turn is its prompt"
