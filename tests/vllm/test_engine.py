"""The vLLM engine writes what the hf engine writes (greedily, fp32), in draw order, and can be closed half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from evals.errors import ModelError
from evals.records import Problem
from stages.engines.base import Completion, Draw, Request, generate
from stages.engines.hf.engine import HFEngine
from stages.models.loading import load_policy
from tests.vllm.opened import PROBLEMS, Opened, by_hf, drawn, greedy


@pytest.fixture(scope="module")
def base() -> Iterator[Opened]:
    """The embedded base on vLLM."""
    opened = Opened("chain-base")
    yield opened
    opened.close()


def likelihoods(engine: Any, problem: Problem, texts: list[str]) -> Awaitable[list[float]]:
    found: Awaitable[list[float]] = engine.loglikelihood(problem, texts)
    return found


def test_greedy_text_equals_the_hf_engines_byte_for_byte(base: Opened) -> None:
    gold = [f"{problem.solution[0]}\n" for problem in PROBLEMS if problem.solution]
    asked = [greedy(problem) for problem in PROBLEMS]
    asked += [greedy(problem, prefix=prefix) for problem, prefix in zip(PROBLEMS, gold, strict=True)]
    answers = base.ask(*asked)
    assert answers == by_hf("chain-base", *asked)
    assert max(row[0].tokens for row in answers) > 16
    assert {row[0].finish for row in answers} >= {"stop"}


def test_stop_strings_cut_the_text_as_in_the_hf_engine(base: Opened) -> None:
    asked = [Request(p, (Draw(1, 0.0),), max_tokens=n, stop=("=", "\n")) for p in PROBLEMS[:6] for n in (2, 40)]
    answers = base.ask(*asked)
    assert answers == by_hf("chain-base", *asked)
    assert {row[0].finish for row in answers} == {"stop", "length"}


def test_draws_have_their_own_seeds_and_come_in_order(base: Opened) -> None:
    asked = [drawn(problem) for problem in PROBLEMS[:6]]
    together = base.ask(*asked)
    for request, row in zip(asked, together, strict=True):
        assert [completion.seed for completion in row] == [draw.seed for draw in request.draws]
    assert max(len({completion.text for completion in row}) for row in together) > 2
    assert base.ask(*asked) == together
    half = [Request(r.problem, r.draws[4:], max_tokens=r.max_tokens) for r in asked]
    assert [row[4:] for row in together] == base.ask(*half)


def test_a_closed_stream_gives_its_draws_up_and_harms_nobody(base: Opened) -> None:
    async def give_up(request: Request) -> list[Completion]:
        got = []
        async with aclosing(base.engine.stream(request)) as draws:
            async for completion in draws:
                got.append(completion)
                if len(got) == 2:
                    break
        return got

    async def go() -> list[Any]:
        # Hot draws differ in length, so some are not finished when the others are.
        leavers = [give_up(drawn(problem, temperature=2.0, eager=True)) for problem in PROBLEMS[:5]]
        return await asyncio.gather(*leavers, *[generate(base.engine, drawn(problem)) for problem in PROBLEMS[5:8]])

    expected = base.ask(*[drawn(problem) for problem in PROBLEMS[5:8]])
    before = base.engine.usage.cancelled_tokens
    found = base.loop.run_until_complete(go())
    assert [len(row) for row in found] == [2] * 5 + [8] * 3
    assert found[5:] == expected
    assert base.engine.usage.cancelled_tokens > before
    assert not base.engine.open
    assert base.engine.hungry()
    assert base.engine.llm.get_num_unfinished_requests() == 0


def test_draws_of_one_prompt_share_what_is_computed_of_it(base: Opened) -> None:
    problem = max(PROBLEMS, key=lambda problem: len(problem.question))
    before = base.engine.usage.prompt_tokens
    base.ask(drawn(problem, prefix="1+1=2\n" * 20))
    ids = len(base.engine.prepare(drawn(problem, prefix="1+1=2\n" * 20)))
    assert ids <= base.engine.usage.prompt_tokens - before < 8 * ids / 2


def test_a_prompt_as_long_as_the_model_leaves_no_room_and_says_so(base: Opened) -> None:
    ((full,),) = base.ask(greedy(PROBLEMS[0], prefix="4 " * 3000))
    assert (full.text, full.tokens, full.finish) == ("", 0, "length")


def test_loglikelihoods_equal_the_hf_engines(base: Opened) -> None:
    texts = ["72", "40+32=72\n72-5=67", "The answer is 72"]

    async def by_both() -> list[list[float]]:
        hf = HFEngine(load_policy("chain-base", device="cpu", dtype="float32"))
        return [await likelihoods(hf, PROBLEMS[0], texts)]

    found = base.loop.run_until_complete(likelihoods(base.engine, PROBLEMS[0], texts))
    assert found == pytest.approx(asyncio.run(by_both())[0], abs=1e-3)
    with pytest.raises(ModelError, match="without a token"):
        base.loop.run_until_complete(likelihoods(base.engine, PROBLEMS[0], [""]))
