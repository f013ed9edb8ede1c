"""Opening the `vllm` engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.engines.vllm.start import VLLMStart, vllm_facts
from stages.models.devices import choose_device, choose_dtype
from stages.models.facts import loaded_model, model_facts
from stages.settings.model import EngineSettings, ScorerSettings

if TYPE_CHECKING:
    from stages.engines.vllm.engine import VLLMEngine


def describe(settings: EngineSettings) -> dict[str, Any]:
    """The model, in what it computes, and vLLM's version."""
    named = loaded_model(settings)
    facts = vllm_facts(load_in_4bit=settings.load_in_4bit, tensor_parallel=settings.tensor_parallel)
    return {"engine": "vllm", **model_facts(named, settings), **facts}


def open_engine(settings: EngineSettings) -> VLLMEngine:
    """The engine, its model loaded."""
    from stages.engines.vllm.engine import VLLMEngine

    how = vllm_start(settings, settings.batch_rows)
    return VLLMEngine(loaded_model(settings), how, settings.template, settings.chat_arg)


def vllm_start(settings: EngineSettings | ScorerSettings, rows: int | None = None) -> VLLMStart:
    """How vLLM is started, device and number format chosen."""
    device = choose_device(settings.device)
    return VLLMStart(
        device=device,
        dtype=choose_dtype(settings.dtype, device),
        rows=rows,
        tensor_parallel=settings.tensor_parallel,
        gpu_memory=settings.gpu_memory,
        max_model_len=settings.max_model_len,
        trust_remote_code=settings.trust_remote_code,
    )
