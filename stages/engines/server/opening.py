"""Opening the `server` engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evals.errors import UsageError
from stages.engines.server.engine import ServerEngine, base_url, key_from_environment
from stages.models.facts import named_model
from stages.models.templates import chat_arguments
from stages.settings.model import EngineSettings

if TYPE_CHECKING:
    from stages.engines.base import Engine
    from stages.engines.server.client import RetryingClient


def describe(settings: EngineSettings) -> dict[str, Any]:
    """The model's name there; the addresses are left out: a run may be resumed with other servers of the same model."""
    name = named_model(settings)
    if not settings.url:
        raise UsageError("--engine server needs --url", "For example --url http://localhost:8000/v1.")
    urls = [base_url(url) for url in settings.url]
    if len(set(urls)) < len(urls):
        raise UsageError("a --url is given twice", "Name each server once.")
    if settings.base is not None:
        raise UsageError("--base is for adapters that are loaded here", "Leave it out.")
    facts = {
        "engine": "server",
        "model": name,
        "template": settings.template,
        "prompts sent as": "token ids" if settings.tokenizer else "text",
        "same whatever the batch": "not guaranteed",
    }
    tokenizer = _tokenizer(settings)
    if tokenizer is not None:
        from stages.models.facts import prompt_facts
        from stages.models.naming import model_fingerprint

        facts |= {"tokenizer": tokenizer, "tokenizer_sha256": model_fingerprint(tokenizer)}
        facts |= prompt_facts(tokenizer, settings)
    elif settings.chat_arg:
        raise UsageError("--chat-arg needs --tokenizer with a server", "Name the model's folder or hub name there.")
    return facts


def open_engine(settings: EngineSettings) -> Engine:
    """The engine; nothing is asked of a server yet."""
    tokenizer, card = None, {}
    name = _tokenizer(settings)
    if name is not None:
        from stages.models.loading import load_tokenizer
        from stages.models.naming import policy_card

        tokenizer = load_tokenizer(name, settings.trust_remote_code)
        card = policy_card(name)
    servers = [
        ServerEngine(
            _client(settings, url), named_model(settings), tokenizer=tokenizer, template=settings.template,
            recorded=card.get("template"), chat_args=chat_arguments(settings.chat_arg, card),
        )
        for url in settings.url
    ]  # fmt: skip
    if len(servers) == 1:
        return servers[0]
    from stages.engines.server.several import SeveralServers

    return SeveralServers(servers)


def _tokenizer(settings: EngineSettings) -> str | None:
    """The tokenizer's name at the revision asked for: what the server itself has loaded is not ours to choose."""
    if settings.tokenizer is None:
        if settings.revision is not None:
            raise UsageError("--revision is for models that are loaded here", "Leave it out, or give --tokenizer.")
        return None
    from stages.models.naming import at_revision

    return at_revision(settings.tokenizer, settings.revision)


def _client(settings: EngineSettings, url: str) -> RetryingClient:
    from stages.engines.server.client import RetryingClient

    return RetryingClient(
        base_url(url), concurrency=settings.concurrency, timeout=settings.timeout, retries=settings.retries,
        key=key_from_environment(),
    )  # fmt: skip
