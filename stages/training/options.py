"""How to train: the options that the three trainers share.

    TrainOptions(epochs=2, lr=5e-4, batch=32)              # full fine-tuning, fp32 (bf16 autocast where the GPU has it)
    TrainOptions(lora=True, lora_r=256, lora_alpha=128)    # an adapter, kept as one unless merge=True

What they mean for transformers and PEFT is in `stages.training.trainer` and `stages.training.weights`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from evals.errors import UsageError

# Changing these does not change the model, so a resume may.
FREE = ("device", "save_steps", "logging_steps", "gradient_checkpointing")


@dataclass(frozen=True)
class TrainOptions:
    """How to train. `warmup` below 1 is a share of all steps, else a number of steps; `max_length` is in tokens.

    Raises:
        UsageError: a value out of range, or two that contradict each other.
    """

    epochs: float = 3.0
    lr: float = 1e-4
    batch: int = 8
    accumulation: int = 1
    schedule: str = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    seed: int = 42
    max_length: int = 1024
    packing: bool = False
    group_by_length: bool = False
    lora: bool = False
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    load_in_4bit: bool = False
    merge: bool = False
    dtype: str = "auto"
    device: str = "auto"
    gradient_checkpointing: bool = False
    trust_remote_code: bool = False
    save_steps: int = 500
    logging_steps: int = 10

    def __post_init__(self) -> None:
        for name in ("batch", "accumulation", "max_length", "lora_r", "lora_alpha", "save_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be at least 1")
        for name in ("epochs", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be above 0")
        for name in ("warmup", "weight_decay", "max_grad_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}, it must not be below 0")
        if not 0 <= self.lora_dropout < 1:
            raise UsageError(f"lora_dropout is {self.lora_dropout}, it must be at least 0 and below 1")
        if self.load_in_4bit and not self.lora:
            raise UsageError("4-bit weights cannot be trained themselves", "Add --lora.")
        if self.merge and not self.lora:
            raise UsageError("there is no adapter to merge", "Use --merge together with --lora.")
        if self.packing and self.group_by_length:
            raise UsageError("packed rows all have the same length", "Leave out --packing or --group-by-length.")
        if ":" in self.device:
            raise UsageError(
                f"training takes no single device ({self.device})", "Choose it through CUDA_VISIBLE_DEVICES instead."
            )

    def identity(self) -> dict[str, Any]:
        """The options that decide which model comes out, for comparison on resume."""
        return {name: value for name, value in asdict(self).items() if name not in FREE}
