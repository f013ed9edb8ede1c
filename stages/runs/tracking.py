"""Tools that show a run as it goes (`--log-to`): TensorBoard, W&B and trackio. Each is imported only when asked for.

    check_installed("wandb")                                     # before anything starts
    tracker = Tracker("wandb", "sample paths.jsonl", {"n": 8}, "paths.jsonl.tensorboard")
    tracker.open()
    tracker.log({"sample/done": 120, "sample/right": 0.41}, step=120)

tensorboard writes into OUT.tensorboard/, or where TENSORBOARD_LOGGING_DIR says; wandb and trackio take their projects,
accounts and places from their own variables (WANDB_PROJECT, TRACKIO_PROJECT).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from evals.errors import UsageError

TENSORBOARD = "tensorboard"
PLACE = "TENSORBOARD_LOGGING_DIR"
PROJECT = "TRACKIO_PROJECT"
_PACKAGES = {TENSORBOARD: ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}


def check_installed(tool: str, instead: str = "") -> None:
    """Refuse a tool whose package is missing.

    Args:
        instead: what holds the same figures, for the advice.

    Raises:
        UsageError: and what to install.
    """
    packages = _PACKAGES.get(tool, ())
    if packages and not any(find_spec(package) for package in packages):
        raise UsageError(
            f"--log-to {tool}: the package {packages[0]} is not installed",
            f"Run pip install {packages[0]}, or leave --log-to out{instead and f': {instead}'}.",
        )


class _Opened(NamedTuple):
    log: Callable[[Mapping[str, float], int], object]
    close: Callable[[], object]


class Tracker:
    """A tool that gets points. One that fails in the middle is counted in `failed`; `fault` says why.

    Args:
        name: of the run.
        config: the run's settings, for the tools that show them.
        place: tensorboard's folder, unless TENSORBOARD_LOGGING_DIR names another.
    """

    def __init__(self, tool: str, name: str, config: Mapping[str, Any], place: str) -> None:
        self.tool, self.name, self.config, self.place = tool, name, dict(config), place
        self.sent = self.failed = 0
        self.fault = ""
        self._opened: _Opened | None = None

    def open(self) -> None:
        """Open the tool.

        Raises:
            UsageError: it cannot be opened.
        """
        try:
            self._opened = _OPENINGS[self.tool](self)
        except Exception as error:  # whatever a tool raises: no network, no account, no room
            raise UsageError(
                f"--log-to {self.tool} cannot be opened ({_first_line(error)})", "Fix that, or leave --log-to out."
            ) from error

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Send one point; a failure is counted."""
        assert self._opened is not None, "it was opened"
        self.sent += 1
        self._attempt(lambda opened: opened.log(figures, step))

    def close(self) -> None:
        """Let the tool write what it still holds; if that fails, the points may be lost, and count as such."""
        if self._opened is not None:
            before = self.failed
            self._attempt(lambda opened: opened.close())
            self.failed = self.sent if self.failed > before else before
            self._opened = None

    def _attempt(self, do: Callable[[_Opened], object]) -> None:
        assert self._opened is not None, "it was opened"
        try:
            do(self._opened)
        except Exception as error:  # whatever a tool raises must not end hours of work
            self.failed += 1
            self.fault = self.fault or f"--log-to {self.tool} failed ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _tensorboard(tracker: Tracker) -> _Opened:
    module = "torch.utils.tensorboard" if find_spec("tensorboard") else "tensorboardX"
    writer = import_module(module).SummaryWriter(os.environ.get(PLACE) or tracker.place)

    def log(figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return _Opened(log, writer.close)


def _wandb(tracker: Tracker) -> _Opened:
    run = import_module("wandb").init(name=tracker.name, config=tracker.config)
    return _Opened(lambda figures, step: run.log(dict(figures), step=step), run.finish)


def _trackio(tracker: Tracker) -> _Opened:
    trackio = import_module("trackio")
    trackio.init(project=os.environ.get(PROJECT, "sipf"), name=tracker.name, config=tracker.config)
    return _Opened(lambda figures, step: trackio.log(dict(figures), step=step), trackio.finish)


_OPENINGS: dict[str, Callable[[Tracker], _Opened]] = {
    TENSORBOARD: _tensorboard, "wandb": _wandb, "trackio": _trackio,
}  # fmt: skip
