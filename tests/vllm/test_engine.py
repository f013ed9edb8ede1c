"""The vLLM engine writes what the hf engine writes (greedily, fp32), in draw order, and can be closed half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from evals.errors import ModelError
from evals.records import Problem
from evals.tasks import task_of
from evals.worlds import chain
from stages.engines.base import Completion, Draw, Request, generate, seed_of
from stages.engines.hf import HFEngine
from stages.engines.vllm import VLLMEngine
from stages.engines.vllm_start import VLLMSettings
from stages.models import load_policy

PROBLEMS = list(chain.problems("test", 20, 3))
Ask = Callable[[Callable[[Any], Awaitable[Any]]], Any]


class Opened:
    """An engine, and the event loop it lives on."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = self.loop.run_until_complete(self._open(name, VLLMSettings(**settings)))

    async def _open(self, name: str, settings: VLLMSettings) -> VLLMEngine:
        return VLLMEngine(name, settings)

    def ask(self, *requests: Request) -> list[list[Completion]]:
        return self.loop.run_until_complete(self._ask(requests))

    async def _ask(self, requests: tuple[Request, ...]) -> list[list[Completion]]:
        return await asyncio.gather(*[generate(self.engine, request) for request in requests])

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.close())
        self.loop.close()


@pytest.fixture(scope="module")
def base() -> Iterator[Opened]:
    """The embedded base on vLLM."""
    opened = Opened("chain-base")
    yield opened
    opened.close()


def greedy(problem: Problem, **more: Any) -> Request:
    return Request(problem, (Draw(1, 0.0),), max_tokens=96, stop=task_of(problem).stop, **more)


def drawn(problem: Problem, n: int = 8, **more: Any) -> Request:
    draws = tuple(Draw(seed_of("simulate", problem.id, 0, ["", i])) for i in range(n))
    return Request(problem, draws, **{"max_tokens": 96, **more})


def by_hf(name: str, *requests: Request) -> list[list[Completion]]:
    async def go() -> list[list[Completion]]:
        engine = HFEngine(load_policy(name, device="cpu", dtype="float32"))
        try:
            return await asyncio.gather(*[generate(engine, request) for request in requests])
        finally:
            await engine.close()

    return asyncio.run(go())


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
        assert len({completion.text for completion in row}) > 2
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
        leavers = [give_up(drawn(problem, eager=True)) for problem in PROBLEMS[:5]]
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

    found = base.loop.run_until_complete(likelihoods(base.engine, PROBLEMS[0], texts))  # type: ignore[arg-type]
    assert found == pytest.approx(asyncio.run(by_both())[0], abs=1e-3)
    with pytest.raises(ModelError, match="without a token"):
        base.loop.run_until_complete(likelihoods(base.engine, PROBLEMS[0], [""]))  # type: ignore[arg-type]


def test_closing_ends_open_streams_with_an_error_and_another_engine_can_be_opened(made: Path) -> None:
    opened = Opened(str(made / "merged"), rows=8, max_model_len=256)
    assert opened.engine.max_length == 256

    async def close_midway() -> None:
        taker = asyncio.ensure_future(anext(opened.engine.stream(greedy(PROBLEMS[0]))))
        await asyncio.sleep(0)
        await opened.engine.close()
        with pytest.raises(ModelError, match="closed"):
            await asyncio.wait_for(taker, 5)

    opened.loop.run_until_complete(close_midway())
    opened.loop.close()


def test_an_adapter_and_the_merged_model_write_what_they_write_in_the_hf_engine(made: Path) -> None:
    asked = [greedy(problem) for problem in PROBLEMS[:10]]
    plain = by_hf("chain-base", *asked)
    for name in ("adapter", "merged"):
        opened = Opened(str(made / name), rows=16)
        answers = opened.ask(*asked)
        opened.close()
        assert (opened.engine._lora is not None) == (name == "adapter")
        assert answers == by_hf(str(made / name), *asked), name
        assert answers != plain, "the adapter must matter"


def test_a_reward_model_and_a_broken_model_are_refused_with_one_line(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reward model"):
        Opened(str(made / "prm"))
    for file in (made / "merged").iterdir():
        (tmp_path / file.name).write_bytes(b"broken" if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(ModelError, match="vLLM cannot load") as raised:
        Opened(str(tmp_path))
    assert "\n" not in raised.value.message
    assert "--engine hf" in raised.value.advice
