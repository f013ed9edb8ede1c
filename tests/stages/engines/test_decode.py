"""The decode loop when memory is short, when slots grow, and the reading of text and stop strings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from evals.errors import ModelError
from stages.engines.base import Completion, Draw
from stages.engines.hf import decode
from stages.engines.hf.blocks import ON_CPU
from stages.engines.hf.chains import PrefixChain, in_batches, leaves_of
from stages.engines.hf.engine import HFEngine
from stages.engines.hf.sampling import pick
from stages.engines.hf.slots import bytes_per_column
from stages.engines.stops import TextReader
from tests.stages.engines.tiny import ask, engine_of, request, tokenizer_of

CAPABILITY = torch.backends.cpu.get_cpu_capability()
"""The kernels that torch takes here. That whole blocks give equal bits was measured with those for AVX2."""


@pytest.fixture(scope="module")
def expected() -> list[list[Completion]]:
    """What an engine with room to spare writes for problems 0 to 9."""
    return ask(engine_of(), *(request(i) for i in range(10)))


def asked(problems: int = 10) -> list[Any]:
    return [request(i) for i in range(problems)]


def short_of_memory(
    engine: HFEngine, monkeypatch: pytest.MonkeyPatch, most: int, error: type[Exception] = torch.OutOfMemoryError,
    message: str = "CUDA out of memory", decoding_only: bool = False,
) -> None:  # fmt: skip
    """Let the model refuse batches of more than `most` rows, those that only complete a block not counted."""

    def limited(compute: Callable[..., Any], decoding: bool) -> Callable[..., Any]:
        def computed(ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if (engine.loop.live if decoding else len(ids)) > most:
                raise error(message)
            return compute(ids, *args, **kwargs)

        return computed

    monkeypatch.setattr(engine.loop, "forward", limited(engine.loop.forward, True))
    if not decoding_only:
        monkeypatch.setattr(engine.model, "forward", limited(engine.model.forward, False))


@pytest.mark.parametrize("most", [1, 2, 7, 20])
@pytest.mark.parametrize("decoding_only", [False, True])
def test_running_out_of_memory_halves_the_rows_and_changes_no_text(
    monkeypatch: pytest.MonkeyPatch, expected: list[list[Completion]], most: int, decoding_only: bool
) -> None:
    engine, problems = engine_of(), 10 if most > 2 else 4  # one or two rows take long
    short_of_memory(engine, monkeypatch, most, decoding_only=decoding_only)
    assert ask(engine, *asked(problems)) == expected[:problems]
    assert engine.loop.backed_off >= 1
    assert engine.loop.peak_rows <= max(most, 1)
    assert engine.loop.max_rows > most // 2, "it must not fall further than it has to"
    assert engine.usage.completions == 4 * problems
    assert engine.usage.tokens == sum(completion.tokens for row in expected[:problems] for completion in row)


@pytest.mark.parametrize(
    "message",
    ["DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", "MPS backend out of memory"],
)
def test_other_devices_run_out_of_memory_in_their_own_words(
    monkeypatch: pytest.MonkeyPatch, expected: list[list[Completion]], message: str
) -> None:
    engine = engine_of()
    short_of_memory(engine, monkeypatch, 5, RuntimeError, message)
    assert ask(engine, *asked()) == expected
    assert engine.loop.backed_off >= 1


def test_a_single_row_that_does_not_fit_is_an_error_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of()
    short_of_memory(engine, monkeypatch, 0)
    with pytest.raises(ModelError, match="out of memory") as caught:
        ask(engine, *asked())
    assert "--max-tokens" in caught.value.advice


def test_the_cpu_allocator_speaks_as_the_loop_expects() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert any(said in str(caught.value).lower() for said in decode.NO_MEMORY)


@pytest.mark.parametrize("columns", [1, 60, 150, 400, 1500])
@pytest.mark.parametrize("step", [1, 32])
def test_a_small_budget_for_keys_and_values_changes_no_text(
    monkeypatch: pytest.MonkeyPatch, expected: list[list[Completion]], columns: int, step: int
) -> None:
    monkeypatch.setattr(decode, "COLUMN_STEP", step)
    engine = engine_of()
    probe = engine_of()
    ask(probe, request(0, 1))
    width = bytes_per_column(probe.loop.cache)
    engine.loop.limits = replace(engine.loop.limits, cache_bytes=width * columns)
    problems = 10 if columns > 150 else 4  # a row or two at a time take long
    assert ask(engine, *asked(problems)) == expected[:problems]
    loop = engine.loop
    assert loop.cache.rows == ON_CPU.rows or loop.cache.rows * loop.cache.columns <= columns
    assert loop.peak_rows <= max(1, columns // ON_CPU.fewest)
    if step == 1 and columns >= 400:
        assert loop.usage.cancelled_tokens > 0, "rows must have been put back when the slots grew"
    assert loop.usage.completions == 4 * problems


def logits_of(engine: HFEngine, problems: int) -> dict[tuple[int, int], torch.Tensor]:
    """The logits of every token that the engine draws for some problems, by seed and number of the token."""
    seen: dict[tuple[int, int], torch.Tensor] = {}

    def kept(logits: torch.Tensor, seeds: torch.Tensor, counts: torch.Tensor, *more: Any) -> torch.Tensor:
        seen.update(zip(zip(seeds.tolist(), counts.tolist(), strict=True), logits.clone(), strict=True))
        return pick(logits, seeds, counts, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "pick", kept)
        ask(engine, *asked(problems))
    return seen


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2", "mistral"])
def test_logits_are_the_same_to_the_last_bit_whatever_is_decoded_beside_them(kind: str) -> None:
    def watched(engine: HFEngine) -> HFEngine:
        forward = engine.loop.forward

        def whole(last: torch.Tensor, position: torch.Tensor, longest: int, *more: Any) -> torch.Tensor:
            assert (len(last) % ON_CPU.rows, longest % ON_CPU.columns) == (0, 0), "also where it makes no difference"
            assert longest >= ON_CPU.fewest
            return forward(last, position, longest, *more)

        engine.loop.forward = whole
        return engine

    expected = logits_of(watched(engine_of(kind)), 6)
    for rows, problems in ((1, 1), (3, 3), (13, 6)):
        found = logits_of(watched(engine_of(kind, rows=rows)), problems)
        assert len(found) > 20
        for token, logits in found.items():
            torch.testing.assert_close(logits, expected[token], rtol=1e-4, atol=1e-4)
        if CAPABILITY == "AVX2":
            assert all(torch.equal(found[token], expected[token]) for token in found)


@pytest.mark.skipif(CAPABILITY != "AVX2", reason="equal bits were measured with AVX2 kernels alone")
@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_whole_blocks_do_not_depend_on_how_many_there_are(threads: int) -> None:
    """What the blocks stand on: a row of a product is the same in every whole number of blocks."""
    draws, before = torch.Generator().manual_seed(1), torch.get_num_threads()
    inputs, weight = torch.randn(96, 224, generator=draws), torch.randn(448, 224, generator=draws)
    queries, keys = torch.randn(16, 2, 32, generator=draws), torch.randn(16, 160, 32, generator=draws)
    torch.set_num_threads(threads)
    try:
        products, scores = functional.linear(inputs, weight), torch.bmm(queries, keys.transpose(1, 2))
        for rows in range(ON_CPU.rows, 96, ON_CPU.rows):
            assert torch.equal(functional.linear(inputs[:rows], weight), products[:rows])
        for columns in range(ON_CPU.fewest, 160, ON_CPU.columns):
            seen = torch.bmm(queries, keys[:, :columns].transpose(1, 2))
            assert torch.equal(seen, scores[:, :, :columns])
            assert torch.equal(seen.softmax(-1), seen.new_full(scores.shape, -torch.inf).index_copy(
                2, torch.arange(columns), seen).softmax(-1)[:, :, :columns])  # fmt: skip
    finally:
        torch.set_num_threads(before)


def test_slots_that_grow_column_by_column_change_no_text(
    monkeypatch: pytest.MonkeyPatch, expected: list[list[Completion]]
) -> None:
    monkeypatch.setattr(decode, "COLUMN_STEP", 1)
    engine = engine_of()
    assert ask(engine, *asked()) == expected
    assert engine.loop.cache.columns > 60


def test_prompts_of_a_single_token_are_written_from() -> None:
    engine = engine_of()

    def single(tokens: list[int], seed: int) -> list[Completion]:
        got: list[Completion] = []
        draws = [Draw(seed + j, float(j)) for j in range(3)]
        engine.loop.submit(PrefixChain(tokens, draws, 1.0, 12, (), got.append, eager=True))
        with torch.inference_mode():
            while engine.loop.step():
                pass
        return got

    alone = single([5], 3)
    assert len(alone) == 3
    with torch.inference_mode():
        first = engine.model(torch.tensor([[5]])).logits[0, -1].argmax().item()
    assert alone[0].text.startswith(engine.tokenizer.decode([5, first])[len(engine.tokenizer.decode([5])) :])
    both: list[list[Completion]] = [[], []]
    for tokens, got in (([5], both[0]), ([5, 9, 77, 30], both[1])):
        draws = [Draw(3 + j, float(j)) for j in range(3)]
        engine.loop.submit(PrefixChain(tokens, draws, 1.0, 12, (), got.append, eager=True))
    with torch.inference_mode():
        while engine.loop.step():
            pass
    assert both[0] == alone


def test_a_chain_closed_while_it_waits_is_never_started(expected: list[list[Completion]]) -> None:
    engine = engine_of(rows=2)

    async def left_at_once(i: int) -> None:
        async with aclosing(engine.stream(request(i, 8, max_tokens=200))) as draws:
            task = asyncio.ensure_future(anext(draws))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def go() -> list[Completion]:
        async with aclosing(engine.stream(request(1))) as draws:
            first = await anext(draws)
            await asyncio.gather(*(left_at_once(i) for i in range(40, 50)))
            return [first, *[completion async for completion in draws]]

    assert asyncio.run(go()) == expected[1]
    assert engine.loop.live == 0
    assert engine.usage.cancelled_tokens < 100


def test_of_prefixes_that_extend_each_other_only_the_longest_is_computed() -> None:
    prefixes = [[1, 2], [1, 2, 3, 4], [1, 2, 9], [], [1, 2, 3], [7], [1, 2, 3, 4]]
    leaves, source = leaves_of(prefixes)
    assert sorted(leaves) == [[1, 2, 3, 4], [1, 2, 9], [7]]
    assert all(leaves[source[i]][: len(prefix)] == prefix for i, prefix in enumerate(prefixes))


def write(engine: HFEngine, prompts: list[list[int]], tokens: int) -> tuple[list[str], list[int]]:
    """Greedy texts after prompts that are submitted at once, and the rows at work in each step."""
    got: list[Completion | None] = [None] * len(prompts)
    rows = []
    for i, ids in enumerate(prompts):
        engine.loop.submit(PrefixChain(ids, [Draw(i, 0.0)], 1.0, tokens, (), partial(got.__setitem__, i)))
    with torch.inference_mode():
        while engine.loop.step():
            rows.append(engine.loop.live)
    return [completion.text for completion in got if completion is not None], rows


def test_after_one_long_prompt_as_many_rows_are_at_work_as_without_it() -> None:
    short = [[1, *(3 + (7 * i + j) % 300 for j in range(439))] for i in range(70)]
    long = [1, *(3 + j % 300 for j in range(2999))]
    texts, at_work = {}, {}
    for name, prompts in (("without", short), ("with", [long, *short])):
        engine = engine_of(max_position_embeddings=4096)
        probe = engine_of()
        ask(probe, request(0, 1))
        # Room for 35 rows of a short prompt with its text, and for 5 of the long one.
        room = 35 * 480
        engine.loop.limits = replace(engine.loop.limits, cache_bytes=bytes_per_column(probe.loop.cache) * room)
        written, rows = write(engine, prompts, 12)
        texts[name], at_work[name] = written[-len(short) :], max(rows)
        assert engine.loop.cache.rows * engine.loop.cache.columns <= room
    assert texts["with"] == texts["without"]
    assert at_work == {"without": 32, "with": 32}, "whole blocks of rows"


def test_a_prefill_is_bounded_by_its_padded_tokens(
    monkeypatch: pytest.MonkeyPatch, expected: list[list[Completion]]
) -> None:
    engine, sizes = engine_of(), []
    engine.loop.limits = replace(engine.loop.limits, prefill_tokens=150)
    forward = engine.model.forward

    def watched(ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if ids.shape[1] > 1:
            sizes.append((ids.shape[0], ids.shape[1]))
        return forward(ids, *args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", watched)
    assert ask(engine, *asked()) == expected
    assert len(sizes) > 2
    assert max(rows * columns for rows, columns in sizes if rows > 1) <= 150


def test_what_is_computed_together_is_counted_with_its_padding() -> None:
    assert in_batches([3000, 20, 20, 20, 5], 60) == [(0, 1), (1, 4), (4, 5)]
    assert in_batches([], 60) == []


def test_a_character_of_several_tokens_comes_out_whole() -> None:
    tokenizer = tokenizer_of("llama")
    reader = TextReader(tokenizer, [tokenizer.eos_token_id], len(tokenizer))
    prompt = tokenizer("Question: café?\nAnswer:\n")["input_ids"]
    text = "20 € 🦊 half"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    fox = len(tokenizer("🦊", add_special_tokens=False)["input_ids"])
    assert fox == 4, "the test needs a character that is split"
    assert reader.read(prompt, ids, ()) == (text, False)
    assert reader.read(prompt, ids, ("🦊",)) == ("20 € ", True)
    reader.watch(["🦊"])
    at = next(i for i in range(len(ids)) if "🦊" in tokenizer.decode(ids[: i + 1]))
    assert reader.suspicious[ids[at]], "the byte that completes the character must be looked at"


def test_a_stop_string_is_seen_wherever_it_ends_within_a_token() -> None:
    tokenizer = tokenizer_of("llama")
    reader = TextReader(tokenizer, [tokenizer.eos_token_id], len(tokenizer))
    reader.watch(["Question:", "\nQ:"])
    colon = [i for i in range(len(tokenizer)) if ":" in tokenizer.decode([i])]
    assert colon
    assert reader.suspicious[colon].all()
    letters = tokenizer.convert_tokens_to_ids("a")
    assert not reader.suspicious[letters]
    reader.watch(["a"])
    assert reader.suspicious[letters]
    assert np.flatnonzero(reader.is_end).tolist() == [tokenizer.eos_token_id]


def test_a_leading_space_of_what_is_written_is_kept() -> None:
    for family in ("llama", "gemma2"):
        tokenizer = tokenizer_of(family)
        reader = TextReader(tokenizer, [tokenizer.eos_token_id], len(tokenizer))
        prompt = tokenizer("Answer:")["input_ids"]
        ids = tokenizer(" 48 clips", add_special_tokens=False)["input_ids"]
        assert reader.read(prompt, ids, ())[0] == " 48 clips"
