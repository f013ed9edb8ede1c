"""Sampler, trainers and scorer compute the same model: their logits against transformers' own eager attention."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import ModelError
from stages.engines.base import Draw
from stages.engines.hf import decode
from stages.engines.hf.chains import PrefixChain
from stages.engines.hf.engine import HFEngine
from stages.engines.hf.masks import RowMasks
from stages.engines.hf.probe import probe
from stages.engines.hf.steps import ModelStep
from stages.engines.opening import describe_engine, open_engine
from stages.models.attention import use_whole_attention
from stages.models.loading import load_policy, load_weights
from stages.models.reward import load_reward_model
from stages.settings.model import EngineSettings
from stages.settings.training import TrainSettings
from stages.training.weights import POLICY, REWARD, load_trainable
from tests.architectures import CONFIGS, REFUSED, WINDOW, build
from tests.models import build_model

LENGTHS = (40, 23, 31)
PROMPT = 12
"""Tokens that are prefilled; the rest is decoded one by one, past the sliding window."""
CLOSE = 2e-5
OPTIONS = TrainSettings(device="cpu", dtype="float32")


def texts() -> list[list[int]]:
    assert min(LENGTHS) > WINDOW
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 700, (length,), generator=generator).tolist() for length in LENGTHS]


def padded(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def batched(model: Any) -> list[torch.Tensor]:
    """What a model in eval mode computes for all texts in one padded batch, as trainers and scorer ask it."""
    with torch.no_grad():
        logits = model.eval()(**padded(texts())).logits
    return [logits[i, :length] for i, length in enumerate(LENGTHS)]


def eager(model: Any) -> list[torch.Tensor]:
    """What transformers' eager attention computes for each text alone."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return [model.eval()(input_ids=torch.tensor([row])).logits[0] for row in texts()]


def decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Logits at the tokens that the engine writes, made to write the texts: slots, masks, grouped attention."""
    engine = HFEngine(load_policy(name, "cpu", "float32"))
    engine.loop.reader.is_end[:] = False
    seen: list[list[torch.Tensor]] = [[] for _ in LENGTHS]

    def forced(logits: torch.Tensor, seeds: torch.Tensor, counts: torch.Tensor, *_: Any) -> torch.Tensor:
        chosen = []
        for row, which, count in zip(logits, seeds.tolist(), counts.tolist(), strict=True):
            seen[which].append(row.clone())
            chosen.append(texts()[which][PROMPT + count])
        return torch.tensor(chosen)

    monkeypatch.setattr(decode, "pick", forced)
    for which, row in enumerate(texts()):
        most = len(row) - PROMPT
        engine.loop.submit(PrefixChain(row[:PROMPT], [Draw(which)], 1.0, most, (), lambda _: None))
    with torch.inference_mode():
        while engine.loop.step():
            pass
    return [torch.stack(rows) for rows in seen]


def close(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert other.std() > 0.05, "the weights must be large enough for a difference to show"
        assert float((one - other).abs().max() / other.std()) < CLOSE


@pytest.mark.parametrize("name", CONFIGS)
def test_every_stage_computes_the_model_that_eager_attention_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = build(tmp_path, name)
    expected = eager(load_weights(folder, "AutoModelForCausalLM", "cpu", "float32"))
    close(batched(load_trainable(folder, POLICY, OPTIONS)), expected)
    close(batched(load_policy(folder, "cpu", "float32").model), expected)  # eval's likelihoods
    close(decoded(folder, monkeypatch), [rows[PROMPT - 1 : -1] for rows in expected])

    trained = load_trainable(folder, REWARD, OPTIONS)
    head = trained.score
    head.weight.data.normal_(0, 0.5)
    trained.save_pretrained(tmp_path / "prm")
    read = {"sigmoid": False, "new_head": False}
    scored = load_reward_model(str(tmp_path / "prm"), "cpu", "float32", **read)
    expected = eager(load_reward_model(str(tmp_path / "prm"), "cpu", "float32", **read))
    close(batched(trained), expected)
    close(batched(scored), expected)
    with torch.no_grad():  # the policy's own last hidden states under the head
        policy = load_weights(folder, "AutoModelForCausalLM", "cpu", "float32")
        policy.set_attn_implementation("eager")
        hidden = [policy.model(input_ids=torch.tensor([row])).last_hidden_state[0] for row in texts()]
        close([head(rows) for rows in hidden], expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_trains_and_scores_is_the_same_model_in_both(tmp_path: Path, name: str) -> None:
    folder = build(tmp_path, name)
    expected = eager(load_weights(folder, "AutoModelForCausalLM", "cpu", "float32"))
    close(batched(load_trainable(folder, POLICY, OPTIONS)), expected)
    load_trainable(folder, REWARD, OPTIONS).save_pretrained(tmp_path / "prm")
    scored, plain = (
        load_reward_model(str(tmp_path / "prm"), "cpu", "float32", sigmoid=False, new_head=False) for _ in range(2)
    )
    close(batched(scored), eager(plain))


def test_the_test_would_notice_what_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.models.attention.use_whole_attention", lambda model: None)  # what sdpa drops
    folder = build(tmp_path / "sdpa", "Gemma-2")
    with pytest.raises(AssertionError):
        close(batched(load_trainable(folder, POLICY, OPTIONS)), eager(load_policy(folder, "cpu", "float32").model))
    for name, changes in (("Gemma-2", {"attn_logit_softcapping": None}), ("Mistral", {"sliding_window": None})):
        folder = build(tmp_path / name, name)
        whole = eager(load_weights(folder, "AutoModelForCausalLM", "cpu", "float32"))
        other = eager(load_weights(folder, "AutoModelForCausalLM", "cpu", "float32", **changes))
        with pytest.raises(AssertionError):
            close(other, whole)


def test_an_attention_with_more_than_is_known_stays_transformers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers.models.llama.modeling_llama as llama

    model = load_policy(build_model(tmp_path, "llama"), "cpu", "float32").model

    def with_bias(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, key_bias: Any = None) -> None: ...

    monkeypatch.setattr(llama, "eager_attention_forward", with_bias)
    use_whole_attention(model)
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_slots_cannot_hold_is_refused_when_it_is_opened(tmp_path: Path, name: str) -> None:
    settings = EngineSettings(model=build(tmp_path, name), device="cpu")
    with pytest.raises(ModelError) as opened:
        asyncio.run(_opened(settings))
    assert "--engine vllm" in opened.value.advice
    assert "\n" not in opened.value.message
    if name != "Bloom":  # its configuration does not show that its positions come from the mask
        with pytest.raises(ModelError) as described:
            describe_engine(settings)
        assert str(described.value) == str(opened.value)


async def _opened(settings: EngineSettings) -> None:
    await open_engine(settings).close()


class _Blind(RowMasks):
    """Lets a row see nothing but its last token."""

    def __call__(self, position: torch.Tensor, longest: int) -> Any:
        return torch.where(torch.arange(longest) < longest - 1, torch.finfo(torch.float32).min, 0.0)[None, None, None]


def test_a_decode_path_that_computes_something_else_is_noticed(tmp_path: Path) -> None:
    loaded = load_policy(build(tmp_path, "Llama"), "cpu", "float32")
    step = ModelStep(loaded.model)
    probe(loaded, step)
    step.mask = _Blind(loaded.model)
    with pytest.raises(ModelError, match="does not compute"):
        probe(loaded, step)
    loaded.model.lm_head.weight.data[3] = float("nan")
    probe(loaded, step)  # a model that has diverged is the sampler's to tell
