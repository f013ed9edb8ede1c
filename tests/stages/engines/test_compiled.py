"""The compiled decode step: equal logits, one compilation for all sizes, and graphs recorded anew where slots move."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from transformers.cache_utils import DynamicCache

from evals.errors import ModelError, UsageError
from stages.engines.hf import decode
from stages.engines.hf.compiled import CompiledStep, Run, padded
from stages.engines.hf.slots import SlotCache
from stages.engines.hf.steps import JoinedStep
from tests.stages.engines.test_steps import EVERY, SCALED, SHARED, WITH_BIAS, model_of, written
from tests.stages.engines.tiny import ask, engine_of, request

TRACED = "aot_eager"
"""Traces and rewrites the step as for any compiler, then runs it operation by operation."""


@pytest.fixture(autouse=True)
def compiled_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # pytest enables every logger, and with this one torch writes each graph down, which takes minutes.
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def slots_of(model: Any, rows: int, columns: int) -> SlotCache:
    cache, computed = SlotCache(model.config.num_hidden_layers), DynamicCache()
    with torch.inference_mode():
        model(torch.arange(4)[None].repeat(rows, 1), past_key_values=computed, use_cache=True)
        cache.allocate(computed, rows, columns)
    return cache


@torch.inference_mode()
def walked(step: Any, model: Any, sizes: list[tuple[int, int, int]]) -> list[torch.Tensor]:
    """Logits of a step for each size: rows at work, rows and columns of the slots."""
    found, draws = [], torch.Generator().manual_seed(3)
    for live, rows, columns in sizes:
        cache = slots_of(model, rows, columns)
        last = torch.randint(3, 700, (live,), generator=draws)
        position = torch.randint(1, columns - 1, (live,), generator=draws)
        found.append(step(last, position, int(position.max()) + 1, cache))
    return found


@pytest.mark.parametrize(
    ("name", "more"), [("Llama", SCALED), ("Llama", WITH_BIAS), ("Qwen3", EVERY), ("Gemma", SHARED)]
)
def test_the_compiled_step_computes_what_the_joined_one_does(tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    model = model_of(tmp_path, name, **more)
    expected = written(model, JoinedStep(model))
    found = written(model, CompiledStep(model, TRACED))
    assert found.shape == expected.shape, "of the rows at work alone"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_one_compilation_serves_every_layer_and_every_number_of_rows_and_columns(tmp_path: Path) -> None:
    model, counter = model_of(tmp_path, "Llama", num_hidden_layers=4), CompileCounterWithBackend("eager")
    sizes = [(3, 16, 40), (16, 16, 40), (9, 16, 140), (2, 32, 300), (31, 32, 300), (60, 64, 200), (8, 48, 150)]
    step = CompiledStep(model, counter)  # type: ignore[arg-type]  # a backend may be a function as well
    for found, expected in zip(walked(step, model, sizes), walked(JoinedStep(model), model, sizes), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert counter.frame_count <= 2, "one more where rows or columns are as many as the slots have"


class Recorder:
    """Stands in for CUDA graphs: a replay reads the tensors that were read when it was recorded, wherever the slots may
    be by then, and writes the same result."""

    def __init__(self) -> None:
        self.step: CompiledStep | None = None
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, run: Run) -> tuple[Run, torch.Tensor]:
        result, places = run(), self.places()
        self.sizes.append(tuple(result.shape))

        def replay() -> torch.Tensor:
            assert self.places() == places, "a graph was kept while the slots moved"
            return result.copy_(run())

        return replay, result

    def places(self) -> list[int]:
        assert self.step is not None
        assert self.step.cache is not None
        return [tensor.data_ptr() for layer in self.step.cache.layers for tensor in (layer.keys, layer.values)]


def test_steps_are_replayed_from_the_graph_of_their_size(tmp_path: Path) -> None:
    model, record = model_of(tmp_path, "Qwen2"), Recorder()
    expected = written(model, JoinedStep(model), tokens=12)
    step = record.step = CompiledStep(model, TRACED, record)
    torch.testing.assert_close(written(model, step, tokens=12), expected, rtol=1e-4, atol=1e-5)
    assert len(record.sizes) == 1
    torch.testing.assert_close(written(model, step, tokens=12), expected, rtol=1e-4, atol=1e-5)
    assert len(record.sizes) == 2, "other slots, another graph"


def test_graphs_are_recorded_anew_where_the_engine_moves_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "COLUMN_STEP", 1)
    requests = [request(i) for i in range(6)]
    expected = ask(engine_of(rows=11), *requests)
    engine, record = engine_of(rows=11), Recorder()
    engine.loop.forward = record.step = CompiledStep(engine.model, "eager", record)
    moves = []
    allocate = engine.loop.cache.allocate
    monkeypatch.setattr(engine.loop.cache, "allocate", lambda *sizes: (moves.append(sizes), allocate(*sizes)))
    assert ask(engine, *requests) == expected
    assert len(moves) > 2, "the slots grow while draws are under way"
    assert len(record.sizes) > len(set(record.sizes)), "a size was recorded again after they had moved"
    engine.loop.cache.free()
    assert not record.step.graphs, "and none keeps memory when the slots are given up"


def test_rows_and_columns_are_padded_to_few_sizes_and_never_beyond_the_slots(tmp_path: Path) -> None:
    cache = slots_of(model_of(tmp_path, "Llama"), 48, 300)
    assert padded(1, 5, cache) == (8, 128)
    assert padded(9, 128, cache) == (16, 128)
    assert padded(33, 129, cache) == (48, 256)
    assert padded(48, 290, cache) == (48, 300)
    assert len({padded(live, longest, cache) for live in range(1, 49) for longest in range(1, 301)}) == 4 * 3


def test_a_model_that_the_joined_step_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"--compile cannot be used with this Phi model: it is for Llama, Mistral",
    ):
        CompiledStep(model_of(tmp_path, "Phi"))


def test_without_a_compiler_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.exc import InvalidCxxCompiler

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        raise InvalidCxxCompiler

    model = model_of(tmp_path, "Llama")
    with pytest.raises(UsageError, match=r"--compile needs a C\+\+ compiler"):
        walked(CompiledStep(model, backend), model, [(5, 16, 40)])  # type: ignore[arg-type]  # as above
