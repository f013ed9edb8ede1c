"""One run of a training stage: what `sft`, `train-prm`, `orpo` and `dpo` have in common.

    run = TrainingRun("sft", "chain-base", "runs/m0", TrainSettings(epochs=2))
    prompter = run.prompter(problems)
    rows, counts = sft_rows(problems, prompter, run.options.max_length)
    run.train(Method(lambda checkpoints: sft_trainer(rows, ...), "policy", advice), prompter, rows, counts)

The stages say how rows are made, which trainer learns from them and what is measured afterwards. Everything here is
light to import; torch comes with the trainer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.tasks import task_of
from stages.files.interrupts import StopFlag
from stages.files.manifest import toolkit_version
from stages.models.devices import choose_device, choose_training_dtype
from stages.models.loading import load_tokenizer
from stages.models.naming import at_commit, at_revision, model_fingerprint, read_card, with_base
from stages.models.prompts import Prompter
from stages.models.templates import chat_arguments, make_prompter
from stages.runs.estimates import between, clocks
from stages.runs.tracking import check_installed
from stages.settings.training import TrainSettings
from stages.training.failed_writes import failed_writes_interrupt
from stages.training.history import HISTORY
from stages.training.launched import NOTHING, check_launch, processes, sharded_by, wrapper_of
from stages.training.model_folder import Log, ModelFolder, hash_rows
from stages.training.processes import is_main_process

BARE = {"bare": "{question}"}
"""The template of lines that bring their prompt along; a question asked later is then asked with nothing around it."""


@dataclass(frozen=True)
class Method:
    """What one training stage does otherwise than the others."""

    trainer: Callable[[str], Any]
    """From the folder for checkpoints to a `Guarded` trainer over the rows."""
    kind: str
    """What comes out: "policy" or "prm"."""
    advice: str
    """What to do when no row is left."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What `sipf.json` says of the model besides what it says of all."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The stage's own options that decide which model comes out."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Keys that the trainer logs and that are to be called something else."""
    measure: Callable[[Any], Mapping[str, Any]] | None = None
    """From the trained model to what `eval.json` and the manifest's "eval" say; called by every process, at once."""
    held_out: Sequence[Any] = ()
    """Rows that the trainer measures and does not train on; JSON values where the training rows are."""


@dataclass(frozen=True)
class TrainingRun:
    """Where a training stage starts, where its model goes, and how it is told to stop.

    Args:
        stage: the command's name.
        model: what to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        options: how to train.
        stop: looked at after every optimiser step.
        log: gets every logged line.
        overwrite: replace a model that another run made.
        calibrate: write nothing: time so many updates and estimate what the run would take.
    """

    stage: str
    model: str
    out: str
    options: TrainSettings
    stop: StopFlag | None = None
    log: Log | None = None
    overwrite: bool = False
    calibrate: int | None = None

    @cached_property
    def base(self) -> str:
        """The model to start from, a hub model with its commit.

        Raises:
            ModelError: it cannot be resolved.
            UsageError: a revision of what has none.
        """
        return at_commit(with_base(at_revision(self.model, self.options.revision), self.options.base))

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the model to start from."""
        return load_tokenizer(self.base, self.options.trust_remote_code)

    def prompter(self, problems: Iterable[Problem | None]) -> Prompter:
        """How the run's rows are prompted: with the templates of the first problem's task, or `BARE` without any."""
        templates = next((task_of(problem).templates for problem in problems if problem), BARE)
        card = read_card(self.base)
        told = chat_arguments(self.options.chat_arg, card)
        return make_prompter(self.tokenizer, templates, self.options.template, card.get("template"), told)

    def train(
        self,
        method: Method,
        prompter: Prompter,
        rows: Sequence[Any],
        counts: Mapping[str, int],
        data: Iterable[Any] | None = None,
    ) -> dict[str, Any]:
        """Train on the rows and write the model's folder, or find that it is there.

        Args:
            prompter: what the rows were made with.
            rows: JSON values, or anything of which `data` has them.
            counts: of rows, and of what was left out by reason.
            data: JSON values that decide the model, where the rows are no such values or not all of them.

        Returns:
            The manifest: options, counts, result (steps and last logged figures), seconds. With `calibrate` "counts",
            "estimate" (`stages.training.calibration.calibrate_training`), and "resumes at" where a step is done.

        Raises:
            DataError: there are no rows.
            UsageError, ModelError, Interrupted: see `ModelFolder` and `fit`; Interrupted where there is no room, too.
            UsageError: the best weights are wanted, and nothing is held out to measure them on; the tool to log to is
                not installed; or the launcher cannot give what it was asked for.
        """
        if self.options.keep == "best" and not method.held_out:
            raise UsageError(
                "--keep best needs held-out problems, and there are none",
                "Give --held-out a share, as 0.1; of few problems a larger one.",
            )
        check_launch(self.options)
        check_installed(self.options.log_to, f"{HISTORY} holds the same figures")
        if not rows:
            raise DataError(f"nothing is left to train on ({dict(counts)})", method.advice)
        described = self._describe(method, prompter, counts)
        identity = self._identity(method, described, hash_rows([*rows, *method.held_out] if data is None else data))
        if self.calibrate is not None:
            return self._calibrate(method, counts, ModelFolder(self.out, identity, self.overwrite, main=False))
        folder = ModelFolder(self.out, identity, self.overwrite, is_main_process())
        with failed_writes_interrupt(folder.part), folder:
            if folder.done:
                return folder.manifest()
            return self._fit(method, prompter, described, folder)

    def _fit(
        self, method: Method, prompter: Prompter, described: dict[str, Any], folder: ModelFolder
    ) -> dict[str, Any]:
        trainer = method.trainer(str(folder.checkpoints))
        from stages.training.trainer import fit

        described["result"], measured = fit(
            trainer,
            folder,
            self.options,
            base=self.base,
            stop=self.stop or StopFlag(),
            log=self.log,
            names=method.names,
            measure=method.measure,
        )
        if not is_main_process():
            return described
        if (wrapper := wrapper_of(trainer)) != NOTHING:
            described["processes"], described["wrapped in"] = processes(), wrapper
        if measured is not None:
            described["eval"] = dict(measured)
            folder.keep("eval.json", described["eval"])
        card = {"kind": method.kind, **prompter.card, "stage": self.stage, "base": self.base}
        return folder.finish({**card, **method.card}, described)

    def _calibrate(self, method: Method, counts: Mapping[str, int], folder: ModelFolder) -> dict[str, Any]:
        """What the run would take; the folder is only looked at."""
        with folder:
            if folder.done:
                return folder.manifest()
            step = folder.resumes_at()
        begun = clocks()
        with tempfile.TemporaryDirectory(prefix="sipf-calibration-") as scratch:
            trainer = method.trainer(scratch)
            from stages.training.calibration import calibrate_training

            measured = 1 if method.measure is not None and method.held_out else 0
            estimate = calibrate_training(
                trainer,
                self.calibrate or 0,
                stop=self.stop,
                done=step,
                measurings=measured,
                start_up=between(begun, clocks()),
            )
        return {"counts": dict(counts), **({"resumes at": step} if step else {}), "estimate": estimate}

    def _describe(self, method: Method, prompter: Prompter, counts: Mapping[str, int]) -> dict[str, Any]:
        """What the manifest says before there are results."""
        device = choose_device(self.options.device)
        return {
            "sipf": toolkit_version(),
            "stage": self.stage,
            "model": {"name": self.base, "fingerprint": model_fingerprint(self.base)},
            "template": prompter.describe(),
            "options": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.options).items()},
            "device": device,
            "computed in": choose_training_dtype(self.options.dtype, device),
            "counts": dict(counts),
            **method.settings,
            "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
        }

    def _identity(self, method: Method, described: Mapping[str, Any], data: str) -> dict[str, Any]:
        """What decides which model comes out."""
        # A batch is that of one process, and a checkpoint of one kind of shards cannot be read as another.
        several = {"processes": processes(), "sharded by": sharded_by()} if processes() > 1 else {}
        return {
            "stage": self.stage,
            "options": {**self.options.identity(), **method.settings},
            "facts": {
                "model": described["model"]["fingerprint"],
                "template": described["template"]["sha256"],
                **several,
            },
            "input": {"sha256": data},
        }
