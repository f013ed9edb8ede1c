"""The functions world: splits that never share a problem, descriptions that mean one thing, and tests that tell."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from evals.sandbox.checker import Checker
from evals.tasks import check_problem, task_of
from evals.tasks.base import ProgramTask
from evals.worlds import functions
from evals.worlds.functions import NAMES, draw_description, problems, program_lines
from evals.worlds.operations import FORMS, VARIABLES, Operation, Pipeline, Value
from evals.worlds.phrases import OOD, SPLITS, Wordings
from evals.worlds.telling import changes, telling_inputs

SPLIT_NAMES = ("train", "validation", "test", "ood")
SEEDS = (0, 1)
N = 40


@pytest.fixture(scope="module")
def worlds() -> dict[tuple[str, int], list[Problem]]:
    return {(split, seed): list(problems(split, N, seed)) for split in SPLIT_NAMES for seed in SEEDS}


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker() as checker:
        yield checker


def pipeline(problem: Problem) -> Pipeline:
    world: dict[str, Any] = problem.model_extra["world"]  # type: ignore[index]  # not None here
    return Pipeline(world["kind"], tuple(Operation(*one) for one in world["operations"]))


def passes(checker: Checker, problem: Problem, text: str) -> bool:
    task = task_of(problem)
    assert isinstance(task, ProgramTask)
    return checker.check(task.program(problem, text), task.tests(problem)).passed


def test_splits_share_no_skeleton_whatever_the_seeds(worlds: dict[tuple[str, int], list[Problem]]) -> None:
    by_split = {split: {pipeline(p) for seed in SEEDS for p in worlds[split, seed]} for split in SPLIT_NAMES}
    for i, first in enumerate(SPLIT_NAMES):
        for second in SPLIT_NAMES[i + 1 :]:
            assert not by_split[first] & by_split[second], (first, second)
    for (split, seed), made in worlds.items():
        assert len({pipeline(p) for p in made}) == N, (split, seed)
        least, most = functions.OPERATIONS_OF_SPLIT[split]
        assert {len(pipeline(p).operations) for p in made} == set(range(least, most + 1))
    assert functions.OPERATIONS_OF_SPLIT["ood"][0] > functions.OPERATIONS_OF_SPLIT["test"][1]


def test_problems_are_the_seeds_and_a_shorter_run_begins_a_longer_one(
    worlds: dict[tuple[str, int], list[Problem]],
) -> None:
    for (split, seed), made in worlds.items():
        assert [p.to_json() for p in problems(split, 15, seed)] == [p.to_json() for p in made[:15]]
    assert worlds["train", 0][0].question != worlds["train", 1][0].question
    assert not {p.id for p in worlds["train", 0]} & {p.id for p in worlds["train", 1]}
    with pytest.raises(UsageError, match="no split 'dev'"):
        next(problems("dev", 1, 0))


def test_references_pass_their_tests_in_the_sandbox_and_a_step_is_a_line(
    checker: Checker, worlds: dict[tuple[str, int], list[Problem]]
) -> None:
    for made in worlds.values():
        for one in made:
            check_problem(one)
            task, solution = task_of(one), one.solution or []
            text = task.gold_text(one)
            assert text is not None
            assert passes(checker, one, text), text
            split = task.split(text)
            assert split.steps == solution
            assert split.cuts == split.ends, "each line is rolled out from by itself"
            name = re.fullmatch(r"def (\w+)\(.*", solution[0])[1]  # type: ignore[index]  # it does
            assert f"{name}({VARIABLES[pipeline(one).kind]})" in one.question
            assert one.tests is not None
            assert len(one.tests["code"].splitlines()) == 3


def test_programs_written_in_other_right_ways_pass_as_well(
    checker: Checker, worlds: dict[tuple[str, int], list[Problem]]
) -> None:
    rng = random.Random(1)
    ways = Counter[int]()
    for one in worlds["test", 0][:40]:
        name = (one.tests or {})["names"][0]
        texts = {"\n".join(program_lines(rng, name, pipeline(one), varied=0.9)) for _ in range(6)}
        ways[len(texts)] += 1
        assert all(passes(checker, one, text) for text in texts), texts
    assert ways[1] < 5


def test_tests_reject_programs_with_one_operation_changed(
    checker: Checker, worlds: dict[tuple[str, int], list[Problem]]
) -> None:
    rng = random.Random(2)
    rejected = []
    for split in ("train", "ood"):
        for one in worlds[split, 0]:
            kind, operations = pipeline(one).kind, list(pipeline(one).operations)
            at = rng.randrange(len(operations))
            end = FORMS[kind][operations[at].name].group == "end"
            forms = {name: form for name, form in FORMS[kind].items() if (form.group == "end") == end}
            others = [Operation(n, argument) for n, form in forms.items() for argument in form.arguments or (None,)]
            changed = rng.choice([other for other in others if (other.name, other.given) != (
                operations[at].name, operations[at].given)])  # fmt: skip
            operations[at] = changed
            lines = program_lines(rng, (one.tests or {})["names"][0], Pipeline(kind, tuple(operations)), varied=0.0)
            rejected.append(not passes(checker, one, "\n".join(lines)))
    assert sum(rejected) / len(rejected) >= 0.97


def test_no_inputs_tell_a_pipeline_whose_operation_changes_nothing() -> None:
    rng = random.Random(3)
    sort, even, odd = Operation("sort"), Operation("even"), Operation("odd")
    assert telling_inputs(rng, Pipeline("list", (sort, Operation("sum")))) is None, "a sum has no order"
    assert telling_inputs(rng, Pipeline("list", (even, odd))) is None, "nothing is left"
    found = telling_inputs(rng, Pipeline("list", (even, Operation("sum"))))
    assert found is not None
    assert len(found) == 3


def test_changes_leave_out_swap_and_replace_each_operation() -> None:
    add, first, total = Operation("square"), Operation("above", 5), Operation("sum")
    made = set(changes(Pipeline("list", (add, first, total))))
    assert {(first, total), (add, total), (first, add, total)} <= made
    assert {(add, Operation("above", 4), total), (add, Operation("least", 5), total)} <= made
    assert (add, first) not in made, "a number is what the function returns"
    assert (add, first, total) not in made
    commuting = (Operation("add", 3), Operation("first", 2))
    assert commuting[::-1] not in set(changes(Pipeline("list", commuting))), "that program is right"


def test_every_description_tells_its_operations_and_nothing_else(
    worlds: dict[tuple[str, int], list[Problem]],
) -> None:
    for (split, _), made in worlds.items():
        for one in made:
            assert retold(one.question, OOD if split == "ood" else SPLITS) == pipeline(one), one.question


def retold(question: str, wordings: Wordings) -> Pipeline:
    """What a reader of the wordings understands."""
    heads = {
        (kind, head.format(call=f"{name}({VARIABLES[kind]})"))
        for kind, texts in wordings.heads.items()
        for head in texts
        for name in NAMES
    }
    ((kind, head),) = [(kind, head) for kind, head in heads if question.startswith(f"{head} ")]
    operations: list[Operation] = []
    at = 0
    for sentence in re.findall(r"[^.]+\.", question.removeprefix(head)):
        meaning, argument, earlier = understood(sentence.strip(), kind, wordings)
        if meaning in ("aside", "result"):
            continue
        times, name = meaning.split() if " " in meaning else ("", meaning)
        given = operations[at].argument if times else argument
        at = at if earlier else len(operations)
        operations.insert(at, Operation(name, given, 2 if times == "twice" else 1))
    return Pipeline(kind, tuple(operations))


def understood(sentence: str, kind: Value, wordings: Wordings) -> tuple[str, int | str | None, bool]:
    """The one meaning of a sentence, its argument, and whether it comes before what was told last."""
    found = set()
    for meaning, pattern, earlier, _ in sentences(kind, wordings is OOD):
        if match := pattern.fullmatch(sentence):
            said = match[1] if match.groups() else None
            found.add((meaning, int(said) if said and said.isdigit() else said, earlier))
    assert len(found) == 1, (sentence, found)
    return found.pop()


@cache
def sentences(kind: Value, ood: bool) -> list[tuple[str, re.Pattern[str], bool, bool]]:
    """Every sentence about a value: meaning, pattern, whether it tells what was done earlier, whether it is plain."""
    wordings = OOD if ood else SPLITS
    frames = [(frame, False) for frame in wordings.frames] + [(frame, True) for frame in wordings.earlier]
    told = [
        (meaning, frame.format(phrase=text, Phrase=text[0].upper() + text[1:]), earlier, plain and not earlier)
        for phrases, plain in ((wordings.plain, True), (wordings.hard, False))
        for meaning, texts in phrases[kind].items()
        for text in texts
        for frame, earlier in frames
    ]
    told += [("aside", text, False, False) for text in wordings.asides[kind]]
    return [(name, re.compile(re.escape(text).replace(r"\{n\}", r"(\w)")), *more) for name, text, *more in told]


def test_every_wording_is_used_and_the_two_sets_share_no_phrase() -> None:
    rng = random.Random(4)
    said = {}
    for wordings in (SPLITS, OOD):
        tasks = [draw_description(rng, wordings, 2, 4, hard=0.7) for _ in range(1500)]
        told = {kind: "\n".join(t.question for t in tasks if t.pipeline.kind == kind).lower() for kind in FORMS}
        phrases = [
            (kind, text)
            for kind in FORMS
            for group in (*wordings.plain[kind].values(), *wordings.hard[kind].values(), wordings.asides[kind])
            for text in group
        ]
        for kind, text in phrases:
            assert re.search(re.escape(text.lower()).replace(r"\{n\}", r"\w"), told[kind]), (kind, text)
        said[id(wordings)] = {text for _, text in phrases}
        for kind, forms in FORMS.items():
            drawn = {one.name for t in tasks if t.pipeline.kind == kind for one in t.pipeline.operations}
            assert drawn == forms.keys()
    assert not said[id(SPLITS)] & said[id(OOD)]


def test_about_three_in_ten_sentences_are_hard_to_read_and_plain_descriptions_have_none() -> None:
    rng = random.Random(5)

    def share(hard: float) -> float:
        count = Counter[bool]()
        for _ in range(400):
            task = draw_description(rng, SPLITS, 2, 4, hard)
            _, *told = re.findall(r"[^.]+\.", task.question)
            known = sentences(task.pipeline.kind, ood=False)
            for sentence in (one.strip() for one in told):
                count[not any(plain and pattern.fullmatch(sentence) for _, pattern, _, plain in known)] += 1
        return count[True] / count.total()

    assert share(0.0) == 0
    assert 0.2 < share(functions.HARD) < 0.32


def test_a_bucket_is_a_function_of_the_skeleton_alone_and_all_are_used() -> None:
    add = Pipeline("list", (Operation("add", 3), Operation("sum")))
    assert add.bucket() == Pipeline("list", (Operation("add", 3), Operation("sum"))).bucket()
    rng = random.Random(1)
    assert {draw_description(rng, SPLITS, 2, 4).pipeline.bucket() for _ in range(200)} == set(range(10))
