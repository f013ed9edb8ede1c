"""What is fed: every kind of file that a command reads, with what the command does to a good line before it works."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

from evals.errors import SipfError
from evals.records import Problem
from evals.tasks import check_problem, task_of
from evals.tasks.base import step_ends
from evals.worlds import chain, functions
from sipf_cli.configuration import checked, read_config, refuse_unknown
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.joins.results import read_results
from stages.joins.saved_answers import SavedAnswers, answers_in
from stages.models.loading import load_tokenizer
from stages.models.templates import Prompters
from stages.settings.labels import LabelKind
from stages.training.pair_rows import pair_rows, parsed_pairs, read_pairs
from stages.training.sft_rows import read_lines, sft_rows
from stages.training.step_rows import read_examples, step_rows
from tests.fuzz.mutations import mutated, mutated_text
from tests.lines import labelled_problem, pair

LINES = 20
"""Changed lines in a file, behind a good one."""
USER = {"role": "user", "content": "How many?"}


@dataclass(frozen=True)
class Target:
    """A kind of file: its valid rows, and what reads it."""

    name: str
    rows: Callable[[], list[dict[str, Any]]]
    read: Callable[[Path], object]
    """Raises a `SipfError`, or a `typer.BadParameter`, or nothing."""

    def feed(self, numbers: random.Random, folder: Path) -> int:
        """Read one changed file; how many inputs it held.

        Raises:
            Exception: whatever is a fault.
        """
        rows = self.rows()
        file = folder / f"{self.name}.jsonl"
        good = json.dumps(numbers.choice(rows)).encode()
        made = [mutated(numbers, numbers.choice(rows)) for _ in range(LINES)]
        file.write_bytes(b"\n".join([*([good] if numbers.random() < 0.8 else []), *made, b""]))
        with suppress(SipfError):
            self.read(file)
        return LINES


@cache
def _prompters() -> Prompters:
    return Prompters(load_tokenizer("chain-base"), "auto", None, {})


@cache
def _problems() -> list[dict[str, Any]]:
    made = [labelled_problem(i) for i in range(3)]
    made += [*chain.problems("train", 3, 1), *functions.problems("train", 3, 1)]
    return [_row(problem) for problem in made]


def _row(problem: Problem) -> dict[str, Any]:
    row: dict[str, Any] = problem.model_dump(exclude_none=True, mode="json")
    return row


@cache
def _scored() -> list[dict[str, Any]]:
    rows = []
    for i in range(3):
        row = _row(labelled_problem(i))
        for path in row["paths"]:
            steps = [0.5] * len(path["steps"])
            path["scores"] = {"prm": {"steps": steps, "mean": 0.5, "min": 0.5, "product": 0.5, "last": 0.5}}
            path["times"] = 2
        rows.append(row)
    return rows


@cache
def _results() -> list[dict[str, Any]]:
    rows = []
    for i in range(3):
        row = _row(labelled_problem(i))
        for path in row["paths"]:
            path |= {"split": "eval", "source": "sample"}
        rows.append(row)
    return rows


def _pairs() -> list[dict[str, Any]]:
    sides = {side: [{"role": "assistant", "content": text}] for side, text in (("chosen", "2"), ("rejected", "3"))}
    return [
        pair(1), {**pair(2), "prefix": "1+1=2\n"}, {"prompt": "1+1?", "chosen": "2", "rejected": "3"},
        {"prompt": [USER], **sides}, {"chosen": [USER, *sides["chosen"]], "rejected": [USER, *sides["rejected"]]},
        {"messages": [USER, *sides["chosen"]], "rejected_response": "3"},
    ]  # fmt: skip


def _steps() -> list[dict[str, Any]]:
    return [
        *_problems()[:3], {"prompt": "1+1?", "completions": ["1+1=2", "so 2"], "labels": [True, False]},
        {"prompt": "1+1?", "completions": ["a", "b"], "labels": [1, -1]},
        {"prompt": [USER], "completions": ["a"], "labels": [0.25]},
        {"id": "gsm8k-0", "problem": "1+1?", "steps": ["2", "3"], "label": 1, "final_answer_correct": False},
        {"input": "1+1? Step 1: 2 \u043a\u0438 Step 2: 3 \u043a\u0438", "label": "1+1? Step 1: 2 + Step 2: 3 -",
         "task": "GSM8K"},
    ]  # fmt: skip


def _demonstrations() -> list[dict[str, Any]]:
    return [
        *_problems(), {"question": "1+1?", "answer": "1+1 = <<1+1=2>>2\n#### 2"}, {"prompt": "1+1?", "completion": "2"},
        {"messages": [USER, {"role": "assistant", "content": "2"}]},
        {"instruction": "Add", "input": "1 1", "output": "2"},
    ]  # fmt: skip


def _answers() -> list[dict[str, Any]]:
    return [
        {"task_id": "HumanEval/0", "completion": "    return 1\n"},
        {
            "doc_id": 0,
            "doc": {"question": "1+1?"},
            "resps": [["The answer is 2"]],
            "filtered_resps": ["2"],
            "filter": "none",
        },
        {"id": "p1", "text": "The answer is 2"},
    ]


def _use_problems(file: Path) -> None:
    bad = BadLines()
    for problem in read_problems(str(file), bad):
        with suppress(SipfError):
            check_problem(problem)
            _prompters().of(problem).encode(problem, "1+1=2", end=True)
            task = task_of(problem)
            for path in problem.paths:
                step_ends(task, path)
        assert Problem.from_line(problem.to_json().encode()) is not None, "what is written can be read"


def _use_pairs(file: Path) -> None:
    found, _ = read_pairs(str(file))
    prompter = _prompters().of(labelled_problem(0))
    pair_rows(found, prompter, 300, bad=BadLines())
    assert len(list(parsed_pairs(found, BadLines()))) == len(found), "what was read once is read again"


def _use_steps(file: Path) -> None:
    found, _ = read_examples(str(file))
    for kind in ("hard", "soft", "advantage"):
        step_rows(found, _prompters().of(labelled_problem(0)), LabelKind.parse(kind), 300, bad=BadLines())


def _use_demonstrations(file: Path) -> None:
    found, _ = read_lines(str(file))
    sft_rows(found, _prompters().of(labelled_problem(0)), 300, loss="all", bad=BadLines())


def _use_answers(file: Path) -> None:
    saved = answers_in(file, BadLines(), None)
    if isinstance(saved, SavedAnswers):
        saved.open()


def _use_configuration(file: Path) -> None:
    root = _root()
    with suppress(typer.BadParameter):
        tables = read_config(file)
        refuse_unknown(tables, list(root.commands), str(file))
        for name, table in tables.items():
            checked(table, root.commands[name], name)


@cache
def _root() -> Any:
    import typer.main

    from sipf_cli.main import app

    return typer.main.get_command(app)


CONFIGURATION = """[sample]
n = 4
temperature = 0.7
engine = "scripted"
script = "gold:0.5"

[train-prm]
labels = "soft"
lr = 1e-4

[data.chain]
split = "train"

[orpo]
beta = 0.1
"""


@dataclass(frozen=True)
class Configuration(Target):
    """A TOML file, which is one input."""

    def feed(self, numbers: random.Random, folder: Path) -> int:
        """See `Target.feed`."""
        file = folder / "settings.toml"
        file.write_bytes(mutated_text(numbers, CONFIGURATION).encode("utf-8", "surrogatepass"))
        self.read(file)
        return 1


TARGETS: tuple[Target, ...] = (
    Target("problems", _problems, _use_problems),
    Target("scored", _scored, _use_problems),
    Target("pairs", _pairs, _use_pairs),
    Target("steps", _steps, _use_steps),
    Target("demonstrations", _demonstrations, _use_demonstrations),
    Target("results", _results, lambda file: read_results(str(file), (1,))),
    Target("answers", _answers, _use_answers),
    Configuration("configuration", list, _use_configuration),
)
