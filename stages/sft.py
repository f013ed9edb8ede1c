"""Supervised fine-tuning on gold solutions (the paper's M0), with TRL's SFTTrainer and a loss on the completion alone.

    run_sft(problems, model="chain-base", out="runs/m0", options=TrainSettings(epochs=2, lr=5e-4, batch=32))

Rows are tokenised here, by the same `Prompter` that samples, so TRL neither adds a BOS nor drops a row in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from evals.records import Problem
from evals.tasks import task_of
from stages.files.interrupts import StopFlag
from stages.models.prompts import Prompter
from stages.settings.training import TrainSettings
from stages.training.model_folder import Log
from stages.training.run import Method, TrainingRun
from stages.training.targets import IGNORED, completion_labels


def run_sft(
    problems: Iterable[Problem],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Fine-tune a policy on the problems' gold solutions.

    Args:
        problems: those without a solution are counted and left out.
        model: the policy to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        options, stop, log, overwrite: see `TrainingRun`.

    Returns:
        The manifest: options, counts (rows, and dropped by reason), steps, final loss, seconds.

    Raises:
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    lines = list(problems)
    run = TrainingRun("sft", model, out, options, stop, log, overwrite)
    prompter = run.prompter(lines)
    rows, counts = sft_rows(lines, prompter, options.max_length)
    method = Method(
        trainer=lambda checkpoints: sft_trainer(rows, run.tokenizer, run.base, options, checkpoints),
        kind="policy",
        advice="SFT needs problems with a solution.",
    )
    return run.train(method, prompter, rows, counts)


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
        rows.append({"input_ids": encoded.ids, "labels": completion_labels(encoded)})
    return rows, counts


def sft_trainer(
    rows: list[dict[str, list[int]]], tokenizer: Any, model: str, options: TrainSettings, output_dir: str
) -> Any:
    """TRL's SFTTrainer over rows that are tokenised already."""
    from datasets import Dataset, disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    class Trainer(Guarded, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
        @staticmethod
        def weightless(row: Mapping[str, Any]) -> dict[str, Any]:
            """The row without a label."""
            return {**row, "labels": [IGNORED] * len(row["labels"])}

    disable_progress_bars()
    return Trainer(
        model=load_trainable(model, POLICY, options),
        args=configured(
            SFTConfig,
            options,
            output_dir,
            max_length=options.max_length,
            packing=options.packing,
            # Rows are ready; only packing is left to TRL.
            dataset_kwargs=None if options.packing else {"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        grouped=options.group_by_length,
    )
