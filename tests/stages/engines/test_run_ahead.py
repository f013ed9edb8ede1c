"""Draws that are begun before the one before them has ended, in rows that would be idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from stages.engines.base import Completion, Draw
from stages.engines.hf.chains import PrefixChain
from tests.stages.engines.tiny import engine_of

PROMPT = [5, 9, 77, 30]


def chain(deliver: Callable[[Completion], None] = lambda completion: None, *, eager: bool = False) -> PrefixChain:
    return PrefixChain(PROMPT, [Draw(3 + j) for j in range(8)], 1.0, 12, (), deliver, eager=eager)


def test_a_draw_is_wanted_more_after_each_that_did_not_end_the_chain_and_less_behind_those_under_way() -> None:
    assert chain(eager=True).wanted() == 1
    fresh, tried, ahead = chain(), chain(), chain()
    fresh.started, tried.started, tried.delivered, ahead.started = 1, 4, 3, 4
    assert fresh.wanted() == pytest.approx(1 / 1.5)
    assert tried.wanted() == pytest.approx(4 / 4.5)
    assert ahead.wanted() == pytest.approx(1 / 1.5 * 2 / 2.5 * 3 / 3.5 * 4 / 4.5)


@pytest.mark.parametrize(
    ("flat_rows", "eager", "at_first"), [(0, False, 1), (2, False, 3), (10_000, False, 8), (0, True, 8)]
)
def test_as_many_run_ahead_as_are_worth_their_rows_and_the_texts_are_the_same(
    flat_rows: int, eager: bool, at_first: int
) -> None:
    texts = {}
    for name, few in (("alone", 0), ("ahead", flat_rows)):
        engine, got = engine_of(rows=16), list[Completion]()
        engine.loop.limits = replace(engine.loop.limits, flat_rows=few)
        engine.loop.submit(chain(got.append, eager=eager and name == "ahead"))
        with torch.inference_mode():
            engine.loop.step()
            first = engine.loop.live
            while engine.loop.step():
                pass
        texts[name] = got
    assert first == at_first
    assert texts["ahead"] == texts["alone"]
    assert len(texts["alone"]) == 8


def test_the_chain_that_has_tried_in_vain_runs_ahead_first() -> None:
    engine = engine_of(rows=4)
    engine.loop.limits = replace(engine.loop.limits, flat_rows=10_000)
    fresh, tried = chain(), chain()
    tried.started = tried.delivered = 4
    for each in (fresh, tried):
        engine.loop.submit(each)
    with torch.inference_mode():
        engine.loop.step()
    assert [row is tried for row in engine.loop.chains].count(True) == 3
    assert engine.loop.live == 4


def test_nothing_runs_ahead_of_a_chain_that_waits() -> None:
    engine = engine_of(rows=4)
    for _ in range(5):
        engine.loop.submit(chain())
    with torch.inference_mode():
        engine.loop.step()
    assert len(set(engine.loop.chains)) == 4
