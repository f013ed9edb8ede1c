"""What looks on while a trainer trains: writes the history, has held-out rows measured, stops the run when asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
import transformers

from evals.errors import Interrupted
from stages.files.interrupts import RUN_AGAIN, StopFlag
from stages.training.best import BestWeights
from stages.training.history import HELD_OUT
from stages.training.launched import check_wrapper
from stages.training.model_folder import Log, ModelFolder
from stages.training.processes import wait_for_all

_NO_FIGURES = {"runtime", "samples_per_second", "steps_per_second", "model_preparation_time", "num_tokens"}

TOKENS = "_total_train_tokens"
"""Where TRL's trainers count the tokens that they have trained on."""


class MeasuringBrokenOffError(Exception):
    """The run was asked to stop while it measured its held-out rows."""


class Watch(transformers.TrainerCallback):
    """Passes log lines on, marks checkpoints as complete, has the held-out rows measured after each epoch, and stops
    the run when it is asked to.

    They are measured before the checkpoint of the same step is written, so a run that resumes from it need not measure
    again; `on_train_begin` does where a stop came between.
    """

    def __init__(
        self,
        trainer: Any,
        folder: ModelFolder,
        stop: StopFlag,
        looking: ExitStack,
        log: Log | None,
        names: Mapping[str, str],
        best: BestWeights | None,
    ) -> None:
        self._trainer = trainer
        self._folder = folder
        self._stop = stop
        self._looking = looking
        self._log = log
        self._best = best
        self.names = names
        self.stopped = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """From here on the flag is looked at after every step; all before may be broken off anywhere.

        Raises:
            UsageError: the model is not wrapped in what was asked for.
        """
        check_wrapper(self._trainer)
        if hasattr(self._trainer, TOKENS):  # TRL counts from where a run resumes; the state is part of the checkpoint
            setattr(self._trainer, TOKENS, int(state.num_input_tokens_seen))
        self._looking.enter_context(self._stop.at_leisure())
        # Over several processes, a loader that skips the batches before a checkpoint does not pass the epoch on.
        self._trainer.order.set_epoch(int(state.epoch or 0))
        if self._ends_an_epoch(state) and not self._folder.history.measured_at(state.global_step):
            self._trainer.evaluate()
            self.check(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for the last log line, for the held-out figures, and for an early end."""
        state.num_input_tokens_seen = getattr(self._trainer, TOKENS, 0)
        last = state.global_step >= state.max_steps
        if last:
            control.should_log = True
        elif self._wanted(args):
            self._end_early(control)
            return
        control.should_evaluate = self._ends_an_epoch(state)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Break off measuring when the run is to stop; the checkpoint is written all the same."""
        if self._wanted(args):
            self._end_early(control)
            raise MeasuringBrokenOffError

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the weights if they are the best so far, then write the line which says that they were measured."""
        logged = state.log_history[-1]
        if self._best is not None:
            self._best.consider(self._trainer, state.global_step, logged["eval_loss"])
        if state.is_world_process_zero:
            self._tell(state, held_out_figures(logged, self.names))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint: all its files are written, by every process."""
        wait_for_all()
        if state.is_world_process_zero:
            self._folder.mark_complete(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write one line for a logged step."""
        if state.is_world_process_zero and logs and "loss" in logs:
            self._tell(state, {self.names.get(key, key): number(value) for key, value in logs.items()})

    def check(self, state: Any) -> None:
        """End here if that was asked of this process or of another one.

        Raises:
            Interrupted, KeyboardInterrupt: it was.
        """
        self._stop.check()
        if self.stopped:
            raise Interrupted(f"stopped after step {state.global_step} of {state.max_steps}", RUN_AGAIN)

    def _tell(self, state: Any, figures: Mapping[str, Any]) -> None:
        line = {"step": state.global_step, "steps": state.max_steps, **figures}
        self._folder.log(line)
        if self._log is not None:
            self._log(line)

    def _end_early(self, control: Any) -> None:
        self.stopped = True
        control.should_save = control.should_training_stop = True
        control.should_evaluate = False

    def _ends_an_epoch(self, state: Any) -> bool:
        """Whether held-out rows, if there are any, are measured after this step: an epoch's last, or the run's."""
        if self._trainer.eval_dataset is None or not state.global_step:
            return False
        return bool(state.global_step >= state.max_steps or float(state.epoch).is_integer())

    def _wanted(self, args: Any) -> bool:
        wanted = self._stop.requested
        if args.world_size == 1:
            return wanted
        flag = torch.tensor([float(wanted)], device=args.device)
        torch.distributed.all_reduce(flag)
        return bool(flag.item())


def held_out_figures(logged: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """What a trainer logs of held-out rows, in this toolkit's words; its times and counts left out.

    The loss is the mean of the batches' losses, each weighed by its rows; batches are as large as in training.

    Args:
        logged: keys as "eval_loss", and "epoch".
        names: of keys without "eval_", where they are to be called something else.
    """
    figures = {"epoch": logged["epoch"]}
    for key, value in logged.items():
        name = key.removeprefix("eval_")
        if name != key and name not in _NO_FIGURES:
            figures[f"{HELD_OUT}{names.get(name, name)}"] = number(value)
    return figures


def number(value: Any) -> Any:
    """A logged figure as JSON has it: None for what is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
