"""Tools that show a training as it goes, through the trainers' own integrations (`--log-to`).

tensorboard writes into the model's folder (OUT/tensorboard; OUT.part/tensorboard while it trains), or where
TENSORBOARD_LOGGING_DIR says; wandb and trackio take their projects, accounts and places from their own variables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def name_run(trainer: Any, name: str, tensorboard: Path) -> None:
    """Tell the trainer's integrations the run's name and where tensorboard's files go."""
    trainer.args.run_name = name
    for callback in trainer.callback_handler.callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(tensorboard)
