"""What `accelerate launch` was asked to wrap the model of a training run in, and what it is wrapped in.

accelerate launch --config_file accelerate/fsdp2.yaml --num_processes 8 -m sipf_cli sft problems.jsonl -m m0 -o m1

accelerate gives something else without a word in some places: asked for FSDP on a CPU, it trains with DDP.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evals.errors import UsageError
from stages.models.devices import choose_device, choose_training_dtype
from stages.settings.training import TrainSettings

NOTHING = "nothing"
_ASKED = {"FSDP": "ACCELERATE_USE_FSDP", "DeepSpeed": "ACCELERATE_USE_DEEPSPEED"}


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def sharded_by() -> str | None:
    """What lays the weights in shards over the processes, as the launcher was told: "FSDP", "DeepSpeed" or None."""
    return next((how for how, name in _ASKED.items() if os.environ.get(name, "").lower() == "true"), None)


def check_launch(options: TrainSettings) -> None:
    """Refuse a launch that cannot give what it was asked for, before anything is read.

    Raises:
        UsageError: FSDP on a CPU, or bfloat16 with DeepSpeed there.
    """
    device = choose_device(options.device)
    if device != "cpu":
        return
    if sharded_by() == "FSDP":
        raise UsageError(
            "accelerate was asked for FSDP, and would train with DDP on a CPU", "Launch with ddp.yaml, or on GPUs."
        )
    if sharded_by() == "DeepSpeed" and choose_training_dtype(options.dtype, device) == "bfloat16":
        raise UsageError("DeepSpeed does not compute in bfloat16 on a CPU", "Add --dtype float32.")


def check_wrapper(trainer: Any) -> None:
    """Refuse to train a model that is not wrapped in what was asked for.

    Raises:
        UsageError: it is wrapped in something else.
    """
    asked = sharded_by() or ("DDP" if processes() > 1 else None)
    got = wrapper_of(trainer)
    if asked is not None and not got.startswith(asked):
        raise UsageError(
            f"accelerate was asked for {asked}, and wraps the model in {got}",
            "Look at the configuration that accelerate launch was given, and at what `accelerate env` says.",
        )


def wrapper_of(trainer: Any) -> str:
    """What a trainer that has begun wraps its model in: "DDP", "FSDP2", "FSDP1", "DeepSpeed ZeRO-3" or "nothing"."""
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
    from torch.nn.parallel import DistributedDataParallel

    model = trainer.model_wrapped
    if isinstance(model, FSDPModule):
        return "FSDP2"
    if isinstance(model, FullyShardedDataParallel):
        return "FSDP1"
    if isinstance(model, DistributedDataParallel):
        return "DDP"
    if trainer.is_deepspeed_enabled and hasattr(model, "zero_optimization_stage"):
        return f"DeepSpeed ZeRO-{model.zero_optimization_stage()}"
    return NOTHING


@contextmanager
def whole_weights(trainer: Any) -> Iterator[None]:
    """Inside, transformers and TRL do not take weights for ZeRO's shards: those of models that are none are whole."""
    if not trainer.is_deepspeed_enabled:
        yield
        return
    from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]  # transformers leaves both untyped
    try:
        yield
    finally:
        set_hf_deepspeed_config(trainer.args.deepspeed_plugin.dschf)  # type: ignore[no-untyped-call]  # likewise
