"""What a model's name stands for: a folder, a PEFT adapter folder, a hub name, or an embedded model's alias.

    resolve("owner/model@v1")       # its folder in the hub's cache
    model_fingerprint("runs/m1")    # "sha256:...", over all that decides how it behaves

A folder written by this toolkit also holds `sipf.json`, its card: what kind of model it is and how it is prompted.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evals.errors import DataError, ModelError, UsageError
from stages.models.hub import pinned, snapshot
from stages.models.safe_files import check_files

REPAIR = "Train the model again, or delete the file."
FIELDS: dict[str, type[str] | type[dict[str, Any]]] = {
    "kind": str, "template": str, "chat_args": dict, "head": dict, "labels": str,
}  # fmt: skip
"""What of a card is read, and its type."""
EMBEDDED = {"chain-base": "base", "chain-teacher": "teacher", "functions-base": "functions"}
"""Aliases of the embedded models, and their folders in `stages/embedded`."""
CARD = "sipf.json"
ON = "::"
"""Stands between an adapter's name and that of the base it is put on, where that is not the one it names."""
GGUF = ".gguf"
CONVERT = (
    "Give the safetensors folder that it was made from; or convert it in Python (pip install gguf): "
    "AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=NAME) and AutoTokenizer likewise, then save_pretrained."
)
# What decides how a model behaves: weights, configuration, tokenizer, chat template.
COUNTED = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*", CARD),
)


def resolve(name: str, *, weights: bool = False) -> str:
    """The folder behind a model's name; of a hub name ("owner/model", or "owner/model@revision") its copy in the cache.

    Args:
        weights: they are needed, so download them too; and they are safetensors alone (`stages.models.safe_files`).

    Raises:
        ModelError: something that looks like a folder and is not there; a hub name that cannot be resolved.
    """
    folder = _folder(name, weights)
    if weights:
        check_files(name, Path(folder))
    return folder


def _folder(name: str, weights: bool) -> str:
    if name in EMBEDDED:
        embedded = resources.files("stages") / "embedded" / EMBEDDED[name]
        if not (embedded / "config.json").is_file():
            raise ModelError(f"{name}: this installation lacks the embedded model", "Install sipf again.")
        return str(embedded)
    name = name.partition(ON)[0]
    folder = Path(name)
    if folder.is_dir():
        if any(folder.glob(f"*{GGUF}")) and not any(folder.glob("*config.json")):
            raise ModelError(f"{name} holds a GGUF file and no transformers model", CONVERT)
        return str(folder)
    if name.endswith(GGUF) and Path(name).exists():
        raise ModelError(f"{name} is a GGUF file", CONVERT)
    if Path(name).exists():
        raise ModelError(f"{name} is a file, not a model folder", "Give the folder that holds config.json.")
    if name.startswith((".", "/", "~")) or name.partition("@")[0].count("/") > 1 or not name:
        raise ModelError(f"there is no model folder {name!r}", "Check the path; a hub name has the form owner/model.")
    return snapshot(name, weights=weights)


def is_hub_name(name: str) -> bool:
    """True for a model that is not on this disk under its name."""
    name = name.partition(ON)[0]
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


def with_base(name: str, base: str | None) -> str:
    """The name of an adapter on a base of one's own choice: "runs/a::models/llama".

    Raises:
        UsageError: a model that is no adapter.
        ModelError: see `resolve`.
    """
    if base is None:
        return name
    if not is_adapter(name):
        raise UsageError(f"{name} is no adapter, so it has no --base", "Leave --base out.")
    resolve(base)
    return f"{name}{ON}{base}"


def at_commit(name: str) -> str:
    """The name with the commit that a hub name stands for: "owner/model@<commit>"; of a folder its name.

    Raises:
        ModelError: it cannot be resolved.
    """
    bare, on, base = name.partition(ON)
    return f"{pinned(bare) if is_hub_name(bare) else bare}{on}{at_commit(base) if on else ''}"


def is_adapter(name: str) -> bool:
    """True for a PEFT adapter folder."""
    return (Path(resolve(name)) / "adapter_config.json").is_file()


def adapter_base(name: str) -> str:
    """`named_base`, as it is loaded: where a base's folder holds an adapter as well, a folder of links without that,
    which transformers would put on unasked."""
    base = named_base(name)
    if is_hub_name(base) or not (is_adapter(base) and _is_whole(Path(base))):
        return base
    return _view(base).name


def named_base(name: str) -> str:
    """The model that an adapter folder's weights are added to: the one that `with_base` names, else that of its
    configuration.

    A base on a disk whose place has changed is looked for beside the adapter: at the same relative path, under the same
    name, or in the adapter's own folder or the one above, if a whole model is there.

    Raises:
        ModelError: it names none, or its base is not there.
    """
    if ON in name:
        return name.partition(ON)[2]
    folder = Path(resolve(name))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    base = str(config.get("base_model_name_or_path") or "")
    if not base:
        raise ModelError(f"{name}: adapter_config.json names no base model", "Name it with --base.")
    if is_hub_name(base):
        place = _must_be_a_place(base)
        last = Path(base).name
        near = (folder / base, folder.parent / base)
        moved = (folder.parent / last, folder / last, folder, folder.parent) if place else ()
        found = next((one for one in (*near, *moved) if _is_whole(one)), None)
        if found is None and place:
            raise ModelError(f"{name}: its base model {base} is not there", "Say where it is with --base.")
        base = base if found is None else str(found)
    return at_revision(base, config.get("revision") if is_hub_name(base) else None)


def _must_be_a_place(name: str) -> bool:
    """Whether a name that is not on this disk can be no hub name."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name


def _is_whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(
        file for file in folder.glob("*.safetensors") if not file.name.startswith("adapter_")
    )


@cache
def _view(folder: str) -> TemporaryDirectory[str]:
    """A folder of links to the model's files without the adapter's."""
    view = TemporaryDirectory(prefix="sipf-base-")
    for file in Path(folder).resolve().iterdir():
        if not file.name.startswith("adapter_"):
            (Path(view.name) / file.name).symlink_to(file)
    return view


def read_card(name: str) -> dict[str, Any]:
    """The folder's `sipf.json`; empty for a model that was not written by this toolkit.

    Raises:
        DataError: it is there but is not a JSON object, or a field that is read from it is of another type.
    """
    file = Path(resolve(name)) / CARD
    if not file.is_file():
        return {}
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON ({error})", REPAIR) from error
    if not isinstance(card, dict):
        raise DataError(f"{file}: not a JSON object", REPAIR)
    for name_, kind in FIELDS.items():
        if not isinstance(card.get(name_, kind()), kind):
            raise DataError(f"{file}: {name_}: must be {'text' if kind is str else 'an object'}", REPAIR)
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
        bare, on, base = name.partition(ON)
        return f"hub:{at_commit(bare)}" + (f" on {model_fingerprint(base)}" if on else "")
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
