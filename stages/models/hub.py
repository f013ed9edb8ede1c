"""Models of the hub: which commit a name stands for, and the folder of that commit in huggingface_hub's cache.

    pinned("owner/model@v1")     # "owner/model@1c0a...", the commit in full
    snapshot("owner/model@v1")   # ".../models--owner--model/snapshots/1c0a...", weights not yet in it

The hub is asked once per process what a branch or a tag stands for, so that a run is named after the commit that it
loads. Where the hub cannot be reached, and with HF_HUB_OFFLINE, the cache answers from what was downloaded before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from evals.errors import ModelError

MAIN = "main"
PATIENCE = 10.0
"""Seconds to wait for the hub's answer."""
COMMIT = re.compile(r"[0-9a-f]{40}")
SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "*.py", "tokenizer*", "vocab*")
"""Configuration, tokenizer, chat template, card, and code that comes with the model."""
WEIGHTS = ("*.safetensors",)
# Other forms of the same weights: in folders of their own, and Mistral's.
NOT_OURS = ("*/*.safetensors", "consolidated*.safetensors", "onnx/*")


class Commit(NamedTuple):
    """What a revision stands for; `online`: the hub has said so just now."""

    sha: str
    online: bool


def pinned(name: str) -> str:
    """A hub name with the commit in full: "owner/model@<commit>".

    Raises:
        ModelError: it cannot be resolved.
    """
    repo, revision = _split(name)
    return f"{repo}@{_commit(repo, revision).sha}"


def snapshot(name: str, *, weights: bool = False) -> str:
    """The folder of a hub model's commit in the local cache, its files downloaded.

    Args:
        weights: the weights too, not only what tells about them.

    Raises:
        ModelError: no such model or revision, or what is not in the cache cannot be downloaded.
    """
    repo, revision = _split(name)
    return _download(repo, _commit(repo, revision), weights)


def _split(name: str) -> tuple[str, str]:
    repo, _, revision = name.partition("@")
    return repo, revision or MAIN


@cache
def _commit(repo: str, revision: str) -> Commit:
    _keep_quiet()
    from huggingface_hub import is_offline_mode

    sha = None if is_offline_mode() else _asked(repo, revision)
    if sha is not None:
        _remember(repo, revision, sha)
        return Commit(sha, online=True)
    sha = _remembered(repo, revision)
    if sha is None:
        why = "HF_HUB_OFFLINE is set" if is_offline_mode() else "the hub cannot be reached"
        raise ModelError(
            f"there is no folder {repo}, and {why} while {repo}@{revision} is not in the local cache",
            "Check the name and the network, or give a local folder.",
        )
    return Commit(sha, online=False)


def _asked(repo: str, revision: str) -> str | None:
    """The commit as the hub knows it; None where it does not answer (one attempt: a person waits)."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with _hub_errors(f"{repo}@{revision}"):
            sha = HfApi().model_info(repo, revision=revision, timeout=PATIENCE).sha
    except httpx2.TransportError:
        return None
    except HfHubHTTPError as error:
        if error.response.status_code >= 500:
            return None
        raise ModelError(
            f"the hub refuses {repo}@{revision}: {_first_line(error)}", "HF_TOKEN opens what is not public."
        ) from error
    assert sha is not None, "the hub tells the commit of whatever it knows"
    return sha


def _refs(repo: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE).expanduser() / repo_folder_name(repo_id=repo, repo_type="model") / "refs"


def _remember(repo: str, revision: str, sha: str) -> None:
    """Let the cache know what a branch or tag stands for, as huggingface_hub itself notes it."""
    file = _refs(repo) / revision
    if revision == sha or (file.is_file() and file.read_text(encoding="utf-8") == sha):
        return
    with suppress(OSError):  # a cache that others own may be read-only: then it is asked for again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{os.getpid()}")
        part.write_text(sha, encoding="utf-8")
        part.replace(file)


def _remembered(repo: str, revision: str) -> str | None:
    refs = _refs(repo)
    if COMMIT.fullmatch(revision):
        return revision if (refs.parent / "snapshots" / revision).is_dir() else None
    file = refs / revision
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


@cache
def _download(repo: str, commit: Commit, weights: bool) -> str:
    _keep_quiet()
    import httpx2
    from huggingface_hub import snapshot_download

    wanted = [*SMALL, *(WEIGHTS if weights else ())]
    name = f"{repo}@{commit.sha}"
    try:
        with _hub_errors(name):
            return snapshot_download(
                repo, revision=commit.sha, allow_patterns=wanted, ignore_patterns=[*NOT_OURS],
                local_files_only=not commit.online, etag_timeout=PATIENCE,
            )  # fmt: skip
    except (OSError, httpx2.HTTPError) as error:
        raise ModelError(
            f"cannot download {name}: {_first_line(error)}", "The same command continues the download."
        ) from error


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Say of the hub's clear answers what they mean."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise ModelError(f"{name} is no folder and cannot be a hub name", "A hub name is owner/model.") from error
    except GatedRepoError as error:
        raise ModelError(f"{name} is gated", "Accept its terms on the hub, then set HF_TOKEN.") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no model {name}, here or on the hub", "Check the name; for one that is private set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"the hub has no {name}", "Give a branch, tag or commit of this model.") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not in the local cache as a whole, and the hub cannot be reached",
            "Download it while there is a network, or give a local folder.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _keep_quiet() -> None:
    """No telemetry, and no bars on the user's terminal; call it before anything of huggingface_hub is used."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
