"""Tools that show a training as it goes, through the trainers' own integrations (`--log-to`).

tensorboard writes into the model's folder (OUT/tensorboard; OUT.part/tensorboard while it trains), or where
TENSORBOARD_LOGGING_DIR says; wandb and trackio take their projects, accounts and places from their own variables.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evals.errors import ModelError

TENSORBOARD = "tensorboard"
_PACKAGES = {TENSORBOARD: ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}


def check_installed(tool: str) -> None:
    """Refuse a tool whose package is missing.

    Raises:
        ModelError: and what to install.
    """
    packages = _PACKAGES.get(tool, ())
    if packages and not any(find_spec(package) for package in packages):
        raise ModelError(
            f"--log-to {tool}: the package {packages[0]} is not installed",
            f"Run pip install {packages[0]}, or leave --log-to out: history.jsonl holds the same figures.",
        )


def name_run(trainer: Any, name: str, tensorboard: Path) -> None:
    """Tell the trainer's integrations the run's name and where tensorboard's files go."""
    trainer.args.run_name = name
    for callback in trainer.callback_handler.callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(tensorboard)
