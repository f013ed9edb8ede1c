"""From settings to an engine: what would be opened, told without loading a weight, and the opening itself."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import UsageError
from evals.records import Problem
from stages.engines.base import Completion, Engine, Request, Usage
from stages.settings.model import EngineSettings

if TYPE_CHECKING:
    from stages.engines.vllm.start import VLLMStart


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
    return HFEngine(loaded, settings.template, settings.batch_rows)


class OnDemandEngine:
    """An engine that is described at once and opened when it is needed (`Resource`, and then an `Engine`)."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._engine: Engine | None = None

    def facts(self) -> dict[str, Any]:
        """See `describe_engine`."""
        return describe_engine(self.settings)

    def open(self) -> None:
        """Load the model, or connect."""
        if self._engine is None:
            self._engine = open_engine(self.settings)

    @property
    def usage(self) -> Usage:
        """What has been spent so far."""
        return Usage() if self._engine is None else self._engine.usage

    def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        return self._opened.stream(request)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`."""
        return await self._opened.loglikelihood(problem, continuations)

    def hungry(self) -> bool:
        """True while more problems should be admitted; not before it is open."""
        return self._engine is not None and self._engine.hungry()

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`."""
        return {} if self._engine is None else self._engine.spent()

    async def close(self) -> None:
        """Free what the engine holds; it can be opened again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    @property
    def _opened(self) -> Engine:
        assert self._engine is not None, "whatever runs a stage opens its engine first"
        return self._engine


def vllm_settings(settings: EngineSettings) -> VLLMStart:
    """How vLLM runs, device and number format chosen."""
    from stages.engines.vllm.start import VLLMStart
    from stages.models.devices import choose_device, choose_dtype

    device = choose_device(settings.device)
    return VLLMStart(
        device=device,
        dtype=choose_dtype(settings.dtype, device),
        rows=settings.batch_rows,
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
    )  # fmt: skip
