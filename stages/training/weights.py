"""The weights of a training run: how they are loaded to be trained, with an adapter or without, and how they are saved.

load_trainable("chain-base", POLICY, TrainSettings(lora=True))
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
import transformers

from evals.errors import UsageError
from stages.models.architectures import read_config
from stages.models.devices import choose_device, choose_training_dtype
from stages.models.loading import load_weights, merge_adapter
from stages.models.naming import EMBEDDED, at_commit, is_adapter, is_hub_name, named_base, read_card, resolve
from stages.models.reward import HEADS, load_reward_model
from stages.settings.training import TrainSettings
from stages.training.launched import sharded_by, whole_weights
from stages.training.model_folder import ModelFolder
from stages.training.processes import is_main_process

Kind = Literal["CAUSAL_LM", "TOKEN_CLS"]
"""PEFT's name for what is trained: a policy, or a reward model that judges tokens."""
POLICY: Kind = "CAUSAL_LM"
REWARD: Kind = "TOKEN_CLS"


def load_trainable(name: str, kind: Kind, options: TrainSettings, sigmoid: bool = False) -> Any:
    """Load a model to train it: fp32 weights, with a LoRA adapter if asked for; the frozen base of an adapter in its
    own number format (`base_dtype`) or in 4 bit. An adapter's own weights and a new head are always fp32.

    An adapter folder is trained on as that adapter with `lora`, and merged into its base for full training.

    Args:
        sigmoid: of a reward model, see `load_reward_model`.

    Raises:
        UsageError: the adapter cannot be trained on with these options.
    """
    transformers.set_seed(options.seed)
    same_adapter = check_adapter(name, kind, options)
    device = f"cuda:{torch.cuda.current_device()}" if options.load_in_4bit and torch.cuda.is_available() else "cpu"
    dtype = base_dtype(name, options)
    model = _load(name, kind, device, dtype, options, sigmoid, options.load_in_4bit, same_adapter)
    where = choose_device(options.device)
    if where == "cpu" and choose_training_dtype(options.dtype, where) == "bfloat16":
        # torch's fused attention goes backward in bfloat16 ten times slower on a CPU than plain matrix products.
        model.set_attn_implementation("eager")
    return _with_adapter(model, kind, options) if options.lora and not same_adapter else model


def base_dtype(name: str, options: TrainSettings) -> str:
    """The number format in which a model to be trained is loaded: float32, except for what an adapter leaves frozen.

    That is bfloat16 where training computes in it, if the weights on the disk are bfloat16 already, so that nothing is
    rounded, or if `--dtype bfloat16` was asked for. FSDP and DeepSpeed lay weights of one format together, so there it
    is float32.
    """
    computed = choose_training_dtype(options.dtype, choose_device(options.device))
    if not options.lora or options.load_in_4bit or sharded_by() or computed != "bfloat16":
        return "float32"
    stored = read_config(name, options.trust_remote_code).get_text_config().dtype
    return "bfloat16" if options.dtype == "bfloat16" or stored == torch.bfloat16 else "float32"


def save_final(trainer: Any, folder: ModelFolder, options: TrainSettings, base: str) -> None:
    """Save the trained weights and their tokenizer into `folder.final`: full, merged, or as the adapter they are.

    Args:
        base: name of the model that was loaded.
    """
    trainer.save_model(str(folder.adapter if options.merge else folder.final))
    if not is_main_process():
        return
    if options.merge:
        _merged(trainer, options, folder.adapter).save_pretrained(folder.final)
        trainer.processing_class.save_pretrained(folder.final)
        shutil.rmtree(folder.adapter)
    elif options.lora:
        _name_base(folder.final, base)
    for extra in ("training_args.bin", "README.md"):
        (folder.final / extra).unlink(missing_ok=True)


def _load(
    name: str, kind: Kind, device: str, dtype: str, options: TrainSettings, sigmoid: bool = False,
    load_in_4bit: bool = False, trainable: bool = False,
) -> Any:  # fmt: skip
    how: dict[str, Any] = {
        "load_in_4bit": load_in_4bit, "trust_remote_code": options.trust_remote_code, "trainable": trainable,
    }  # fmt: skip
    if kind == POLICY:
        return load_weights(name, "AutoModelForCausalLM", device, dtype, **how)
    return load_reward_model(name, device, dtype, sigmoid=sigmoid, new_head=True, **how)


def check_adapter(name: str, kind: Kind, options: TrainSettings) -> bool:
    """Whether the model is an adapter that is to be trained on as such.

    Raises:
        UsageError: it is an adapter that cannot be trained on with these options.
    """
    same_kind = options.lora and is_adapter(name) and (read_card(name).get("kind") == "prm") == (kind == REWARD)
    if same_kind:
        _same_shape(name, options)
    elif options.lora and is_adapter(name):
        if options.load_in_4bit:
            raise UsageError(
                f"{name} is an adapter of another kind, and cannot be merged into 4-bit weights",
                "Begin from a full model (train it with --merge), or give --merge --no-load-in-4bit here.",
            )
        if not options.merge:
            raise UsageError(
                f"{name} is an adapter of another kind, and an adapter on top of it would have no base on disk",
                "Add --merge, or begin from a full model (train it with --merge).",
            )
    return same_kind


def _same_shape(name: str, options: TrainSettings) -> None:
    config = json.loads((Path(resolve(name)) / "adapter_config.json").read_text(encoding="utf-8"))
    if (config.get("r"), config.get("lora_alpha")) != (options.lora_r, options.lora_alpha):
        raise UsageError(
            f"{name} is an adapter with r {config.get('r')} and alpha {config.get('lora_alpha')}",
            "Give the same --lora-r and --lora-alpha to train it on, or begin from a full model.",
        )


def _with_adapter(model: Any, kind: Kind, options: TrainSettings) -> Any:
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if options.load_in_4bit:
        model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]  # peft leaves it untyped
            model, use_gradient_checkpointing=options.gradient_checkpointing
        )
    config = LoraConfig(
        task_type=kind,
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules="all-linear",
        # PEFT only knows to leave the head alone in sequence classification; an adapter on a head that is saved
        # whole as well would not survive saving and loading.
        exclude_modules=list(HEADS) if kind == REWARD else None,
    )
    return get_peft_model(model, config)


def _merged(trainer: Any, options: TrainSettings, adapter: Path) -> Any:
    """The full model: merged where it is, or, where that is in 4 bit or in shards, into its base loaded anew."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not (options.load_in_4bit or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return merge_adapter(model)
    kind = REWARD if str(model.peft_config["default"].task_type).endswith(REWARD) else POLICY
    with whole_weights(trainer):  # the other processes do not load it
        return _load(str(adapter), kind, "cpu", "float32", options)


def _name_base(folder: Path, base: str) -> None:
    """Let an adapter name its base so that it is found from any folder, and after an upgrade in case of the alias."""
    name = named_base(base) if is_adapter(base) else base
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if is_hub_name(name):
        config["base_model_name_or_path"], _, config["revision"] = at_commit(name).partition("@")
    else:
        config["base_model_name_or_path"] = name if name in EMBEDDED else str(Path(resolve(name)).resolve())
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
