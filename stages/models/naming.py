"""What a model's name stands for: a folder, a PEFT adapter folder, a hub name, or an embedded model's alias.

    resolve("owner/model@v1")       # its folder in the hub's cache
    model_fingerprint("runs/m1")    # "sha256:...", over all that decides how it behaves

A folder written by this toolkit also holds `sipf.json`, its card: what kind of model it is and how it is prompted.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from evals.errors import DataError, ModelError, UsageError
from stages.models.hub import pinned, snapshot

EMBEDDED = {"chain-base": "base", "chain-teacher": "teacher", "functions-base": "functions"}
"""Aliases of the embedded models, and their folders in `stages/embedded`."""
CARD = "sipf.json"
# What decides how a model behaves: weights, configuration, tokenizer, chat template.
COUNTED = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*", CARD),
)


def resolve(name: str, *, weights: bool = False) -> str:
    """The folder behind a model's name; of a hub name ("owner/model", or "owner/model@revision") its copy in the cache.

    Args:
        weights: they are needed, so download them too; a folder of one's own has whatever it has.

    Raises:
        ModelError: something that looks like a folder and is not there; a hub name that cannot be resolved.
    """
    if name in EMBEDDED:
        folder = resources.files("stages") / "embedded" / EMBEDDED[name]
        if not (folder / "config.json").is_file():
            raise ModelError(f"{name}: this installation lacks the embedded model", "Install sipf again.")
        return str(folder)
    if Path(name).is_dir():
        return str(Path(name))
    if Path(name).exists():
        raise ModelError(f"{name} is a file, not a model folder", "Give the folder that holds config.json.")
    if name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1 or not name:
        raise ModelError(f"there is no model folder {name!r}", "Check the path; a hub name has the form owner/model.")
    return snapshot(name, weights=weights)


def is_hub_name(name: str) -> bool:
    """True for a model that is not on this disk under its name."""
    return name not in EMBEDDED and not Path(name).exists()


def at_revision(name: str, revision: str | None) -> str:
    """The name of a model at a revision (branch, tag or commit), as a person may also type it: "owner/model@v1".

    Raises:
        UsageError: a folder, or a name that has a revision already.
    """
    if revision is None:
        return name
    if not is_hub_name(name):
        raise UsageError(f"{name} is on this disk, and only models of the hub have revisions", "Leave --revision out.")
    if "@" in name:
        raise UsageError(f"{name} names a revision already", "Leave --revision out.")
    return f"{name}@{revision}"


def at_commit(name: str) -> str:
    """The name with the commit that a hub name stands for: "owner/model@<commit>"; of a folder its name.

    Raises:
        ModelError: it cannot be resolved.
    """
    return pinned(name) if is_hub_name(name) else name


def is_adapter(name: str) -> bool:
    """True for a PEFT adapter folder."""
    return (Path(resolve(name)) / "adapter_config.json").is_file()


def adapter_base(name: str) -> str:
    """The model that an adapter folder's weights are added to."""
    config = json.loads((Path(resolve(name)) / "adapter_config.json").read_text(encoding="utf-8"))
    base = config.get("base_model_name_or_path")
    if not base:
        raise ModelError(f"{name}: adapter_config.json names no base model", "Write base_model_name_or_path into it.")
    return at_revision(str(base), config.get("revision") if is_hub_name(str(base)) else None)


def read_card(name: str) -> dict[str, Any]:
    """The folder's `sipf.json`; empty for a model that was not written by this toolkit.

    Raises:
        DataError: it is there but is not a JSON object.
    """
    file = Path(resolve(name)) / CARD
    if not file.is_file():
        return {}
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: not JSON ({error})", "Train the model again, or delete the file.") from error
    if not isinstance(card, dict):
        raise DataError(f"{file}: not a JSON object", "Train the model again, or delete the file.")
    return card


def policy_card(name: str) -> dict[str, Any]:
    """`read_card`, for a model that is to write text.

    Raises:
        ModelError: it is a reward model.
    """
    card = read_card(name)
    if card.get("kind") == "prm":
        raise ModelError(f"{name} is a reward model, it cannot write text", "Give a policy; score takes reward models.")
    return card


def model_fingerprint(name: str) -> str:
    """A name for a model's exact content.

    Returns:
        "sha256:<hex>" over names and contents of a folder's weights, configuration and tokenizer (an adapter's base
        included); for a hub name "hub:<name>@<commit>", known before anything but that is asked of the hub.

    Raises:
        ModelError: see `resolve`.
    """
    where = Path(resolve(name))
    if is_hub_name(name):
        return f"hub:{at_commit(name)}"
    files = sorted({file for pattern in COUNTED for file in where.glob(pattern) if file.is_file()})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    if is_adapter(name):
        digest.update(model_fingerprint(adapter_base(name)).encode())
    return f"sha256:{digest.hexdigest()}"
