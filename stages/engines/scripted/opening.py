"""Opening the `scripted` engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.errors import UsageError
from stages.engines.scripted.engine import ScriptedEngine
from stages.files.manifest import hash_file
from stages.settings.model import EngineSettings


def describe(settings: EngineSettings) -> dict[str, Any]:
    """The script, and its hash where it is a file."""
    if settings.script is None:
        raise UsageError("--engine scripted needs --script", "For example --script gold:0.4.")
    facts: dict[str, Any] = {"engine": "scripted", "script": settings.script}
    if Path(settings.script).is_file():
        facts["script_sha256"] = hash_file(settings.script)
    return facts


def open_engine(settings: EngineSettings) -> ScriptedEngine:
    """The engine."""
    assert settings.script is not None, "describe has checked it"
    return ScriptedEngine(settings.script, settings.script_delay / 1000, settings.batch_rows)
