"""Supervised fine-tuning on gold solutions (the paper's M0), with TRL's SFTTrainer and a loss on the completion alone.

    run_sft(problems, model="chain-base", out="runs/m0", options=TrainSettings(epochs=2, lr=5e-4, batch=32))

Rows are tokenised here, by the same `Prompter` that samples, so TRL neither adds a BOS nor drops a row in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task_of
from stages.models.devices import choose_device, choose_training_dtype
from stages.models.loading import load_tokenizer, model_fingerprint, read_card
from stages.models.prompts import Prompter, make_prompter
from stages.settings.training import TrainSettings
from stages.training.model_folder import ModelFolder, hash_rows
from stages.training.options import Log, Stop, describe_run, is_main_process, training_arguments

IGNORED = -100


def run_sft(
    problems: Iterable[Problem],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    template: str = TrainSettings.template,
    stop: Stop | None = None,
    log: Log | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Fine-tune a policy on the problems' gold solutions.

    Args:
        problems: those without a solution are counted and left out.
        model: the policy to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        template: as for `make_prompter`.
        stop: looked at after every optimiser step.
        log: gets every logged line.
        overwrite: replace a model that another run made.

    Returns:
        The manifest: options, counts (rows, and dropped by reason), steps, final loss, seconds.

    Raises:
        DataError: no row is left to train on.
        UsageError, ModelError, Interrupted: see `ModelFolder` and `fit`.
    """
    rows_in = list(problems)
    if not rows_in:
        raise DataError("there are no problems to train on")
    tokenizer = load_tokenizer(model, options.trust_remote_code)
    prompter = make_prompter(tokenizer, task_of(rows_in[0]).templates, template, read_card(model).get("template"))
    rows, counts = sft_rows(rows_in, prompter, options.max_length)
    if not rows:
        raise DataError(f"no problem is left to train on ({dict(counts)})", "SFT needs problems with a solution.")
    run = describe_run("sft", model, model_fingerprint(model), prompter.describe(), options, counts=dict(counts))
    identity = {
        "stage": "sft",
        "model": run["model"]["fingerprint"],
        "template": run["template"]["sha256"],
        "data": hash_rows(rows),
        **options.identity(),
    }
    with ModelFolder(out, identity, overwrite, is_main_process()) as folder:
        if folder.done:
            return folder.manifest()
        run["result"] = _train(rows, folder, tokenizer, model=model, options=options, stop=stop, log=log)
        if not is_main_process():
            return run
        return folder.finish({"kind": "policy", "template": prompter.recorded, "stage": "sft", "base": model}, run)


def sft_rows(
    problems: Iterable[Problem], prompter: Prompter, max_length: int
) -> tuple[list[dict[str, list[int]]], Counter[str]]:
    """Training rows of the problems that can be trained on.

    Returns:
        Rows {"input_ids", "labels"} (labels: -100 on the prompt, EOS included), and counts: "rows",
        "no solution", "too long" (more than `max_length` tokens).
    """
    rows = []
    counts: Counter[str] = Counter(rows=0)
    for problem in problems:
        text = task_of(problem).gold_text(problem)
        if not text:
            counts["no solution"] += 1
            continue
        encoded = prompter.encode(problem, text, end=True)
        if len(encoded.ids) > max_length:
            counts["too long"] += 1
            continue
        counts["rows"] += 1
        rows.append({"input_ids": encoded.ids, "labels": [IGNORED] * len(encoded.prompt_ids) + encoded.completion_ids})
    return rows, counts


def _train(
    rows: list[dict[str, list[int]]],
    folder: ModelFolder,
    tokenizer: Any,
    *,
    model: str,
    options: TrainSettings,
    stop: Stop | None,
    log: Log | None,
) -> dict[str, Any]:
    from datasets import Dataset, disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from stages.training.trainer import Guarded, fit, load_trainable

    class Trainer(Guarded, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
        pass

    disable_progress_bars()
    device = choose_device(options.device)
    args = SFTConfig(
        **training_arguments(options, str(folder.checkpoints), device, choose_training_dtype(options.dtype, device)),
        max_length=options.max_length,
        packing=options.packing,
        # Rows are ready; only packing is left to TRL.
        dataset_kwargs=None if options.packing else {"skip_prepare_dataset": True},
    )
    args._n_gpu = min(args.n_gpu, 1)
    trainer = Trainer(
        model=load_trainable(model, "AutoModelForCausalLM", options, "CAUSAL_LM"),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    dataset: Any = trainer.train_dataset  # packed rows, if they are
    trainer.row_lengths = [len(ids) for ids in dataset["input_ids"]]
    trainer.grouped = options.group_by_length
    return fit(trainer, folder, options, base=model, stop=stop, log=log)
