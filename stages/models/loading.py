"""Loading models by their names (`stages.models.naming`).

    loaded = load_policy("runs/m1")                # full model or adapter; merged, on the best device there is
    loaded.model, loaded.tokenizer, loaded.device, loaded.fingerprint

Weights are read from safetensors alone, code that comes with a model is not run unless the user says so, and
embeddings are resized only for an adapter that was trained with added tokens.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import ModelError, SipfError
from stages.models.devices import choose_device, choose_dtype, four_bit
from stages.models.naming import (
    adapter_base,
    is_adapter,
    model_fingerprint,
    policy_card,
    resolve,
)
from stages.models.safe_files import CONVERT
from stages.settings.model import ModelSettings


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
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped


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
        tokenizer("1")  # an odd setting, such as a length that is no number, shows when it is used
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

            folder = resolve(name, weights=True)
            learned = PeftConfig.from_pretrained(folder)
            if learned.task_type == "CAUSAL_LM" and kind != "AutoModelForCausalLM":
                # A policy's adapter on the backbone of a reward model: PEFT's class for policies would ask the model
                # for what only a policy has.
                learned.task_type = None
            make_room(model, folder)
            with warnings.catch_warnings():
                # what it warns of is what `merge_adapter` takes care of
                warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
                model = PeftModel.from_pretrained(model, folder, is_trainable=trainable, config=learned)
            if not load_in_4bit and not trainable:
                model = merge_adapter(model).requires_grad_(True)  # PEFT froze the base, which may be trained
        return model if load_in_4bit else model.to(device)


def make_room(model: Any, folder: str) -> None:
    """Give a base as many embeddings as an adapter has: it was trained after tokens had been added.

    New rows that the adapter does not hold are the mean of the old ones, so that loading is never random.
    """
    rows = max((_rows(model, file) for file in Path(folder).glob("adapter_model*.safetensors")), default=0)
    before = model.get_input_embeddings().weight.shape[0]
    if rows <= before:
        return
    import torch

    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for end in (model.get_input_embeddings(), model.get_output_embeddings()):
            if end is not None:
                end.weight[before:] = end.weight[:before].float().mean(0).to(end.weight.dtype)


def _rows(model: Any, file: Path) -> int:
    """The most embeddings that an adapter's file holds weights for; 0: it holds none."""
    from safetensors import safe_open

    ends = [end for end in (model.get_input_embeddings(), model.get_output_embeddings()) if end is not None]
    names = {name for name, module in model.named_modules() if any(module is end for end in ends)}
    most = 0
    with safe_open(file, "pt") as weights:
        for key in weights.keys():  # noqa: SIM118  (no mapping)
            bare = key.removeprefix("base_model.model.").replace(".modules_to_save", "").replace(".base_layer", "")
            name, _, what = next(((n, "", bare[len(n) + 1 :]) for n in names if bare.startswith(f"{n}.")), ("", "", ""))
            shape = weights.get_slice(key).get_shape()
            if name and what in ("weight", "lora_B.weight"):
                most = max(most, shape[0])
            elif name and what == "lora_embedding_A":
                most = max(most, shape[1])
    return most


def merge_adapter(model: Any) -> Any:
    """A PEFT model's base with the adapter added to it; each matrix is added up in float32 and rounded once to its own
    number format, where PEFT alone would round the adapter's product as well.

    Where input and output embeddings are one matrix and the adapter changes what one of them does, they become two: the
    sum would change the other one, too.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    untied = _changes_one_of_two(model)
    if untied:
        untie(model.get_base_model())
    for layer in [module for module in model.modules() if isinstance(module, BaseTunerLayer)]:
        base: Any = layer.get_base_layer()
        dtype = base.weight.dtype
        base.to(torch.promote_types(dtype, torch.float32))
        layer.merge()
        base.to(dtype)
    merged = model.unload()
    if untied and merged.get_input_embeddings().weight is merged.get_output_embeddings().weight:
        _call_tied(merged, True)  # the adapter's own matrix serves as both
    return merged


def untie(model: Any) -> None:
    """Give a model's output embedding a matrix of its own, equal to that of its input embedding, and say so in its
    configuration, so that it is saved and loaded as two."""
    import torch
    from peft.utils import AuxiliaryTrainingWrapper

    head = model.get_output_embeddings()
    head = head.get_base_layer() if hasattr(head, "get_base_layer") else head
    head = head.original_module if isinstance(head, AuxiliaryTrainingWrapper) else head
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    _call_tied(model, False)


def _call_tied(model: Any, tied: bool) -> None:
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _changes_one_of_two(model: Any) -> bool:
    """Whether a PEFT model's adapter is on a matrix that serves as input and as output embedding."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import AuxiliaryTrainingWrapper

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if None in ends:
        return False
    bare = [end.get_base_layer() if isinstance(end, BaseTunerLayer) else end for end in ends]
    bare = [end.original_module if isinstance(end, AuxiliaryTrainingWrapper) else end for end in bare]
    touched = any(isinstance(end, BaseTunerLayer | AuxiliaryTrainingWrapper) for end in ends)
    return touched and bare[0].weight is bare[1].weight


@contextmanager
def load_errors(name: str) -> Iterator[None]:
    """Turn what the libraries raise about a model that cannot be loaded into one line with advice."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} does not fit into the device's memory", "Try --load-in-4bit, --dtype bfloat16, or another device."
        ) from error
    except SipfError:
        raise
    except Exception as error:  # the libraries raise what they like of an odd file, tokenizers plain ones
        raise ModelError(f"cannot load {name}: {_first_line(error)}", _advice(name, error)) from error


def _advice(name: str, error: BaseException) -> str:
    if "trust_remote_code" in str(error):
        return "Read the code in its folder; --trust-remote-code runs it."
    folder = Path(resolve(name))
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        return "The folder has no config.json; give the folder of a transformers model or a PEFT adapter."
    if not any(folder.glob("*.safetensors")):
        return CONVERT
    return "Check that the folder is complete and that its model type is known to the pinned transformers."


def _first_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
