"""What the settings of a training stage mean for transformers and PEFT.

Nothing here imports torch; `stages.training.trainer` does the training.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from stages.settings.training import TrainSettings

Log = Callable[[dict[str, Any]], None]


class Stop(Protocol):
    """Says that somebody wants the run to end (SIGTERM)."""

    @property
    def requested(self) -> bool:
        """True once the run should stop at its next step."""


def training_arguments(options: TrainSettings, output_dir: str, device: str, dtype: str) -> dict[str, Any]:
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


def lora_config(options: TrainSettings, task_type: str) -> Any:
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
    stage: str, model: str, fingerprint: str, template: dict[str, str], options: TrainSettings, **more: Any
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
