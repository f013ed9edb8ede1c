"""The hf engine: what it writes equals transformers' own greedy text, and does not depend on what runs beside it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from evals.errors import ModelError
from stages.engines.base import Completion, Draw, Request
from stages.engines.hf.engine import HFEngine
from stages.models.loading import Loaded
from tests.stages.engines.tiny import ask, build, engine_of, problem, request

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"num_key_value_heads": 4}),
    ("qwen2", {}),
    ("gemma2", {}),
    ("mistral", {}),
]


def texts(answers: list[list[Completion]]) -> list[list[str]]:
    return [[completion.text for completion in row] for row in answers]


@pytest.mark.parametrize(("kind", "changes"), KINDS)
def test_greedy_text_equals_transformers_generate(kind: str, changes: dict[str, Any]) -> None:
    plain, tokenizer = build(kind, **changes)
    plain.set_attn_implementation("eager")
    engine = engine_of(kind, **changes)
    greedy = [Request(problem(i), (Draw(i, 0.0),), max_tokens=40) for i in range(6)]
    lengths = set()
    for asked, (answer,) in zip(greedy, ask(engine, *greedy), strict=True):
        ids = engine.prompter(asked.problem).prompt_ids(asked.problem)
        lengths.add(len(ids))
        with torch.inference_mode():
            out = plain.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=40)[0, len(ids) :].tolist()
        assert answer.tokens == len(out)
        ended = out[-1] in plain.generation_config.eos_token_id
        assert answer.finish == ("stop" if ended else "length")
        written = out[:-1] if ended else out
        assert answer.text == tokenizer.decode(ids + written, skip_special_tokens=True).removeprefix(
            tokenizer.decode(ids, skip_special_tokens=True)
        )
    assert len(lengths) > 3
    if kind in ("gemma2", "mistral"):
        assert max(lengths) > 32, "the window must be smaller than the sequences"
        wide = engine_of(kind, sliding_window=256)
        assert ask(wide, *greedy) != ask(engine, *greedy), "the window must matter"


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_completion_is_the_same_alone_and_in_any_company(kind: str) -> None:
    asked = [request(i) for i in range(8)]
    engine = engine_of(kind, rows=64)
    together = ask(engine, *asked)
    assert len({completion.tokens for row in together for completion in row}) > 2, "texts differ"
    assert engine.loop.peak_rows > 8, "draws of an eager request run side by side"
    assert [ask(engine, one)[0] for one in asked] == together
    for rows in (1, 3):
        few = engine_of(kind, rows=rows)
        assert ask(few, *asked[:4]) == together[:4]
        assert few.loop.peak_rows <= rows
    strangers = [request(i, 2, top_p=0.8, stop=("e",), max_tokens=90) for i in range(20, 30)]
    assert ask(engine, *strangers[:5], *asked, *strangers[5:])[5:13] == together


def test_draws_split_over_two_requests_are_the_same() -> None:
    engine, whole = engine_of(), request(3, 6)
    (together,) = ask(engine, whole)
    first, second = (replace(whole, draws=whole.draws[part]) for part in (slice(0, 2), slice(2, 6)))
    later, earlier = ask(engine, second, first)
    assert [*earlier, *later] == together
    assert [completion.seed for completion in together] == [draw.seed for draw in whole.draws]


@pytest.mark.parametrize("rows", [6, 40])
def test_closing_streams_midway_changes_nobody_else_and_frees_the_rows(rows: int) -> None:
    engine = engine_of(rows=rows)
    expected = ask(engine_of(), *(request(i) for i in range(4)))

    async def give_up(asked: Request, after: int) -> list[Completion]:
        got = []
        async with aclosing(engine.stream(asked)) as draws:
            async for completion in draws:
                got.append(completion)
                if len(got) == after:
                    break
        return got

    async def go() -> list[list[Completion]]:
        leavers = [give_up(request(i, 8, max_tokens=100), 1) for i in range(10, 18)]
        stayers = [give_up(request(i), 99) for i in range(4)]
        return await asyncio.gather(*leavers, *stayers)

    answers = asyncio.run(go())
    assert answers[8:] == expected
    assert answers[:8] == [row[:1] for row in ask(engine, *(request(i, 1, max_tokens=100) for i in range(10, 18)))]
    assert engine.loop.live == 0
    assert not engine.loop.queue
    assert (engine.usage.cancelled_tokens > 0) == (rows == 40), "draws are begun ahead only where rows are spare"
    assert engine.usage.completions < 8 * 8 + 16


def test_a_stream_that_is_taken_slowly_costs_no_further_draw_once_closed() -> None:
    engine = engine_of(rows=1)

    async def go() -> None:
        async with aclosing(engine.stream(request(1, 8))) as draws:
            assert await anext(draws) is not None

    asyncio.run(go())
    assert engine.usage.completions == 1
    assert engine.usage.cancelled_tokens <= 2


def test_draws_of_one_prompt_share_a_prefill_and_prefixes_that_extend_each_other_too() -> None:
    engine = engine_of()
    ask(engine, request(2, 8))
    ids = engine.prompter(problem(2)).prompt_ids(problem(2))
    assert engine.usage.prompt_tokens == len(ids) - 1
    engine = engine_of()
    steps = ["", "40+32=72\n", "40+32=72\n72-5=67\n", "40+32=72\n72-5=67\n67*1=67\n"]
    asked = [request(2, 3, prefix=prefix) for prefix in steps]
    answers = ask(engine, *asked)
    encoded = engine.prompter(problem(2)).encode(problem(2), steps[-1], end=False)
    longest = len(encoded.ids)
    assert longest - 1 <= engine.usage.prompt_tokens < longest + 6, "one pass over the longest, tokens merged aside"
    alone = engine_of()
    assert [ask(alone, one)[0] for one in asked] == answers


def test_stop_strings_cut_the_text_before_them() -> None:
    engine = engine_of(ends=100)
    (free,) = ask(engine, request(5, 6, max_tokens=60))
    for stop in (("e",), ("n", "e"), (free[1].text[7:12],), (free[4].text[3:14], "zzz")):
        (cut,) = ask(engine, request(5, 6, max_tokens=60, stop=stop))
        for whole, part in zip(free, cut, strict=True):
            places = [place for place in (whole.text.find(string) for string in stop) if place >= 0]
            expected = whole.text[: min(places)] if places else whole.text
            assert part.text == expected, stop
            if places:
                assert part.finish == "stop"
                assert part.tokens <= whole.tokens
        assert any(part.text != whole.text for whole, part in zip(free, cut, strict=True)), stop
    assert {part.finish for part in ask(engine, request(5, 6, max_tokens=3))[0]} == {"length"}


def test_a_prompt_as_long_as_the_model_leaves_no_room_and_says_so() -> None:
    engine = engine_of(max_position_embeddings=64)
    ids = engine.prompter(problem(0)).prompt_ids(problem(0))
    filler = "4 " * 70
    full = request(0, 3, prefix=filler)
    room = engine_of(max_position_embeddings=len(ids) + 5)
    answers = ask(engine, full, request(0, 2, max_tokens=5))
    assert [(c.text, c.tokens, c.finish) for c in answers[0]] == [("", 0, "length")] * 3
    assert [c.seed for c in answers[0]] == [draw.seed for draw in full.draws]
    assert all(0 < c.tokens <= 5 for c in answers[1])
    assert engine.usage.completions == 5
    assert max(c.tokens for c in ask(room, request(0, 8, max_tokens=100))[0]) <= 5


def test_usage_counts_what_was_handed_out_and_what_was_given_up() -> None:
    engine = engine_of()
    answers = ask(engine, *(request(i) for i in range(5)))
    usage = engine.usage
    assert usage.completions == 20
    assert usage.tokens == sum(completion.tokens for row in answers for completion in row)
    assert usage.cancelled_tokens == 0
    assert engine.spent() == asdict(usage)
    assert usage.tokens == engine.loop.row_steps


@pytest.mark.parametrize("kind", ["llama", "gemma2", "mistral"])
def test_loglikelihood_equals_a_float64_reference(kind: str) -> None:
    engine = engine_of(kind)
    reference, _ = build(kind)
    reference.set_attn_implementation("eager")
    reference = reference.double()
    options = [" A", " B", "72", "The answer is 72", "40+32=72\n72-5=67"]
    for i in (0, 4):
        asked, prompter = problem(i), engine.prompter(problem(i))
        found = asyncio.run(engine.loglikelihood(asked, options))
        for text, value in zip(options, found, strict=True):
            encoded = prompter.encode(asked, text, end=False)
            with torch.inference_mode():
                logits = reference(torch.tensor([encoded.ids])).logits[0, :-1].double().log_softmax(-1)
            token = logits[range(len(encoded.ids) - 1), encoded.ids[1:]]
            assert value == pytest.approx(token[len(encoded.prompt_ids) - 1 :].sum().item(), abs=1e-4)
    with pytest.raises(ModelError, match="without a token"):
        asyncio.run(engine.loglikelihood(problem(0), ["A", ""]))


def test_bfloat16_writes() -> None:
    model, tokenizer = build("llama", dtype="bfloat16")
    engine = HFEngine(Loaded(model, tokenizer, "cpu", "bfloat16", "m", "", None))
    asked = [request(i) for i in range(3)]
    answers = ask(engine, *asked)
    assert all(0 < completion.tokens <= 40 for row in answers for completion in row)
    assert texts([ask(engine, asked[0])[0]]) == texts([ask(engine, asked[0])[0]])


def test_closing_the_engine_ends_open_streams_with_an_error() -> None:
    async def go() -> None:
        engine = engine_of()
        taker = asyncio.ensure_future(anext(engine.stream(request(1, 1, max_tokens=200))))
        for _ in range(3):
            await asyncio.sleep(0)
        await engine.close()
        with pytest.raises(ModelError, match="closed"):
            await asyncio.wait_for(taker, 60)

    asyncio.run(go())


def test_an_error_in_the_model_reaches_everybody_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a kernel is broken")

    monkeypatch.setattr(engine.model, "forward", broken)

    async def go() -> list[object]:
        streams = [anext(engine.stream(request(i))) for i in range(3)]
        return await asyncio.wait_for(asyncio.gather(*streams, return_exceptions=True), 60)

    assert [str(error) for error in asyncio.run(go())] == ["a kernel is broken"] * 3


def test_what_is_written_grows_with_each_token_and_ends_as_what_was_handed_out_and_given_up() -> None:
    engine = engine_of("llama", rows=8)
    seen = []

    async def look() -> None:
        while True:
            seen.append(engine.written())
            await asyncio.sleep(0)

    async def go() -> None:
        looking = asyncio.ensure_future(look())
        lazy = engine.stream(replace(request(1, 4), eager=False))
        async with aclosing(lazy):
            await anext(lazy)
        async for _ in engine.stream(request(0, 12, max_tokens=30)):
            pass
        looking.cancel()

    asyncio.run(go())
    assert seen == sorted(seen)
    assert max(after - before for before, after in pairwise(seen)) <= 8, "one token per row and step"
    assert engine.written() == engine.usage.tokens + engine.usage.cancelled_tokens > 100
