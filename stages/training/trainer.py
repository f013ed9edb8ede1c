"""Training a model with one of transformers' or TRL's trainers: resumable, stoppable, and never on after a bad loss.

`Guarded` is mixed into each trainer class; `fit` runs it inside a `ModelFolder` and leaves the final weights there.
"""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import transformers

from evals.errors import Interrupted, ModelError
from stages.files.interrupts import RUN_AGAIN, StopFlag
from stages.models.devices import busy_tokens, choose_device, choose_training_dtype
from stages.settings.training import TrainSettings
from stages.training.best import BestWeights, check_can_keep_best
from stages.training.history import HELD_OUT_LOSS
from stages.training.launched import sharded_by
from stages.training.model_folder import Log, ModelFolder
from stages.training.processes import lost_another, wait_for_all
from stages.training.row_order import ShuffledRows, WithFiller
from stages.training.tracking import name_run
from stages.training.watch import MeasuringBrokenOffError, Watch, number
from stages.training.weights import save_final

KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""The variables that say how many compiled kernels oneDNN keeps: in its own cache, and in that of ideep."""
KERNELS = "64"
"""Enough for all the matrix products of one batch, forward and backward."""


class _NotFiniteError(Exception):
    """The loss or the gradient of a step is not a number, or infinite."""


class Guarded:
    """Mixin for a transformers Trainer: checks every step before it touches the weights, orders rows itself.

    What it measures on held-out rows leaves no trace in what it learns.

    Args:
        grouped: rows of similar length share steps.
        row_tokens: of a row on average. On a CPU a batch that is larger than keeps it busy is then computed in parts,
            rows of similar length in each; what is learnt of it is the same if the loss is a mean over the whole step.
        how: for the trainer's own class.
    """

    weightless: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    """Makes of a row one without any target: it weighs nothing where the loss is a mean over the targets of a step."""
    order: ShuffledRows
    """The order of the rows that are trained on, once their loader is made."""

    def __init__(self, *, grouped: bool, row_tokens: float | None = None, **how: Any) -> None:
        self._grouped = grouped
        if row_tokens is not None:
            _in_parts(how["args"], how["model"], row_tokens)
        super().__init__(**how)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        # Called with every optimiser step just before the weights change; the loss since the last log is in _tr_loss.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]  # the Trainer's, mixed in
        if not math.isfinite(norm) or not torch.isfinite(self._tr_loss):  # type: ignore[attr-defined]  # the Trainer's
            raise _NotFiniteError
        return norm

    def _get_train_sampler(self, train_dataset: Any = None) -> ShuffledRows:
        args = self.args  # type: ignore[attr-defined]  # the Trainer's, mixed in
        rows = self.train_dataset if train_dataset is None else train_dataset  # type: ignore[attr-defined]  # likewise
        # Only where rows are sorted are the lengths asked for, and reading every row takes a while.
        lengths = [0] * len(rows)
        if self._grouped or args.gradient_accumulation_steps > 1:
            lengths = [sum(self.line_lengths(row)) for row in rows]
        together = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        fills = args.world_size > 1 and self.weightless is not None
        each = args.train_batch_size * args.world_size if fills else 1
        self.order = ShuffledRows(lengths, args.seed, together, self._grouped, each)
        return self.order

    def get_train_dataloader(self) -> Any:
        """The Trainer's; over several processes the last batches are filled up with rows that weigh nothing.

        accelerate would fill them up with the first rows, which would then count twice.
        """
        trainer: Any = self
        rows = trainer.train_dataset
        if trainer.args.world_size > 1 and self.weightless is not None and not isinstance(rows, WithFiller):
            trainer.train_dataset = WithFiller(rows, self.weightless(rows[0]))
        return super().get_train_dataloader()  # type: ignore[misc]  # the Trainer's, mixed in

    def line_lengths(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """Tokens of each line that the row takes in a batch; all lines of a batch are filled up to the longest."""
        return (len(row["input_ids"]),)

    def go_through(self, rows: Any) -> None:
        """What is done once with each row before training, for its cost alone: nothing, usually."""

    def evaluate(self, *arguments: Any, **how: Any) -> Any:
        """The Trainer's, with the random numbers of the training left alone; {} where the run is to stop instead."""
        with torch.random.fork_rng(devices=[]):  # the loader draws a number on the CPU when it begins
            try:
                return super().evaluate(*arguments, **how)  # type: ignore[misc]  # the Trainer's, mixed in
            except MeasuringBrokenOffError:
                return {}

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The manifest says what was trained; no card is written."""


def configured(kind: Callable[..., Any], options: TrainSettings, output_dir: str, **more: Any) -> Any:
    """transformers' TrainingArguments, or a configuration of TRL that is derived from them.

    Args:
        kind: the class.
        output_dir: where checkpoints go.
        more: what the class has beside TrainingArguments.
    """
    device, deepspeed = choose_device(options.device), sharded_by() == "DeepSpeed"
    _keep_few_kernels()
    args = kind(
        output_dir=output_dir,
        num_train_epochs=options.epochs,
        learning_rate=options.lr,
        per_device_train_batch_size=options.batch,
        per_device_eval_batch_size=options.batch,
        gradient_accumulation_steps=options.accumulation,
        lr_scheduler_type=options.schedule,
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
        seed=options.seed,
        data_seed=options.seed,
        bf16=choose_training_dtype(options.dtype, device) == "bfloat16",
        # accelerate leaves DeepSpeed out where it is told that there is only a CPU, and finds no backend if it is not.
        use_cpu=device == "cpu" and not deepspeed,
        ddp_backend="gloo" if device == "cpu" and deepspeed else None,
        gradient_checkpointing=options.gradient_checkpointing,
        logging_steps=options.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=options.save_steps,
        save_total_limit=2,
        report_to=options.log_to,
        log_level="error",
        log_level_replica="error",
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        **more,
    )
    args._n_gpu = min(args.n_gpu, 1)  # several GPUs are for `accelerate launch`, one process each
    return args


def _in_parts(args: Any, model: Any, row_tokens: float) -> None:
    """Make each batch several smaller ones of the same update, where one process trains on a CPU."""
    if args.device.type != "cpu" or args.world_size > 1:
        return
    batch, most = args.per_device_train_batch_size, busy_tokens(model)
    part = max(size for size in range(1, batch + 1) if batch % size == 0 and (size == 1 or size * row_tokens <= most))
    args.per_device_train_batch_size = part
    args.gradient_accumulation_steps *= batch // part


def _keep_few_kernels() -> None:
    """Have oneDNN, which multiplies in bfloat16 on a CPU, forget its compiled code after a while; call it before it has
    compiled any.

    It compiles for every shape, and each new length of a batch brings dozens of them. Of its own accord it keeps 1,024
    in each of two caches, which is hundreds of megabytes (benchmarks/compiled_kernels.py).
    """
    for cache in KERNEL_CACHES:
        os.environ.setdefault(cache, KERNELS)


def fit(
    trainer: Any,
    folder: ModelFolder,
    options: TrainSettings,
    *,
    base: str,
    stop: StopFlag,
    log: Log | None = None,
    names: Mapping[str, str] | None = None,
    measure: Callable[[Any], Mapping[str, Any]] | None = None,
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Train, from the last checkpoint if there is one, measure, and save the model into `folder.final`.

    Args:
        trainer: a `Guarded` trainer whose checkpoints go to `folder.checkpoints`.
        folder: opened.
        base: name of the model that was loaded.
        stop: looked at after every optimiser step.
        log: gets every logged line.
        names: logged keys that are to be called something else.
        measure: what is to be found out of the trained model. Every process calls it: the model may be sharded, and one
            process alone would wait for ever for the others' weights.

    Returns:
        {"steps", "loss", ...}: the last step and what was logged of it; with held-out rows "held_out_loss", and with
        `--keep best` the "kept_step". And what `measure` gave.

    Raises:
        Interrupted: `stop` was requested (a checkpoint is saved), or another process of the run has ended.
        UsageError: the best weights are wanted of a sharded run; or the model is not wrapped in what was asked for.
        ModelError: a loss or gradient was not finite, or memory ran out.
    """
    best = None
    if options.keep == "best":
        check_can_keep_best(trainer)
        best = BestWeights(folder.best)
    name_run(trainer, folder.out.name, folder.tensorboard)
    with expected_ends(trainer, folder, options.lr):
        with ExitStack() as looking:
            watch = Watch(trainer, folder, stop, looking, log, names or {}, best)
            trainer.add_callback(watch)
            trainer.remove_callback(transformers.PrinterCallback)
            wait_for_all()
            checkpoint = folder.checkpoint()
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        watch.check(trainer.state)
        wait_for_all()
        kept = best.load_into(trainer) if best is not None else None
        measured = None if measure is None else measure(_whole_model(trainer))
        save_final(trainer, folder, options, base)
    figures = {**_last_figures(trainer.state, watch.names), **({} if kept is None else {"kept_step": kept.step})}
    return figures, measured


def _whole_model(trainer: Any) -> Any:
    """The model as it can be called: what shards it stays around it."""
    return trainer.model_wrapped if trainer.is_fsdp_enabled else trainer.accelerator.unwrap_model(trainer.model)


def _last_figures(state: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """The last step, what was logged of it, and the last held-out loss."""
    last: dict[str, Any] = next((line for line in reversed(state.log_history) if "loss" in line), {})
    figures = {names.get(key, key): number(value) for key, value in last.items() if key not in ("step", "epoch")}
    measured = next((line for line in reversed(state.log_history) if "eval_loss" in line), None)
    held_out = {} if measured is None else {HELD_OUT_LOSS: number(measured["eval_loss"])}
    return {"steps": state.global_step, **figures, **held_out}


@contextmanager
def expected_ends(trainer: Any, folder: ModelFolder | None, lr: float) -> Iterator[None]:
    """Turn the ways in which training fails into one line each.

    Args:
        folder: where the last good weights are kept; None: nowhere.
        lr: the learning rate, for the advice.

    Raises:
        ModelError: a loss or gradient was not finite, memory ran out, or a checkpoint holds more than tensors.
        Interrupted: another process of the run has ended.
    """
    try:
        yield
    except _NotFiniteError as error:
        step = trainer.state.global_step + 1
        kept = None if folder is None else folder.checkpoint()
        if folder is not None and _finite(trainer.model):
            # No update with a bad gradient was made, so the weights are those after the last good step.
            trainer.save_model(str(folder.last_good))
            kept = folder.last_good
        where = f"The weights before it are kept in {kept}; " if kept else ""
        raise ModelError(
            f"the loss or its gradient is not finite at step {step}",
            f"{where}try a lower --lr (now {lr:g}) and another output.",
        ) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the device's memory ran out at step {trainer.state.global_step + 1}",
            "Try a smaller --batch with more --accumulation, --max-length, --gradient-checkpointing or --lora.",
        ) from error
    except pickle.UnpicklingError as error:  # with `weights_only`, torch opens nothing that could run code
        raise ModelError(
            f"the checkpoint {None if folder is None else folder.checkpoint()} holds something that is no tensor",
            "It was not written by sipf. Delete it, and the run resumes from the one before, or begins again.",
        ) from error
    except RuntimeError as error:
        if not lost_another(error):
            raise
        raise Interrupted("another process of this run has ended", RUN_AGAIN) from error


def _finite(model: Any) -> bool:
    return all(bool(torch.isfinite(weights).all()) for weights in model.parameters() if weights.requires_grad)
