"""The chain world: splits that never share a problem, true solutions, and the truth about written steps."""

from __future__ import annotations

import random
import re
from importlib import resources
from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from evals.tasks import check_problem, task_of
from evals.worlds import chain
from evals.worlds.chain import Chain, problems, true_steps

SPLITS = ("train", "validation", "test", "ood")
SEEDS = (0, 1, 7)
N = 150


@pytest.fixture(scope="module")
def worlds() -> dict[tuple[str, int], list[Problem]]:
    return {(split, seed): list(problems(split, N, seed)) for split in SPLITS for seed in SEEDS}


def skeleton(problem: Problem) -> tuple[Any, ...]:
    """Start and operations, read from the solution."""
    found = [re.fullmatch(r"(\d+)([-+*/])(\d+)=(\d+)", step) for step in problem.solution or []]
    assert all(found)
    return int(found[0][1]), *((one[2], int(one[3])) for one in found)  # type: ignore[index]  # the patterns match


def states(problem: Problem) -> list[int]:
    return list(problem.model_extra["world"]["states"])  # type: ignore[index]  # not None here


def test_splits_share_no_skeleton_whatever_the_seeds(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    by_split = {split: {skeleton(p) for seed in SEEDS for p in worlds[split, seed]} for split in SPLITS}
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            assert not by_split[first] & by_split[second], (first, second)
    for (split, seed), made in worlds.items():
        assert len({skeleton(p) for p in made}) == N, (split, seed)
        assert len({p.id for p in made}) == N


def test_problems_are_the_seeds_and_a_shorter_run_begins_a_longer_one(
    worlds: dict[tuple[str, int], list[Problem]],
) -> None:
    for (split, seed), made in worlds.items():
        assert [p.to_json() for p in problems(split, 40, seed)] == [p.to_json() for p in made[:40]]
    assert worlds["train", 0][0].question != worlds["train", 1][0].question
    assert not {p.id for p in worlds["train", 0]} & {p.id for p in worlds["train", 1]}
    with pytest.raises(UsageError, match="no split 'dev'"):
        next(problems("dev", 1, 0))


def test_solutions_are_true_and_judged_right_by_the_task(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    for (split, _), made in worlds.items():
        least, most = chain.STEPS_OF_SPLIT[split]
        for one in made:
            check_problem(one)
            task, solution = task_of(one), one.solution or []
            assert least <= len(solution) <= most
            assert true_steps(states(one), solution) == [True] * len(solution)
            assert all(1 <= state <= chain.LIMIT for state in states(one))
            text = task.gold_text(one)
            assert text is not None
            assert task.judge(one, text).correct
            assert task.split(text).steps == solution
            assert task.false_equation(text) is None
            assert not task.judge(one, text.replace(f"is {one.answer}", f"is {int(one.answer or 0) + 1}")).correct
        assert {len(one.solution or []) for one in made} == set(range(least, most + 1))


def test_the_numbers_of_the_story_are_those_of_the_solution(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    for made in worlds.values():
        for one in made:
            start, *operations = skeleton(one)
            told = [int(number) for number in re.findall(r"\d+", one.question)]
            assert told == [start, *(operand for _, operand in operations)]


def test_wrong_steps_are_recognised() -> None:
    right = ["23+14=37", "37-9=28", "28*2=56"]
    truth = [37, 28, 56]
    assert true_steps(truth, right) == [True, True, True]
    assert true_steps(truth, [" 23+14=37 ", "37-9=28"]) == [True, True]
    assert true_steps(truth, ["23+14=36", "36-9=27", "28*2=56"]) == [False, False, True]
    assert true_steps(truth, ["23+14=37", "37-8=29", "28*2=56"]) == [True, False, True], "it holds, for other numbers"
    assert true_steps(truth, ["23+13=37"]) == [False], "the result is right, the equation is not"
    assert true_steps(truth, [*right, "56+0=56"]) == [True, True, True, False]
    assert true_steps(truth, ["37", "so 37-9=28", "28*2=56."]) == [False, False, False]
    assert true_steps([5], ["10/2=5"]) == [True]
    assert true_steps([5], ["11/2=5"]) == [False]
    assert true_steps([5], ["5/0=5"]) == [False]
    assert true_steps([5], ["-5+10=5"]) == [False]
    assert true_steps([], []) == []


def test_any_changed_digit_makes_a_step_wrong(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    rng = random.Random(0)
    for one in worlds["test", 0][:60]:
        solution = list(one.solution or [])
        j = rng.randrange(len(solution))
        at = rng.choice([i for i, letter in enumerate(solution[j]) if letter.isdigit()])
        other = str((int(solution[j][at]) + rng.randrange(1, 10)) % 10)
        changed = solution[j][:at] + other + solution[j][at + 1 :]
        flags = true_steps(states(one), [*solution[:j], changed, *solution[j + 1 :]])
        assert [i for i, flag in enumerate(flags) if not flag] == [j], changed


def test_out_of_domain_has_more_steps_and_only_its_own_wordings(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    assert chain.STEPS_OF_SPLIT["ood"][0] > max(chain.STEPS_OF_SPLIT[split][1] for split in SPLITS[:3])
    numbers = re.compile(r"\\\{n\\\}|\\\{\w+\\\}")

    def pattern(wordings: dict[str, tuple[str, ...]]) -> re.Pattern[str]:
        texts = [wording for group in wordings.values() for wording in group]
        return re.compile("|".join(numbers.sub(r"\\w+", re.escape(text)) for text in texts))

    own, usual = pattern(chain.OOD_WORDINGS), pattern(chain.WORDINGS)
    for (split, _), made in worlds.items():
        for one in made:
            sentences = re.findall(r"[^.?]+[.?]", one.question)[1:-1]
            for sentence in sentences:
                told = sentence.strip()
                assert bool(own.fullmatch(told)) is (split == "ood"), told
                assert bool(usual.fullmatch(told)) is (split != "ood"), told


def test_a_bucket_is_a_function_of_the_skeleton_alone_and_all_are_used() -> None:
    skeleton_ = Chain(5, (("+", 3), ("*", 2)))
    assert skeleton_.bucket() == Chain(5, (("+", 3), ("*", 2))).bucket()
    assert skeleton_.states() == [8, 16]
    assert skeleton_.solution() == ["5+3=8", "8*2=16"]
    rng = random.Random(1)
    assert {chain.draw_chain(rng, 2, 6).bucket() for _ in range(300)} == set(range(10))


def test_the_embedded_tokenizer_knows_every_word_of_both_wordings(
    worlds: dict[tuple[str, int], list[Problem]],
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_str(
        (resources.files("stages") / "embedded" / "base" / "tokenizer.json").read_text(encoding="utf-8")
    )
    for made in worlds.values():
        for one in made:
            task = task_of(one)
            text = task.templates["plain"].format(question=one.question) + (task.gold_text(one) or "")
            encoded = tokenizer.encode(text, add_special_tokens=False)
            assert tokenizer.decode(encoded.ids) == text
            spans = [range(start, end) for start, end in encoded.offsets]
            for word in re.finditer(r"[A-Za-z]+", text):
                holders = [span for span in spans if span.start < word.end() and span.stop > word.start()]
                assert len(holders) == 1, f"{word[0]!r} is {len(holders)} tokens"
            for digit in re.finditer(r"\d", text):
                assert any(span == range(digit.start(), digit.end()) for span in spans), "digits stand alone"
