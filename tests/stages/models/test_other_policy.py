"""The simulator need not be the sampler: its own tokenizer and its own template put the prefix behind the question."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evals.records import Problem
from evals.tasks import task_of
from stages.engines.hf.chains import PrefixChain
from stages.engines.hf.engine import HFEngine
from stages.models.loading import load_policy
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.prefixes import prefixes
from tests.models import build_model
from tests.stages.fakes import chain_problem, path, work


@pytest.mark.parametrize("name", ["exact", "first-error", "binary", "mcts"])
def test_a_chat_model_with_another_tokenizer_labels_what_a_plain_one_sampled(name: str, tmp_path: Path) -> None:
    sampler = HFEngine(load_policy(build_model(tmp_path / "a", "llama"), device="cpu"))
    simulator = HFEngine(load_policy(build_model(tmp_path / "b", "qwen2", bos=False, chat=True, seed=1), device="cpu"))
    problem = chain_problem(paths=[path(0, "40-15=25", "25*3=75"), path(1, "café 1", "2 ½", correct=True)])
    settings = SampleSettings(n=3, max_tokens=24, keep_unfinished=True)
    sampled, _ = work(Sampler(sampler, settings), problem)
    seen: list[PrefixChain] = []
    submit = simulator.loop.submit

    def watched(chain: PrefixChain) -> None:
        seen.append(chain)
        submit(chain)

    simulator.loop.submit = watched  # type: ignore[method-assign]  # watched, not changed
    wanted = prefixes(task_of(sampled), [one for one in sampled.paths if one.labels is None]).places
    labelled, counts = work(
        Simulation(simulator, SimulateSettings(strategy=name, k=2, max_tokens=12, gold=False)), sampled
    )
    assert counts["rollouts"] > 0
    assert simulator.usage.completions == counts["rollouts"]
    texts = [_text(simulator, chain.ids) for chain in seen]
    assert all(text.startswith(f"<|user|>\n{problem.question}\n<|assistant|>\n") for text in texts)
    asked = {text.removeprefix(f"<|user|>\n{problem.question}\n<|assistant|>\n") for text in texts}
    if name == "exact":
        assert asked == set(wanted)
    assert all(one.labels is not None and len(one.labels) == len(one.steps) for one in labelled.paths)
    assert Problem.model_validate_json(labelled.to_json()).paths[0].text == problem.paths[0].text
    asyncio.run(simulator.close())


def _text(engine: HFEngine, ids: list[int]) -> str:
    return str(engine.tokenizer.decode(ids))
