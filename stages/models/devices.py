"""Where models run and in which numbers: what "auto" stands for on this machine.

choose_device("auto")                  # "cuda", "mps" or "cpu"
choose_dtype("auto", "cpu")            # "float32"
choose_training_dtype("auto", "cpu")   # "bfloat16" where the CPU multiplies in it
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any, TypeVar

from evals.errors import ModelError
from stages.settings.model import ModelSettings


def choose_device(device: str = ModelSettings.device) -> str:
    """What "auto" stands for: cuda, mps or cpu, in this order of preference. Anything else is checked.

    Raises:
        ModelError: a device this machine does not have.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(kind for kind, ok in there.items() if ok)
    if not there.get(device.partition(":")[0], False):
        raise ModelError(f"this machine has no device {device!r}", "Leave --device at auto.")
    return device


def choose_dtype(dtype: str, device: str) -> str:
    """What "auto" stands for: bfloat16 on a CUDA device that computes with it, else float32.

    Raises:
        ModelError: any other word than auto, float32 and bfloat16.
    """
    if dtype == "auto":
        import torch

        return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
    if dtype not in ("float32", "bfloat16"):
        raise ModelError(f"unknown dtype {dtype!r}", "Choose auto, float32 or bfloat16.")
    return dtype


Settings = TypeVar("Settings", bound=ModelSettings)


def on_device(settings: Settings) -> Settings:
    """The settings with what "auto" stands for on this machine.

    Raises:
        ModelError: a device this machine does not have.
    """
    device = choose_device(settings.device)
    chosen: dict[str, Any] = {"device": device, "dtype": choose_dtype(settings.dtype, device)}
    return replace(settings, **chosen)


def choose_training_dtype(dtype: str, device: str) -> str:
    """What training computes in (the weights stay float32): "auto" is bfloat16 also on a CPU that multiplies in it.

    A training step is then twice as fast (benchmarks/training.py). Writing and scoring stay in float32 on a CPU, where
    it makes them independent of the batch.

    Raises:
        ModelError: any other word than auto, float32 and bfloat16.
    """
    if dtype == "auto" and device == "cpu":
        import torch

        able = torch.cpu.get_capabilities()
        return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"
    return choose_dtype(dtype, device)


def four_bit() -> Any:
    """How weights are loaded in 4 bit: nf4 with double quantisation, as published.

    Raises:
        ModelError: bitsandbytes is missing.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError("loading in 4 bit needs bitsandbytes, which is not installed", "pip install bitsandbytes")
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def busy_tokens(model: Any) -> int:
    """Tokens at a time that keep a CPU busy with this model; the wider it is, the fewer."""
    return int(min(4096, max(512, (1 << 19) // model.config.get_text_config().hidden_size)))
