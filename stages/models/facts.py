"""What a manifest says of a model that writes or scores: told without loading a weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from evals.tasks.prompts import AUTO, CHAT
from stages.models.devices import choose_device, choose_dtype
from stages.models.loading import load_tokenizer
from stages.models.naming import at_revision, is_hub_name, model_fingerprint, read_card, resolve, with_base
from stages.models.prompts import CHAT_ARGS
from stages.models.templates import chat_arguments, make_prompter
from stages.settings.model import EngineSettings, ModelSettings


def named_model(settings: EngineSettings) -> str:
    """The model that an engine needs.

    Raises:
        UsageError: none is named.
    """
    if settings.model is None:
        raise UsageError(
            f"--engine {settings.engine} needs --model", "A folder, a hub name, or an embedded model (chain-base)."
        )
    return settings.model


def loaded_model(settings: EngineSettings) -> str:
    """The model that an engine on this machine loads, at the revision asked for.

    Raises:
        UsageError: none is named, or it has no revisions.
    """
    return with_base(at_revision(named_model(settings), settings.revision), settings.base)


def model_facts(model: str, settings: ModelSettings) -> dict[str, Any]:
    """The model, its hash (of a hub model its commit, however that was asked for), in what it computes, and how it is
    prompted.

    Raises:
        ModelError: no such model or device here.
    """
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    return {
        "model": model.partition("@")[0] if is_hub_name(model) else model,
        "model_sha256": model_fingerprint(model),
        "device": device,
        "dtype": dtype,
        "load_in_4bit": settings.load_in_4bit,
        "template": settings.template,
        **prompt_facts(model, settings),
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
    }


def prompt_facts(model: str, settings: ModelSettings) -> dict[str, Any]:
    """What the chat template is told, and the hash of what it makes of a fixed question: it may write today's date.

    Nothing for a plain template, whose text says it all: it stands in the settings, or in the model's hashed card.

    Raises:
        UsageError: --chat-arg where no chat template is used.
        DataError: the chat template refuses the question.
    """
    card = read_card(model)
    told = chat_arguments(settings.chat_arg, card)
    template = card.get("template", AUTO) if settings.template == AUTO else settings.template
    tokenizer = None
    if template == CHAT or (template == AUTO and _may_have_chat_template(model)):
        tokenizer = load_tokenizer(model, settings.trust_remote_code)
    if tokenizer is None or not tokenizer.chat_template:
        if settings.chat_arg:
            raise UsageError("--chat-arg tells a chat template, and none is used here", "Leave it out.")
        return {}
    described = make_prompter(tokenizer, {}, CHAT, None, told).describe()
    return {CHAT_ARGS: told, "prompt_sha256": described["sha256"]}


def _may_have_chat_template(model: str) -> bool:
    """False only if a folder's files show that it has none, so that nobody waits for a tokenizer in vain."""
    where = Path(resolve(model))
    config = where / "tokenizer_config.json"
    if not config.is_file():
        return True
    return any(where.glob("chat_template*")) or "chat_template" in json.loads(config.read_text(encoding="utf-8"))
