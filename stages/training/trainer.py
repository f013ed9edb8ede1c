"""Training a model with one of transformers' or TRL's trainers: resumable, stoppable, and never on after a bad loss.

`Guarded` is mixed into each trainer class; `fit` runs it inside a `ModelFolder` and leaves the final weights there.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers

from evals.errors import Interrupted, ModelError, UsageError
from stages.models.devices import choose_device, choose_training_dtype
from stages.models.loading import (
    CHAIN_BASE,
    adapter_base,
    is_adapter,
    load_weights,
    read_card,
    resolve,
)
from stages.settings.training import TrainSettings
from stages.training.model_folder import COMPLETE, ModelFolder
from stages.training.options import Log, Stop, is_main_process, lora_config
from stages.training.row_order import ShuffledRows

LAST_GOOD = "last-good"


class _NotFiniteError(Exception):
    """The loss or the gradient of a step is not a number, or infinite."""


class Guarded:
    """Mixin for a transformers Trainer: checks every step before it touches the weights, orders rows itself."""

    row_lengths: Sequence[int] = ()
    grouped: bool = False

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        # Called with every optimiser step just before the weights change; the loss since the last log is in _tr_loss.
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]  # the Trainer's, mixed in
        if not math.isfinite(norm) or not torch.isfinite(self._tr_loss):  # type: ignore[attr-defined]  # the Trainer's
            raise _NotFiniteError
        return norm

    def _get_train_sampler(self, train_dataset: Any = None) -> ShuffledRows:
        args = self.args  # type: ignore[attr-defined]  # the Trainer's, mixed in
        together = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return ShuffledRows(self.row_lengths, args.seed, together, self.grouped)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The manifest says what was trained; no card is written."""


class _Watch(transformers.TrainerCallback):
    """Passes log lines on, marks checkpoints as complete, and stops the run when it is asked to."""

    def __init__(self, folder: ModelFolder, stop: Stop | None, log: Log | None, names: dict[str, str]) -> None:
        self._folder = folder
        self._stop = stop
        self._log = log
        self.names = names
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for the last log line, and for an early end."""
        if state.global_step >= state.max_steps:
            control.should_log = True
        elif self._wanted(args):
            self.stopped = True
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint: all its files are written, by every process."""
        _meet()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write one line for a logged step."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        line = {"step": state.global_step, "steps": state.max_steps}
        line |= {self.names.get(key, key): _number(value) for key, value in logs.items()}
        self._folder.log(line)
        if self._log is not None:
            self._log(line)

    def _wanted(self, args: Any) -> bool:
        wanted = self._stop is not None and self._stop.requested
        if args.world_size == 1:
            return wanted
        flag = torch.tensor([float(wanted)], device=args.device)
        torch.distributed.all_reduce(flag)
        return bool(flag.item())


def load_trainable(name: str, auto_class: str, options: TrainSettings, task_type: str, **config: Any) -> Any:
    """Load a model to train it: fp32 weights (4 bit if asked for), with a LoRA adapter if asked for.

    An adapter folder is trained on as that adapter with `lora`, and merged into its base for full training.

    Raises:
        UsageError: the adapter cannot be trained on with these options.
    """
    transformers.set_seed(options.seed)
    go_on = options.lora and is_adapter(name) and (read_card(name).get("kind") == "prm") == (task_type == "TOKEN_CLS")
    if options.lora and is_adapter(name) and not go_on and not options.merge:
        raise UsageError(
            f"{name} is an adapter of another kind, and an adapter on top of it would have no base on disk",
            "Add --merge, or merge it into a full model first.",
        )
    if options.load_in_4bit and is_adapter(name) and not go_on:
        raise UsageError(f"{name} is an adapter of another kind, and cannot be merged into 4-bit weights", "Merge it.")
    if go_on:
        _same_shape(name, options)
    device = f"cuda:{torch.cuda.current_device()}" if options.load_in_4bit and torch.cuda.is_available() else "cpu"
    model = load_weights(
        name,
        auto_class,
        device,
        "float32",
        load_in_4bit=options.load_in_4bit,
        trust_remote_code=options.trust_remote_code,
        trainable=go_on,
        **config,
    )
    where = choose_device(options.device)
    if where == "cpu" and choose_training_dtype(options.dtype, where) == "bfloat16":
        # torch's fused attention goes backward in bfloat16 ten times slower on a CPU than plain matrix products.
        model.set_attn_implementation("eager")
    if options.lora and not go_on:
        from peft import get_peft_model, prepare_model_for_kbit_training

        if options.load_in_4bit:
            model = prepare_model_for_kbit_training(  # type: ignore[no-untyped-call]  # peft leaves it untyped
                model, use_gradient_checkpointing=options.gradient_checkpointing
            )
        model = get_peft_model(model, lora_config(options, task_type))
    return model


def fit(
    trainer: Any,
    folder: ModelFolder,
    options: TrainSettings,
    *,
    base: str,
    stop: Stop | None,
    log: Log | None,
    names: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train, from the last checkpoint if there is one, and save the model into `folder.final`.

    Args:
        trainer: a `Guarded` trainer whose checkpoints go to `folder.checkpoints`.
        folder: opened.
        base: name of the model that was loaded.
        names: logged keys that are to be called something else.

    Returns:
        {"steps", "loss", ...}: the last step and what was logged of it.

    Raises:
        Interrupted: `stop` was requested; a checkpoint is saved.
        ModelError: a loss or gradient was not finite, or memory ran out.
    """
    watch = _Watch(folder, stop, log, names or {})
    trainer.add_callback(watch)
    trainer.remove_callback(transformers.PrinterCallback)
    _meet()
    checkpoint = folder.checkpoint()
    patient = getattr(stop, "at_leisure", nullcontext)  # from here on `_Watch` looks at the flag after every step
    with _stops(trainer, folder, options), patient():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    if watch.stopped:
        check = getattr(stop, "check", None)
        if check is not None:
            check()  # Ctrl-C ends otherwise than SIGTERM
        raise Interrupted(
            f"stopped after step {state.global_step} of {state.max_steps}", "The same command goes on from there."
        )
    _meet()
    _save(trainer, folder, options, base)
    last: dict[str, Any] = next((line for line in reversed(state.log_history) if "loss" in line), {})
    metrics = {watch.names.get(key, key): _number(value) for key, value in last.items() if key not in ("step", "epoch")}
    return {"steps": state.global_step, **metrics}


@contextmanager
def _stops(trainer: Any, folder: ModelFolder, options: TrainSettings) -> Iterator[None]:
    try:
        yield
    except _NotFiniteError as error:
        step = trainer.state.global_step + 1
        kept = folder.checkpoint()
        if _finite(trainer.model):
            # No update with a bad gradient was made, so the weights are those after the last good step.
            trainer.save_model(str(folder.part / LAST_GOOD))
            kept = folder.part / LAST_GOOD
        where = f"The weights before it are kept in {kept}; " if kept else ""
        raise ModelError(
            f"the loss or its gradient is not finite at step {step}",
            f"{where}try a lower --lr (now {options.lr:g}) and another output.",
        ) from error
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the device's memory ran out at step {trainer.state.global_step + 1}",
            "Try a smaller --batch with more --accumulation, --max-length, --gradient-checkpointing or --lora.",
        ) from error


def _save(trainer: Any, folder: ModelFolder, options: TrainSettings, base: str) -> None:
    adapter = folder.part / "adapter" if options.merge else folder.final
    trainer.save_model(str(adapter if options.lora else folder.final))
    if not is_main_process():
        return
    if options.merge:
        _merged(trainer, options, adapter).save_pretrained(folder.final)
        trainer.processing_class.save_pretrained(folder.final)
        shutil.rmtree(adapter)
    elif options.lora:
        _name_base(folder.final, base)
    for extra in ("training_args.bin", "README.md"):
        (folder.final / extra).unlink(missing_ok=True)


def _merged(trainer: Any, options: TrainSettings, adapter: Path) -> Any:
    """The full model: merged where it is, or, as 4-bit weights would be rounded by it, into its base loaded anew."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not options.load_in_4bit:
        return model.merge_and_unload()
    auto_class = "AutoModelForCausalLM"
    config: dict[str, Any] = {}
    if str(model.peft_config["default"].task_type).endswith("TOKEN_CLS"):
        auto_class, config = "AutoModelForTokenClassification", {"fresh": ("score", "classifier"), "num_labels": 2}
    return load_weights(
        str(adapter), auto_class, "cpu", "float32", trust_remote_code=options.trust_remote_code, **config
    )


def _name_base(folder: Path, base: str) -> None:
    """Let an adapter name its base so that it is found from any folder, and after an upgrade in case of the alias."""
    name = adapter_base(base) if is_adapter(base) else base
    where = resolve(name)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = (
        name if name == CHAIN_BASE or not Path(where).is_dir() else str(Path(where).resolve())
    )
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _same_shape(name: str, options: TrainSettings) -> None:
    config = json.loads((Path(resolve(name)) / "adapter_config.json").read_text(encoding="utf-8"))
    if (config.get("r"), config.get("lora_alpha")) != (options.lora_r, options.lora_alpha):
        raise UsageError(
            f"{name} is an adapter with r {config.get('r')} and alpha {config.get('lora_alpha')}",
            "Give the same --lora-r and --lora-alpha to train it on, or begin from a full model.",
        )


def _meet() -> None:
    """Wait until all processes of the run have come here (no wait where there is one)."""
    accelerate.PartialState().wait_for_everyone()


def _finite(model: Any) -> bool:
    return all(bool(torch.isfinite(weights).all()) for weights in model.parameters() if weights.requires_grad)


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
