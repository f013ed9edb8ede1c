"""The chain world: splits that never share a problem, stories that say what they mean, and right solutions to them."""

from __future__ import annotations

import random
import re
from collections import Counter
from importlib import resources
from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from evals.tasks import check_problem, task_of
from evals.worlds import chain
from evals.worlds.chain import Chain, Operation, draw_story, problems, solution_lines, told_lines
from evals.worlds.truth import sound
from evals.worlds.wordings import ITEMS, OOD, PEOPLE, PRONOUNS, SPLITS, Wordings

NAMES = ("train", "validation", "test", "ood")
SEEDS = (0, 1, 7)
N = 80


@pytest.fixture(scope="module")
def worlds() -> dict[tuple[str, int], list[Problem]]:
    return {(split, seed): list(problems(split, N, seed)) for split in NAMES for seed in SEEDS}


def world(problem: Problem) -> dict[str, Any]:
    return dict(problem.model_extra["world"])  # type: ignore[index]  # not None here


def skeleton(problem: Problem) -> tuple[Any, ...]:
    return world(problem)["start"], *(tuple(one) for one in world(problem)["operations"])


def test_splits_share_no_skeleton_whatever_the_seeds(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    by_split = {split: {skeleton(p) for seed in SEEDS for p in worlds[split, seed]} for split in NAMES}
    for i, first in enumerate(NAMES):
        for second in NAMES[i + 1 :]:
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


def test_solutions_are_sound_and_judged_right_by_the_task(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    for (split, _), made in worlds.items():
        least, most = chain.OPERATIONS_OF_SPLIT[split]
        for one in made:
            check_problem(one)
            task, solution, states = task_of(one), one.solution or [], world(one)["states"]
            assert least <= len(states) <= most
            assert all(1 <= state <= chain.LIMIT for state in states)
            assert sound(world(one), solution)
            assert solution[-1].endswith(f"={one.answer}")
            text = task.gold_text(one)
            assert text is not None
            assert task.judge(one, text).correct
            assert task.split(text).steps == solution
            assert task.false_equation(text) is None
            assert not task.judge(one, text.replace(f"is {one.answer}", f"is {int(one.answer or 0) + 1}")).correct
        assert {len(world(one)["states"]) for one in made} == set(range(least, most + 1))


def test_every_story_tells_its_operations_and_nothing_else(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    for (split, _), made in worlds.items():
        for one in made:
            assert retold(one.question, OOD if split == "ood" else SPLITS) == skeleton(one), one.question


def retold(question: str, wordings: Wordings) -> tuple[Any, ...]:
    """Start and operations as a reader of the wordings understands them."""
    first, *told, _ = (found.strip() for found in re.findall(r"[^.?]+[.?]", question))
    who, start, item = re.fullmatch(r"(\w+) has (\d+) (\w+)\.", first).groups()  # type: ignore[union-attr]  # it does
    operations: list[tuple[str, int, int]] = []
    for sentence in told:
        kind, number = understood(sentence, who, item, wordings)
        if kind == "aside":
            continue
        if kind[1:] in ("2", "3"):
            operations.append((kind[0], int(kind[1]), 1))
        else:
            operations.append((kind[-1], number or operations[-1][1], 2 if kind.startswith("twice") else 1))
    return int(start), *operations


def understood(sentence: str, who: str, item: str, wordings: Wordings) -> tuple[str, int]:
    """The one kind that the sentence has, and its number; 0 if it has none."""
    she, her = PRONOUNS[who]
    others = f"(?:{'|'.join(name for name in PEOPLE if name != who)})"
    own = {"She": she, "her": her, "item": item, "n": r"(\d+)", "O": others, "T": others}
    own["item2"] = f"(?:{'|'.join(one for one in ITEMS if one != item)})"
    kinds = [*wordings.plain.items(), *wordings.hard.items(), ("aside", wordings.asides)]
    found = {
        (kind, int(match[1]) if match.groups() else 0)
        for kind, texts in kinds
        for text in texts
        if (match := re.fullmatch(text.replace(".", r"\.").format(**own), sentence))
    }
    assert len(found) == 1, (sentence, found)
    return found.pop()


def test_every_wording_is_used_and_the_two_sets_share_no_sentence() -> None:
    rng = random.Random(3)
    for wordings, other in ((SPLITS, OOD), (OOD, SPLITS)):
        texts = {text for group in (*wordings.plain.values(), *wordings.hard.values()) for text in group}
        texts |= set(wordings.asides)
        assert not texts & {text for group in (*other.plain.values(), *other.hard.values()) for text in group}
        told = " ".join(draw_story(rng, wordings, 3, 5, hard=0.5).question for _ in range(900))
        for text in texts:
            assert re.search(re.sub(r"\{\w+\}", r"\\w+", text.replace(".", r"\.")), told), text


def test_about_three_in_ten_sentences_are_hard_to_read_and_plain_stories_have_none() -> None:
    rng = random.Random(5)
    hard = [text for group in SPLITS.hard.values() for text in group] + list(SPLITS.asides)
    pattern = re.compile("|".join(re.sub(r"\{\w+\}", r"\\w+", text.replace(".", r"\.")) for text in hard))
    plain = re.compile("|".join(
        re.sub(r"\{\w+\}", r"\\w+", text.replace(".", r"\.")) for group in SPLITS.plain.values() for text in group
    ))  # fmt: skip
    stories = [draw_story(rng, SPLITS, 3, 5) for _ in range(600)]
    told = [one for story in stories for one in story.sentences]
    # Some asides read like plain sentences about somebody else; what is no operation is one of them.
    shares = Counter(one.operation is None or not plain.fullmatch(one.text) for one in told)
    assert 0.25 < shares[True] / len(told) < 0.36
    assert all(pattern.fullmatch(one.text) for one in told if one.operation is None)
    for story in (draw_story(rng, SPLITS, 3, 5, hard=0.0) for _ in range(100)):
        assert all(one.operation is not None and plain.fullmatch(one.text) for one in story.sentences)


def test_out_of_domain_stories_are_longer_than_any_other() -> None:
    assert chain.OPERATIONS_OF_SPLIT["ood"] == (6, 8)
    assert max(most for split, (_, most) in chain.OPERATIONS_OF_SPLIT.items() if split != "ood") == 5


OPERATIONS = (Operation("-", 6), Operation("+", 5), Operation("*", 2), Operation("-", 9, 2))


def test_solutions_are_written_in_several_ways_and_mostly_as_told() -> None:
    rng = random.Random(0)
    written = Counter(tuple(solution_lines(rng, 33, OPERATIONS)) for _ in range(3000))
    told = ("33-6=27", "27+5=32", "32*2=64", "9*2=18", "64-18=46")
    assert told_lines(33, OPERATIONS) == (list(told), 46)
    assert written.most_common(1)[0][0] == told
    assert 0.4 < written[told] / 3000 < 0.6, "each of two runs is varied with chance 0.3"
    starts = {way[0] for way in written}
    assert starts == {"33-6=27", "33+5=38", "33-6+5=32"}
    ends = {way[-2:] for way in written}
    assert ends == {("9*2=18", "64-18=46"), ("64-9=55", "55-9=46"), ("32*2=64", "64-9*2=46")}
    for way in written:
        assert sound({"start": 33, "operations": [(o.sign, o.number, o.times) for o in OPERATIONS]}, way)
    same_direction = {tuple(solution_lines(rng, 20, (Operation("-", 6), Operation("-", 9)), 1.0)) for _ in range(60)}
    assert ("6+9=15", "20-15=5") in same_direction
    assert set(solution_lines(rng, 33, OPERATIONS, 0.0)) == set(told)


def test_a_bucket_is_a_function_of_the_skeleton_alone_and_all_are_used() -> None:
    one = Chain(33, OPERATIONS)
    assert one.bucket() == Chain(33, tuple(OPERATIONS)).bucket()
    assert one.states() == [27, 32, 64, 46]
    rng = random.Random(1)
    assert {draw_story(rng, SPLITS, 3, 5).chain.bucket() for _ in range(300)} == set(range(10))


def test_an_operation_leads_to_no_state_outside_the_world() -> None:
    assert Operation("+", 12).after(87) == 99
    assert Operation("+", 12).after(88) is None
    assert Operation("-", 12).after(12) is None
    assert Operation("/", 3).after(20) is None
    assert Operation("-", 7, 2).after(20) == 6


@pytest.mark.parametrize("folder", ["base", "teacher"])
def test_the_embedded_tokenizers_know_every_word_and_number(
    folder: str, worlds: dict[tuple[str, int], list[Problem]]
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_str(
        (resources.files("stages") / "embedded" / folder / "tokenizer.json").read_text(encoding="utf-8")
    )
    for made in worlds.values():
        for one in made:
            task = task_of(one)
            text = task.templates["plain"].format(question=one.question) + (task.gold_text(one) or "")
            encoded = tokenizer.encode(text, add_special_tokens=False)
            assert tokenizer.decode(encoded.ids) == text
            spans = [range(start, end) for start, end in encoded.offsets]
            for word in re.finditer(r"[A-Za-z]+|\d+", text):
                holders = [span for span in spans if span.start < word.end() and span.stop > word.start()]
                assert len(holders) == 1, f"{word[0]!r} is {len(holders)} tokens"
