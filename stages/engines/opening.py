"""From settings to an engine: what would be opened, told without loading a weight, and the opening itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import UsageError
from stages.engines.base import Engine

if TYPE_CHECKING:
    from stages.engines.vllm.start import VLLMSettings


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which engine, on which model, and how it runs. `rows` None: chosen from the device's memory."""

    engine: str = "hf"
    model: str | None = None
    script: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    rows: int | None = None
    load_in_4bit: bool = False
    template: str = "auto"
    trust_remote_code: bool = False
    tensor_parallel: int = 1
    gpu_memory: float = 0.9
    max_model_len: int | None = None
    url: str | None = None
    tokenizer: str | None = None
    concurrency: int = 64
    timeout: float = 300.0
    retries: int = 6


def describe_engine(settings: EngineSettings) -> dict[str, Any]:
    """What of the engine decides the text it writes: recorded in the manifest and compared when a run is resumed.

    Raises:
        UsageError: an engine without its model, script or URL, or with an option that is another's.
        ModelError: no such model, device or engine here.
    """
    if settings.engine == "scripted":
        if settings.script is None:
            raise UsageError("--engine scripted needs --script", "For example --script gold:0.4.")
        facts: dict[str, Any] = {"engine": "scripted", "script": settings.script}
        if Path(settings.script).is_file():
            facts["script_sha256"] = hashlib.sha256(Path(settings.script).read_bytes()).hexdigest()
        return facts
    if settings.model is None:
        raise UsageError(f"--engine {settings.engine} needs --model", "A folder, a hub name, or chain-base.")
    if settings.engine == "server":
        return _describe_server(settings)
    from stages.models.devices import choose_device, choose_dtype
    from stages.models.loading import model_fingerprint

    if settings.engine == "vllm":
        from stages.engines.vllm.start import vllm_facts

        more = vllm_facts(load_in_4bit=settings.load_in_4bit, tensor_parallel=settings.tensor_parallel)
    else:
        more = {}
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    return {
        "engine": settings.engine,
        "model": settings.model,
        "model_sha256": model_fingerprint(settings.model),
        "device": device,
        "dtype": dtype,
        "load_in_4bit": settings.load_in_4bit,
        "template": settings.template,
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
        **more,
    }


def _describe_server(settings: EngineSettings) -> dict[str, Any]:
    """The address is left out: a run may go on with another server of the same model."""
    from stages.engines.server.engine import base_url

    if settings.url is None:
        raise UsageError("--engine server needs --url", "For example --url http://localhost:8000/v1.")
    base_url(settings.url)
    facts = {
        "engine": "server",
        "model": settings.model,
        "template": settings.template,
        "prompts sent as": "token ids" if settings.tokenizer else "text",
        "same whatever the batch": "not guaranteed",
    }
    if settings.tokenizer is not None:
        from stages.models.loading import model_fingerprint

        facts |= {"tokenizer": settings.tokenizer, "tokenizer_sha256": model_fingerprint(settings.tokenizer)}
    return facts


def open_engine(settings: EngineSettings) -> Engine:
    """The engine, its model loaded."""
    if settings.engine == "scripted":
        from stages.engines.scripted.engine import ScriptedEngine

        assert settings.script is not None, "describe_engine has checked it"
        return ScriptedEngine(settings.script)
    assert settings.model is not None, "describe_engine has checked it"
    if settings.engine == "server":
        return _open_server(settings)
    if settings.engine == "vllm":
        from stages.engines.vllm.engine import VLLMEngine

        return VLLMEngine(settings.model, vllm_settings(settings), settings.template)
    from stages.engines.hf.engine import HFEngine
    from stages.models.loading import load_policy

    loaded = load_policy(
        settings.model, settings.device, settings.dtype, settings.load_in_4bit, settings.trust_remote_code
    )
    return HFEngine(loaded, settings.template, settings.rows)


def vllm_settings(settings: EngineSettings) -> VLLMSettings:
    """How vLLM runs, device and number format chosen."""
    from stages.engines.vllm.start import VLLMSettings
    from stages.models.devices import choose_device, choose_dtype

    device = choose_device(settings.device)
    return VLLMSettings(
        device=device,
        dtype=choose_dtype(settings.dtype, device),
        rows=settings.rows,
        tensor_parallel=settings.tensor_parallel,
        gpu_memory=settings.gpu_memory,
        max_model_len=settings.max_model_len,
        trust_remote_code=settings.trust_remote_code,
    )


def _open_server(settings: EngineSettings) -> Engine:
    from stages.engines.server.client import RetryingClient
    from stages.engines.server.engine import ServerEngine, base_url, key_from_environment

    assert settings.model is not None, "describe_engine has checked it"
    assert settings.url is not None, "as above"
    tokenizer, recorded = None, None
    if settings.tokenizer is not None:
        from stages.models.loading import load_tokenizer, policy_card

        tokenizer = load_tokenizer(settings.tokenizer, settings.trust_remote_code)
        recorded = policy_card(settings.tokenizer).get("template")
    caller = RetryingClient(
        base_url(settings.url), concurrency=settings.concurrency, timeout=settings.timeout, retries=settings.retries,
        key=key_from_environment(),
    )  # fmt: skip
    return ServerEngine(
        caller, settings.model, tokenizer=tokenizer, template=settings.template, recorded=recorded,
        concurrency=settings.concurrency,
    )  # fmt: skip
