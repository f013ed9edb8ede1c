"""What the three trainers share: their options, and what those mean for transformers and PEFT.

    TrainOptions(epochs=2, lr=5e-4, batch=32)              # full fine-tuning, fp32 (bf16 autocast where the GPU has it)
    TrainOptions(lora=True, lora_r=256, lora_alpha=128)    # an adapter, kept as one unless merge=True

Nothing here imports torch; `stages.training.trainer` does the training.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from evals.errors import UsageError

Log = Callable[[dict[str, Any]], None]
# Changing these does not change the model, so a resume may.
FREE = ("device", "save_steps", "logging_steps", "gradient_checkpointing")


class Stop(Protocol):
    """Says that somebody wants the run to end (SIGTERM)."""

    @property
    def requested(self) -> bool:
        """True once the run should stop at its next step."""


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


def training_arguments(options: TrainOptions, output_dir: str, device: str, dtype: str) -> dict[str, Any]:
    """The options as keyword arguments of transformers' TrainingArguments (and of TRL's configurations)."""
    return {
        "output_dir": output_dir,
        "num_train_epochs": options.epochs,
        "learning_rate": options.lr,
        "per_device_train_batch_size": options.batch,
        "gradient_accumulation_steps": options.accumulation,
        "lr_scheduler_type": options.schedule,
        "warmup_steps": options.warmup,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
        "seed": options.seed,
        "data_seed": options.seed,
        "bf16": dtype == "bfloat16",
        "use_cpu": device == "cpu",
        "gradient_checkpointing": options.gradient_checkpointing,
        "logging_steps": options.logging_steps,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": options.save_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "log_level": "error",
        "log_level_replica": "error",
        "ddp_find_unused_parameters": False,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_pin_memory": device == "cuda",
    }


def lora_config(options: TrainOptions, task_type: str) -> Any:
    """PEFT's configuration for `task_type` CAUSAL_LM or TOKEN_CLS; a score head is trained whole beside it."""
    from peft import LoraConfig

    return LoraConfig(
        task_type=task_type,
        r=options.lora_r,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules="all-linear",
        # PEFT only knows to leave the head alone in sequence classification; an adapter on a head that is saved
        # whole as well would not survive saving and loading.
        exclude_modules=["score", "classifier"] if task_type == "TOKEN_CLS" else None,
    )


def is_main_process() -> bool:
    """True for the process that writes and speaks (under `accelerate launch`: rank 0)."""
    return int(os.environ.get("RANK", "0")) == 0


def describe_run(
    stage: str, model: str, fingerprint: str, template: dict[str, str], options: TrainOptions, **more: Any
) -> dict[str, Any]:
    """What a manifest says about a training run before its results."""
    from importlib.metadata import version

    from stages.models.devices import choose_device, choose_training_dtype

    device = choose_device(options.device)
    return {
        "stage": stage,
        "model": {"name": model, "fingerprint": fingerprint},
        "template": template,
        "options": asdict(options),
        "device": device,
        "computed in": choose_training_dtype(options.dtype, device),
        **more,
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
