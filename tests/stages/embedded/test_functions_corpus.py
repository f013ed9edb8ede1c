"""What the functions world's model reads: only train problems, right programs, and misread ones that are carried on."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from evals.worlds import functions
from evals.worlds.functions import Description
from evals.worlds.operations import FORMS, Value, run
from evals.worlds.phrases import OOD, SPLITS
from stages.embedded import functions_corpus
from stages.embedded.corpus import Mix, Part
from stages.embedded.functions_corpus import text
from stages.embedded.make_base import build_tokenizer

PROBES: dict[Value, list[Any]] = {
    "list": [[7, 2, 15, 4, 9, 2, -3, 10], [1, 12, 5, 5, 8, 3, 0, 6]],
    "text": ["transparent", "sentences"],
    "number": [-5, 8, 31],
}


def read(monkeypatch: pytest.MonkeyPatch, mix: Mix, n: int) -> list[tuple[Description, list[Part]]]:
    """Texts with the tasks that they tell: the last one drawn for each."""
    drawn: list[Description] = []
    real = functions.draw_description

    def draw(*arguments: Any, **more: Any) -> Description:
        drawn.append(real(*arguments, **more))
        return drawn[-1]

    monkeypatch.setattr(functions, "draw_description", draw)
    rng, made = random.Random(0), []
    for _ in range(n):
        parts = text(rng, mix)
        made.append((drawn[-1], parts))
    return made


def does(task: Description, program: str, kind: Value) -> list[Any]:
    """What a program gives for the probes; None where it fails."""
    found: dict[str, Any] = {}
    exec(program, found)
    results = []
    for probe in PROBES[kind]:
        try:
            results.append(found[task.name](probe))
        except ValueError:  # the largest of no numbers
            results.append(None)
    return results


def meant(task: Description) -> list[Any]:
    kind, operations = task.pipeline.kind, task.pipeline.operations
    results = []
    for probe in PROBES[kind]:
        try:
            results.append(run(kind, operations, probe))
        except ValueError:
            results.append(None)
    return results


def test_tasks_are_of_the_train_buckets_and_their_programs_right(monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(monkeypatch, Mix(hard=0.5, misread=0, sums=0), 300)
    assert {task.pipeline.bucket() for task, _ in made} == set(range(2, 10))
    for task, parts in made:
        program = "".join(part for part, _ in parts[1:])
        assert task.question in parts[0][0]
        assert does(task, program, task.pipeline.kind) == meant(task), program
        assert all(learned for _, learned in parts[1:])
    learned = Counter(parts[0][1] for _, parts in made)
    assert 0.2 < learned[True] / 300 < 0.4, "three in ten descriptions are learned, too"


def test_the_misread_line_alone_is_not_learned_and_what_comes_before_it_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = texts = 0
    for task, parts in read(monkeypatch, Mix(hard=0.5, misread=1, sums=0, ood=0), 300):
        lines = [part.removesuffix("\n") for part, _ in parts[1:]]
        unlearned = [i for i, (_, learned) in enumerate(parts[1:]) if not learned]
        if not unlearned:
            continue  # what was drawn in the operation's place was the operation itself
        texts += 1
        (at,) = unlearned
        wrong += does(task, "\n".join(lines), task.pipeline.kind) != meant(task)
        told = functions.program_lines(random.Random(0), task.name, task.pipeline, varied=0.0)
        assert lines[:at] == told[:at]
        assert lines[at] != told[at], "the line shows the misreading"
        rest = Counter(line.strip() for line in told)
        assert sum((Counter(line.strip() for line in lines[at + 1 :]) - rest).values()) == 0, "carried on as described"
    assert 0.8 * texts < wrong < texts, "two operations that were swapped may commute"
    assert texts > 200


def test_drills_are_programs_of_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    drills = read(monkeypatch, Mix(hard=0, sums=1, ood=0), 60)
    assert {len(task.pipeline.operations) for task, _ in drills} == {1}
    long = read(monkeypatch, Mix(hard=0, sums=0, ood=1, long_ood=1), 20)
    assert {len(task.pipeline.operations) for task, _ in long} == {5, 6}


def test_the_tokenizer_has_a_token_for_every_word_of_the_world() -> None:
    tokenizer = build_tokenizer(functions_corpus)
    rng = random.Random(2)
    for wordings in (SPLITS, OOD):
        for _ in range(60):
            task = functions.draw_description(rng, wordings, 2, 6, hard=0.6)
            program = functions.program_lines(rng, task.name, task.pipeline, varied=0.8)
            whole = "\n".join([task.question, *program])
            ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(ids) == whole
            pieces = [tokenizer.decode([one]).strip() for one in ids]
            words = [word for word in whole.replace("(", " ").replace(")", " ").split() if word.isalpha()]
            assert Counter(words) - Counter(pieces) == Counter(), "no word is cut"
    assert len(tokenizer) < 700


@pytest.mark.parametrize("kind", FORMS)
def test_every_kind_of_value_is_read_about(kind: Value) -> None:
    rng = random.Random(3)
    assert kind in {functions.draw_description(rng, SPLITS, 1, 1).pipeline.kind for _ in range(30)}
