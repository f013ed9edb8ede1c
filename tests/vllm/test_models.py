"""Which models vLLM opens here: adapters, merged ones, one after the other; and how it refuses the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evals.errors import ModelError
from tests.vllm.opened import PROBLEMS, Opened, by_hf, greedy


def test_closing_ends_open_streams_with_an_error_and_another_engine_can_be_opened(made: Path) -> None:
    opened = Opened(str(made / "merged"), rows=8, max_model_len=256)
    assert opened.engine.max_length == 256

    async def close_midway() -> None:
        taker = asyncio.ensure_future(anext(opened.engine.stream(greedy(PROBLEMS[0]))))
        await asyncio.sleep(0)
        await opened.engine.close()
        with pytest.raises(ModelError, match="closed"):
            await asyncio.wait_for(taker, 60)

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
