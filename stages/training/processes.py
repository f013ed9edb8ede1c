"""The processes of one training run, as `accelerate launch` starts them: one writes and speaks, the others help it."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """True for the process that writes and speaks (under `accelerate launch`: rank 0)."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_all() -> None:
    """Wait until all processes of the run have come here (no wait where there is one)."""
    import accelerate

    accelerate.PartialState().wait_for_everyone()


def lost_another(error: BaseException) -> bool:
    """Whether an error says that another process of this run has ended."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not isinstance(error, RuntimeError):
        return False
    import torch

    # gloo raises a bare RuntimeError that names its source file or the connection
    named = any(word in str(error) for word in ("gloo", "Connection closed by peer", "Connection reset by peer"))
    return named or isinstance(error, torch.distributed.DistError)
