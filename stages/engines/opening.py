"""From settings to an engine: what would be opened, told without loading a weight, and the opening itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from stages.engines.base import Engine


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


def describe_engine(settings: EngineSettings) -> dict[str, Any]:
    """What of the engine decides the text it writes: recorded in the manifest and compared when a run is resumed.

    Raises:
        UsageError: an engine without its model or script.
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
    from stages.devices import choose_device, choose_dtype
    from stages.models import fingerprint

    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    return {
        "engine": settings.engine,
        "model": settings.model,
        "model_sha256": fingerprint(settings.model),
        "device": device,
        "dtype": dtype,
        "load_in_4bit": settings.load_in_4bit,
        "template": settings.template,
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
    }


def open_engine(settings: EngineSettings) -> Engine:
    """The engine, its model loaded."""
    if settings.engine == "scripted":
        from stages.engines.scripted import ScriptedEngine

        assert settings.script is not None, "describe_engine has checked it"
        return ScriptedEngine(settings.script)
    from stages.engines.hf import HFEngine
    from stages.models import load_policy

    assert settings.model is not None, "describe_engine has checked it"
    loaded = load_policy(
        settings.model, settings.device, settings.dtype, settings.load_in_4bit, settings.trust_remote_code
    )
    return HFEngine(loaded, settings.template, settings.rows)
