"""Training a reward model: token classification at the last token of each step, cross-entropy with soft targets.

    run_train_prm(problems, model="chain-base", out="runs/prm", options=TrainSettings(epochs=3), labels="hard")

The paper's PRM (and, with `outcome`, its ORM baseline): backbone, Linear(hidden, 2), loss at one token a step. The
mean is taken over the labelled steps of the whole optimiser step. Problems are split by id into training and held-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.errors import UsageError
from evals.metrics import accuracy_at, auc, calibration_error, first_wrong_step
from evals.records import Problem
from stages.files.interrupts import StopFlag
from stages.seeds import held_out
from stages.settings.training import RewardModelSettings, TrainSettings
from stages.training.model_folder import Log
from stages.training.run import BARE, Method, TrainingRun
from stages.training.step_rows import Example, LabelKind, StepRow, step_rows
from stages.training.targets import IGNORED

HALF = 0.5


def run_train_prm(
    examples: Iterable[Example],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    labels: str = RewardModelSettings.labels,
    outcome: bool = RewardModelSettings.outcome,
    held_out_share: float = RewardModelSettings.held_out,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a process (or, with `outcome`, an outcome) reward model.

    Args:
        examples: problems with labelled paths, or stepwise lines (`stages.training.step_rows.parse_example`).
        model: backbone: a causal model (fresh score head) or a reward model to train on.
        out: folder of the new model.
        labels: "hard", "soft" or "threshold:T".
        held_out_share: share of problems kept out of training, to measure on.
        options, stop, log, overwrite: see `TrainingRun`.

    Returns:
        The manifest, with "counts", "result" and the held-out "eval" (see `evaluate`).

    Raises:
        DataError: soft labels that the draws do not decide.
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    if not 0 <= held_out_share < 1:
        raise UsageError(f"the held-out share is {held_out_share}", "Give a share from 0 up to, not including, 1.")
    kind = LabelKind.parse(labels)
    lines = list(examples)
    problems = [line for line in lines if isinstance(line, Problem)]
    if options.template == TrainSettings.template and not problems:
        options = replace(options, template=next(iter(BARE)))
    run = TrainingRun("train-prm", model, out, options, stop, log, overwrite)
    prompter = run.prompter(problems)
    rows, counts = step_rows(lines, prompter, kind, options.max_length, outcome)
    train = [row for row in rows if not held_out(row.group, options.seed, held_out_share)]
    test = [row for row in rows if held_out(row.group, options.seed, held_out_share)]
    method = Method(
        trainer=lambda checkpoints: prm_trainer(train, run.tokenizer, run.base, options, checkpoints),
        kind="prm",
        advice="Run `sipf simulate` on the file first.",
        card={"step": "last token of a step", "labels": labels, "outcome": outcome},
        settings={"labels": labels, "outcome": outcome, "held_out_share": held_out_share},
        measure=lambda trained: evaluate(trained, test, run.tokenizer.pad_token_id),
    )
    data = ([row.group, row.ids, row.positions, row.targets] for row in rows)
    return run.train(method, prompter, train, counts, data)


def evaluate(model: Any, rows: Sequence[StepRow], pad: int, batch_tokens: int = 4096) -> dict[str, Any]:
    """How well a reward model does on held-out paths.

    A step counts as right if its target, and is called right if its score, is at least 0.5. The first error of a path
    is judged where all of its targets are known.

    Returns:
        "problems", "paths", "steps" and, None where there is nothing to measure, "accuracy", "auc",
        "calibration_error" (10 bins, against the targets), "first_error_accuracy" over "first_error_paths".
    """
    from stages.scorers.hf import step_probabilities

    model.eval()
    scores = step_probabilities(model, [(row.ids, row.positions) for row in rows], pad, batch_tokens)
    pairs = [
        (target, score)
        for row, row_scores in zip(rows, scores, strict=True)
        for target, score in zip(row.targets, row_scores, strict=True)
        if target is not None
    ]
    targets, given = [target for target, _ in pairs], [score for _, score in pairs]
    truth = [target >= HALF for target in targets]
    firsts = [
        first_wrong_step([(target or 0.0) >= HALF for target in row.targets])
        == first_wrong_step([score >= HALF for score in row_scores])
        for row, row_scores in zip(rows, scores, strict=True)
        if None not in row.targets
    ]
    return {
        "problems": len({row.group for row in rows}),
        "paths": len(rows),
        "steps": len(pairs),
        "right_steps": sum(truth),
        "accuracy": accuracy_at(truth, given) if pairs else None,
        "auc": auc(truth, given) if pairs else None,
        "calibration_error": calibration_error(targets, given) if pairs else None,
        "first_error_accuracy": sum(firsts) / len(firsts) if firsts else None,
        "first_error_paths": len(firsts),
    }


def step_loss(logits: Any, targets: Any, items: Any = None) -> Any:
    """Cross-entropy of the two classes against P(right) = target, at the labelled tokens.

    Args:
        logits: (batch, tokens, 2).
        targets: (batch, tokens), -100 at tokens without a label.
        items: labelled tokens of the whole optimiser step; None: those of this batch.

    Returns:
        Sum over the labelled tokens divided by `items`.
    """
    import torch

    labelled = targets != IGNORED
    log_p = torch.log_softmax(logits[labelled].to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
    target = targets[labelled].to(log_p.dtype)
    loss = -(target * log_p[:, 1] + (1 - target) * log_p[:, 0]).sum()
    return loss / (labelled.sum() if items is None else items)


@dataclass(frozen=True)
class StepCollator:
    """Pads rows on the right; labels are the targets at step positions and -100 elsewhere."""

    pad: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Rows {"input_ids", "positions", "targets"} to tensors of shape (batch, tokens)."""
        import torch

        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), self.pad, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        labels = torch.full((len(rows), width), float(IGNORED))
        for i, row in enumerate(rows):
            ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            mask[i, : len(row["input_ids"])] = 1
            for position, target in zip(row["positions"], row["targets"], strict=True):
                if target is not None:
                    labels[i, position] = target
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def prm_trainer(rows: Sequence[StepRow], tokenizer: Any, model: str, options: TrainSettings, output_dir: str) -> Any:
    """transformers' Trainer with `step_loss`, over rows of one path each."""
    import transformers

    from stages.training.trainer import Guarded, configured
    from stages.training.weights import REWARD, load_trainable

    class Trainer(Guarded, transformers.Trainer):  # type: ignore[misc]  # both bases are Any to mypy
        @staticmethod
        def weightless(row: Mapping[str, Any]) -> dict[str, Any]:
            """The row without a target."""
            return {**row, "targets": [None] * len(row["targets"])}

    return Trainer(
        model=load_trainable(model, REWARD, options),
        args=configured(transformers.TrainingArguments, options, output_dir),
        data_collator=StepCollator(tokenizer.pad_token_id),
        train_dataset=[{"input_ids": r.ids, "positions": r.positions, "targets": r.targets} for r in rows],
        processing_class=tokenizer,
        compute_loss_func=lambda outputs, labels, num_items_in_batch=None: step_loss(
            outputs.logits, labels, num_items_in_batch
        ),
        grouped=options.group_by_length,
    )
