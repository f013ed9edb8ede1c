"""Finding, loading and naming models: a folder, a PEFT adapter folder, a hub name, or the alias `chain-base`.

    loaded = load_policy("runs/m1")                # full model or adapter; merged, on the best device there is
    loaded.model, loaded.tokenizer, loaded.device, loaded.fingerprint

Weights are read from safetensors alone, code that comes with a model is not run unless the user says so, and
embeddings are never resized. A folder written by this toolkit also holds `sipf.json`: what kind of model it is and
how it is prompted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from evals.errors import DataError, ModelError, UsageError
from stages.models.devices import choose_device, choose_dtype, four_bit
from stages.models.hub import pinned, snapshot
from stages.settings.model import ModelSettings

CHAIN_BASE = "chain-base"
CARD = "sipf.json"
# What decides how a model behaves: weights, configuration, tokenizer, chat template.
COUNTED = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*", CARD),
)


@dataclass(frozen=True)
class Loaded:
    """A policy ready to be used (in eval mode)."""

    model: Any
    tokenizer: Any
    device: str
    dtype: str
    name: str
    fingerprint: str
    template_recorded: str | None
    chat_args: Mapping[str, Any] = field(default_factory=dict)
    """What the folder recorded that its chat template is told."""


def quiet_libraries() -> None:
    """Keep the model libraries from sending telemetry and from talking into the user's terminal; call it before they
    are imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped


def resolve(name: str, *, weights: bool = False) -> str:
    """The folder behind a model's name; of a hub name ("owner/model", or "owner/model@revision") its copy in the cache.

    Args:
        weights: they are needed, so download them too; a folder of one's own has whatever it has.

    Raises:
        ModelError: something that looks like a folder and is not there; a hub name that cannot be resolved.
    """
    if name == CHAIN_BASE:
        folder = resources.files("stages") / "embedded" / "base"
        if not (folder / "config.json").is_file():
            raise ModelError(f"{CHAIN_BASE}: this installation lacks the embedded model", "Install sipf again.")
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
    return name != CHAIN_BASE and not Path(name).exists()


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


def load_tokenizer(name: str, trust_remote_code: bool = False) -> Any:
    """The model's tokenizer; one without a padding token pads with EOS (padding is always masked).

    Raises:
        ModelError: there is none, or it has no EOS token.
    """
    quiet_libraries()
    from transformers import AutoTokenizer

    with load_errors(name):
        where = resolve(name)
        has_own = any(Path(where).glob("tokenizer*"))
        tokenizer = AutoTokenizer.from_pretrained(
            where if has_own or not is_adapter(name) else resolve(adapter_base(name)),
            trust_remote_code=trust_remote_code,
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(f"{name}: the tokenizer has no EOS token, so nothing it writes could end", "Set eos_token.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_policy(
    name: str,
    device: str = ModelSettings.device,
    dtype: str = ModelSettings.dtype,
    load_in_4bit: bool = False,
    trust_remote_code: bool = False,
) -> Loaded:
    """Load a causal language model for inference; an adapter is merged into its base unless that is quantised.

    Raises:
        ModelError: the model is missing, incomplete, no causal language model, or too large for the device.
    """
    quiet_libraries()
    card = policy_card(name)
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    model = load_weights(
        name,
        "AutoModelForCausalLM",
        device,
        dtype,
        load_in_4bit=load_in_4bit,
        trust_remote_code=trust_remote_code,
    )
    model.eval()
    tokenizer = load_tokenizer(name, trust_remote_code)
    return Loaded(
        model, tokenizer, device, dtype, name, model_fingerprint(name), card.get("template"), card.get("chat_args", {})
    )


def load_weights(
    name: str,
    kind: Any,
    device: str,
    dtype: str,
    *,
    load_in_4bit: bool = False,
    trust_remote_code: bool = False,
    trainable: bool = False,
    fresh: Sequence[str] = (),
    prepare: Callable[[Any], None] | None = None,
    **config: Any,
) -> Any:
    """Load a model, adapter included, so that it attends as in every other stage (`stages.models.attention`).

    Args:
        name: as for `resolve`.
        kind: one of transformers' Auto classes by name, e.g. "AutoModelForCausalLM", or a model class.
        device, dtype: as chosen by `choose_device` and `choose_dtype`.
        load_in_4bit: nf4 with double quantisation (needs bitsandbytes).
        trainable: keep an adapter as a trainable one instead of merging it.
        fresh: names of modules that may begin with random weights (a new head); all else must be in the folder.
        prepare: done to the model before its adapter is put on.
        config: changes to the model's configuration, e.g. `num_labels=2`.
    """
    quiet_libraries()
    import torch
    import transformers

    from stages.models.attention import use_whole_attention

    adapter = is_adapter(name)
    options: dict[str, Any] = {
        "dtype": getattr(torch, dtype),
        "use_safetensors": True,
        "trust_remote_code": trust_remote_code,
    }
    if load_in_4bit:
        options |= {"quantization_config": four_bit(), "device_map": {"": device}}
    with load_errors(name):
        source = resolve(adapter_base(name) if adapter else name, weights=True)
        if config:
            settings = transformers.AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
            for key, value in config.items():
                setattr(settings, key, value)
            options["config"] = settings
        loader = getattr(transformers, kind) if isinstance(kind, str) else kind
        model, info = loader.from_pretrained(source, output_loading_info=True, **options)
        missing = sorted(key for key in info["missing_keys"] if not set(fresh) & set(key.split(".")))
        if missing:
            raise ModelError(
                f"{name}: {len(missing)} weights are missing, {missing[0]} first, and would be random",
                f"The folder is incomplete or is no model for {loader.__name__.partition('For')[2]}.",
            )
        use_whole_attention(model)
        if prepare is not None:
            prepare(model)
        if adapter:
            from peft import PeftConfig, PeftModel

            learned = PeftConfig.from_pretrained(resolve(name))
            if learned.task_type == "CAUSAL_LM" and kind != "AutoModelForCausalLM":
                # A policy's adapter on the backbone of a reward model: PEFT's class for policies would ask the model
                # for what only a policy has.
                learned.task_type = None
            folder = resolve(name, weights=True)
            model = PeftModel.from_pretrained(model, folder, is_trainable=trainable, config=learned)
            if not load_in_4bit and not trainable:
                model = model.merge_and_unload().requires_grad_(True)  # PEFT froze the base, which may be trained
        return model if load_in_4bit else model.to(device)


@contextmanager
def load_errors(name: str) -> Iterator[None]:
    """Turn what the libraries raise about a model that cannot be loaded into one line with advice."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} does not fit into the device's memory", "Try --load-in-4bit, --dtype bfloat16, or another device."
        ) from error
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"cannot load {name}: {_first_line(error)}", _advice(name)) from error


def _advice(name: str) -> str:
    folder = Path(resolve(name))
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        return "The folder has no config.json; give the folder of a transformers model or a PEFT adapter."
    if not any(folder.glob("*.safetensors")):
        return "The folder has no .safetensors weights; pickled ones are not read: convert them to safetensors."
    return "Check that the folder is complete and that its model type is known to the pinned transformers."


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
