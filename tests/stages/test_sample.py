"""sample: which paths are kept, what is counted, and that numbers and seeds never repeat."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from evals.errors import UsageError
from evals.records import Problem
from evals.worlds import chain
from stages.engines.base import Draw, Request
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler, next_number
from stages.seeds import seed_of
from stages.settings.sample import SampleSettings
from tests.stages.fakes import InOrder, Written, chain_problem, path, work

RIGHT = "40-15=25\n25*3=75\n75+1=76\nThe answer is 76"
WRONG = "40-15=25\n25*2=50\n50+1=51\nThe answer is 51"


def wrong(n: int) -> str:
    """A wrong path, another one for every n."""
    return f"40+{n}={40 + n}\nThe answer is {40 + n}"


def right(n: int) -> str:
    """A right path, another one for every n."""
    return f"{76 - n}+{n}=76\nThe answer is 76"


def sample(
    problem: Problem, *texts: str | tuple[str, str], **settings: object
) -> tuple[Problem, Counter[str], InOrder]:
    engine = InOrder(*texts)
    result, counts = work(Sampler(engine, SampleSettings(**settings)), problem)  # type: ignore[arg-type]  # any settings
    balanced(counts)
    return result, counts, engine


def balanced(counts: Counter[str]) -> None:
    """Every draw is kept or dropped for one reason."""
    assert counts["drawn"] == counts["kept"] + sum(n for name, n in counts.items() if name.startswith("dropped: "))
    assert counts["kept"] == counts["kept right"] + counts["kept wrong"]


def numbers(problem: Problem) -> list[int]:
    return [int(one.id.rpartition("#")[2]) for one in problem.paths]


def test_a_path_is_the_completion_byte_for_byte_with_its_steps_verdict_and_seed() -> None:
    text = " 40-15=25 \n\n25*3=75\n75+1=76\nThe answer is 76\n"
    problem, counts, engine = sample(chain_problem(mine={"kept": 1}), text, n=1, round=2, seed=5, temperature=0.7)
    (one,) = problem.paths
    assert (one.id, one.source, one.round, one.text, one.finish) == ("c#0", "sample", 2, text, "stop")
    assert one.steps == ["40-15=25", "25*3=75", "75+1=76"]
    assert (one.answer, one.correct, one.match is not None and one.match.robust) == ("76", True, True)
    assert one.seed == seed_of("sample", "c", 5, 0)
    assert set(engine.temperatures.values()) == {0.7}
    assert engine.asked[0].eager
    assert (counts["drawn"], counts["kept right"], counts["problems with a right path"]) == (1, 1, 1)
    assert '"mine":{"kept":1}' in problem.to_json()
    assert '"drawn":1' in problem.to_json()


def test_each_reason_to_drop_a_path_is_counted_and_its_switch_keeps_it() -> None:
    texts: list[str | tuple[str, str]] = [
        RIGHT, ("40-15=25\n25*3=", "length"), "who knows\nnobody", "The answer is 76",
        "Here <<40-15=26>>26.\nThe answer is 26", RIGHT + " ", WRONG,
    ]  # fmt: skip
    reasons = {name: f"dropped: {name.replace('_', ' ')}" for name in ("unfinished", "false_equation", "duplicate")}
    always = {"dropped: no answer": 1, "dropped: no steps": 1}
    problem, counts, _ = sample(chain_problem(), *texts, n=7)
    assert {name: n for name, n in counts.items() if name.startswith("dropped")} == {
        **always, **dict.fromkeys(reasons.values(), 1),
    }  # fmt: skip
    assert numbers(problem) == [0, 6]
    switches = {
        "unfinished": "keep_unfinished",
        "false_equation": "keep_false_equations",
        "duplicate": "keep_duplicates",
    }
    for name, reason in reasons.items():
        kept, counts, _ = sample(chain_problem(), *texts, n=7, **{switches[name]: True})
        assert counts[reason] == 0
        assert len(kept.paths) == 3
    kept, counts, _ = sample(chain_problem(), *texts, n=7, **dict.fromkeys(switches.values(), True))
    assert {name: n for name, n in counts.items() if name.startswith("dropped")} == always
    assert numbers(kept) == [0, 1, 4, 5, 6]


def test_of_two_paths_with_the_same_equations_the_one_farther_from_the_others_stays() -> None:
    near = "40-15=25\n25*3=75\n75+1=76\nThe answer is 76"
    far = "First we see that 40-15=25\nand then 25*3=75\nso that 75+1=76\nThe answer is 76"
    for texts, kept_number in (((WRONG, near, far), 2), ((WRONG, far, near), 1)):
        problem, counts, _ = sample(chain_problem(), *texts, n=3)
        assert [one.text for one in problem.paths] == [WRONG, far]
        assert numbers(problem) == [0, kept_number]
        assert (counts["kept"], counts["dropped: duplicate"]) == (2, 1)


def times(problem: Problem) -> dict[int, int | None]:
    return {int(one.id.rpartition("#")[2]): one.times for one in problem.paths}


def test_a_path_says_how_often_it_was_drawn_also_where_a_copy_takes_its_place() -> None:
    far = "First we see that 40-15=25\nand then 25*3=75\nso that 75+1=76\nThe answer is 76"
    texts = (WRONG, RIGHT, far, RIGHT + " ", wrong(1), WRONG, (RIGHT, "length"))
    problem, counts, _ = sample(chain_problem(), *texts, n=7)
    assert times(problem) == {0: 2, 2: 3, 4: 1}, "what is dropped as unfinished does not count"
    assert counts["drawn"] == sum(one.times or 0 for one in problem.paths) + counts["dropped: unfinished"]
    kept, _, _ = sample(chain_problem(), *texts, n=7, keep_duplicates=True)
    assert times(kept) == {0: 2, 1: 3, 2: 3, 3: 3, 4: 1, 5: 2}


def test_blocks_and_rounds_add_up_and_a_gold_solution_was_not_drawn() -> None:
    once, _, _ = sample(chain_problem(), RIGHT, WRONG, RIGHT, wrong(1), n=2, want=3)
    assert times(once) == {0: 2, 1: 1, 3: 1}
    again, _, _ = sample(Problem.model_validate_json(once.to_json()), RIGHT, wrong(1), wrong(2), n=3)
    assert times(again) == {0: 3, 1: 1, 3: 2, 6: 1}
    old = [path(0, "40-15=25", "25*3=75", "75+1=76", correct=True), path(1, "40+9=49", answer="49")]
    gold = {**path(2, "38*2=76", correct=True), "id": "c#gold", "source": "gold"}
    problem, _, _ = sample(chain_problem(paths=[*old, gold]), RIGHT, "38*2=76\nThe answer is 76", wrong(1), n=3)
    assert [(one.id, one.times) for one in problem.paths] == [("c#0", 2), ("c#1", None), ("c#gold", 1), ("c#4", 1)]
    assert '"times"' not in problem.paths[1].to_json()


def test_paths_of_earlier_rounds_are_never_replaced() -> None:
    old = path(0, "40-15=25", "25*3=75", "75+1=76", correct=True)
    far = "First we see that 40-15=25\nand then 25*3=75\nso that 75+1=76\nThe answer is 76"
    problem, counts, _ = sample(chain_problem(paths=[old]), far, WRONG, n=2)
    assert [one.text for one in problem.paths] == [old["text"], WRONG]
    assert (counts["drawn"], counts["kept"]) == (2, 1)


def test_quotas_are_looked_at_after_each_block_in_draw_order() -> None:
    texts = [wrong(1), wrong(2), wrong(3), right(1), right(2), wrong(4), right(3), right(4), "never"]
    problem, counts, engine = sample(chain_problem(), *texts, n=3, want_right=2, want_wrong=3, max_draws=30)
    assert [len(request.draws) for request in engine.asked] == [3, 3], "the second block meets both quotas"
    assert numbers(problem) == [0, 1, 2, 3, 4, 5], "the whole of a block is considered"
    assert counts["problems short of the quota"] == 0
    problem, _, engine = sample(chain_problem(), *texts, n=2, want_right=3, max_draws=30)
    assert len(engine.asked) == 4
    assert (counts["drawn"], problem.drawn) == (6, 8)


def test_the_pool_counts_towards_the_quotas() -> None:
    old = [path(0, "40-15=25", "25*3=75", "75+1=76", correct=True), path(1, "40+1=41", answer="41")]
    _, _, engine = sample(chain_problem(paths=old), wrong(2), wrong(3), *["never"] * 9, n=2, want_right=1, want_wrong=2)
    assert len(engine.asked) == 1
    _, _, engine = sample(chain_problem(), wrong(2), wrong(3), right(1), wrong(4), n=2, want_right=1, want_wrong=2)
    assert len(engine.asked) == 2


def test_draws_end_at_the_cap_and_the_shortage_is_counted() -> None:
    texts = [wrong(n) for n in range(1, 31)]
    for settings, blocks in (({"max_draws": 7}, [3, 3, 1]), ({}, [3] * 10)):
        _, counts, engine = sample(chain_problem(), *texts, n=3, want_right=1, **settings)
        assert [len(request.draws) for request in engine.asked] == blocks
        assert counts["problems short of the quota"] == 1
        assert counts["drawn"] == sum(blocks)
    _, counts, engine = sample(chain_problem(), *texts, n=3, max_draws=2)
    assert counts["drawn"] == 3, "without quotas a block is what was asked for"


def test_a_time_cap_ends_the_drawing_after_a_block() -> None:
    texts = [wrong(n) for n in range(1, 31)]
    _, counts, engine = sample(chain_problem(), *texts, n=3, want_right=1, time_cap=0.0)
    assert len(engine.asked) == 1
    assert counts["stopped by the time cap"] == 1
    _, counts, engine = sample(chain_problem(), *texts, n=3, want_right=1, time_cap=60.0)
    assert len(engine.asked) == 10
    assert counts["stopped by the time cap"] == 0


def test_numbers_and_seeds_never_repeat_over_rounds_even_after_dropped_draws() -> None:
    seeds: list[int] = []
    (problem,) = chain.problems("train", 1, 0)
    for round_number in range(5):

        def write(request: Request, draw: Draw) -> str:
            seeds.append(draw.seed)
            last = draw in request.draws[-2:]
            return "nobody knows" if last else f"40+{len(seeds)}={40 + len(seeds)}\nThe answer is {40 + len(seeds)}"

        settings = SampleSettings(n=5 + round_number, round=round_number)
        problem, counts = work(Sampler(Written(write), settings), problem)
        balanced(counts)
        assert counts["dropped: no answer"] == 2
        problem = Problem.model_validate_json(problem.to_json())
    taken = [one.id for one in problem.paths]
    assert len(seeds) == len(set(seeds)) == 5 + 6 + 7 + 8 + 9 == problem.drawn
    assert len(taken) == len(set(taken))
    assert [one.seed for one in problem.paths] == [
        seed_of("sample", problem.id, 0, int(one.id.rpartition("#")[2])) for one in problem.paths
    ]
    assert Counter(one.round for one in problem.paths) == {0: 3, 1: 4, 2: 5, 3: 6, 4: 7}


def test_the_next_number_is_after_every_draw_and_every_path() -> None:
    assert next_number(chain_problem()) == 0
    paths = [path(4, "40+1=41"), {**path(0, "40+2=42"), "id": "c#gold"}, {**path(1, "40+3=43"), "id": "plain"}]
    assert next_number(chain_problem(paths=paths)) == 5
    assert next_number(chain_problem(paths=paths, drawn=9)) == 9
    assert next_number(chain_problem(paths=paths, drawn="many")) == 5


def test_the_same_seed_draws_the_same_and_problems_do_not_share_draws() -> None:
    first, second = chain.problems("train", 2, 3)
    stage = Sampler(ScriptedEngine("gold:0.4"), SampleSettings(n=6, seed=8))
    again = [work(stage, first.model_copy(deep=True))[0].to_json() for _ in range(2)]
    assert again[0] == again[1]
    one, two = (Problem.model_validate_json(work(stage, p.model_copy(deep=True))[0].to_json()) for p in (first, second))
    assert not {p.seed for p in one.paths} & {p.seed for p in two.paths}


@pytest.mark.parametrize("n", [1, 5])
def test_many_problems_may_be_under_way_at_once(n: int) -> None:
    problems = list(chain.problems("train", 6, 1))
    engine = Written(lambda request, draw: f"1+{draw.seed % 90}={1 + draw.seed % 90}\nThe answer is {draw.seed % 90}")
    stage = Sampler(engine, SampleSettings(n=n))

    async def together() -> list[Problem]:
        from stages.counts import Tally

        done = await asyncio.gather(*(stage(one.model_copy(deep=True), Tally()) for one in problems))
        return [lines[0] for lines in done]

    alone = [work(stage, one.model_copy(deep=True))[0] for one in problems]
    assert [one.to_json() for one in asyncio.run(together())] == [one.to_json() for one in alone]


def test_a_problem_without_a_right_path_is_asked_again_with_its_answer_and_only_then() -> None:
    again = (right(1), wrong(9), right(2))
    problem, counts, engine = sample(chain_problem(), wrong(1), wrong(2), wrong(3), *again, n=3, rationalise=True)
    assert [(one.id, one.source, one.correct) for one in problem.paths] == [
        *((f"c#{i}", "sample", False) for i in range(3)),
        ("c#3", "rationalised", True), ("c#5", "rationalised", True),
    ]  # fmt: skip
    first, second = (request.problem.question for request in engine.asked)
    assert second == first + " (Answer: 76)"
    assert problem.question == first, "the answer is shown to the policy alone"
    assert (counts["problems rationalised"], counts["problems with a rationalised path"]) == (1, 1)
    assert (counts["dropped: wrong with the answer in sight"], problem.drawn) == (1, 6)
    plain = seed_of("sample", "c", 0, 3)
    assert problem.paths[3].seed == seed_of("sample", "c", 0, ["rationalised", 3]) != plain
    for enough in ([right(1), wrong(1), wrong(2)], [wrong(1), wrong(2), right(1)]):
        _, counts, engine = sample(chain_problem(), *enough, n=3, rationalise=True)
        assert (len(engine.asked), counts["problems rationalised"]) == (1, 0)


def test_the_hint_is_the_users_and_must_show_the_answer() -> None:
    _, _, engine = sample(chain_problem(), wrong(1), right(1), n=1, rationalise=True, hint="\n(It is {answer}.)")
    assert engine.asked[1].problem.question.endswith("...\n(It is 76.)")
    with pytest.raises(UsageError, match="shows no answer"):
        SampleSettings(hint="(a hint)")


def test_a_path_of_an_earlier_round_that_is_right_is_enough() -> None:
    problem = chain_problem(paths=[path(0, "76+0=76", correct=True)])
    _, counts, engine = sample(problem, wrong(1), n=1, rationalise=True)
    assert (len(engine.asked), counts["problems rationalised"]) == (1, 0)
