"""Training a reward model: token classification at the last token of each step, cross-entropy with soft targets.

    run_train_prm(problems, model="chain-base", out="runs/prm", options=TrainSettings(epochs=3), labels="hard")

The paper's PRM (and, with `outcome`, its ORM baseline): backbone, Linear(hidden, 2), loss at one token per step; with
`sigmoid_head` also the sigmoid that the authors' code has between the two (`stages.models.reward`). The mean is taken
over the labelled steps of the whole optimiser step. Problems are split by id into training and held-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from evals.errors import UsageError
from evals.metrics import (
    accuracy_at,
    auc,
    brier,
    calibration_error,
    first_wrong_step,
    majority_accuracy,
    pair_accuracy,
)
from evals.records import Problem
from stages.files.interrupts import StopFlag
from stages.files.reading import BadLines, located
from stages.seeds import held_out
from stages.settings.labels import LabelKind
from stages.settings.training import RewardModelSettings, TrainSettings
from stages.training.given_prompts import prompted
from stages.training.model_folder import Log
from stages.training.run import BARE, Method, TrainingRun
from stages.training.start import check_reward_start
from stages.training.step_rows import Example, StepRow, kind_of_example, located_step_rows
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
    sigmoid_head: bool = RewardModelSettings.sigmoid_head,
    held_out_share: float = RewardModelSettings.held_out,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
    calibrate: int | None = None,
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Train a process (or, with `outcome`, an outcome) reward model.

    Args:
        examples: problems with labelled paths, or stepwise lines (`stages.training.step_rows.parse_example`).
        model: backbone: a causal model (fresh score head) or a reward model to train further.
        out: folder of the new model.
        labels: "hard", "soft", "threshold:T", "progress:R" or "advantage" (`stages.training.step_targets`).
        sigmoid_head: put a sigmoid before the head.
        held_out_share: share of problems kept out of training, to measure on after each epoch and at the end.
        bad: receives the lines that cannot be used; None: the first one is raised.
        options, stop, log, overwrite, calibrate: see `TrainingRun`.

    Returns:
        The manifest, with "counts", "result" and the held-out "eval" (see `evaluate`).

    Raises:
        DataError: soft labels that the draws do not decide.
        ModelError, UsageError: no reward model can be made of this one (see `check_reward_start`).
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    if not 0 <= held_out_share < 1:
        raise UsageError(f"the held-out share is {held_out_share}", "Give a share of at least 0 and below 1.")
    kind = LabelKind.parse(labels)
    head = check_reward_start(model, options, sigmoid_head)
    bad = BadLines(strict=True) if bad is None else bad
    lines, run, prompter = prompted(
        TrainingRun("train-prm", model, out, options, stop, log, overwrite, calibrate),
        located(examples),
        kind_of_example,
        lambda line: line if isinstance(line, Problem) else None,
        bad,
        texts=next(iter(BARE)),
    )
    rows, counts = located_step_rows(lines, prompter, kind, options.max_length, outcome, bad)
    bad.refuse_nothing(rows)
    train = [row for row in rows if not held_out(row.group, options.seed, held_out_share)]
    test = [row for row in rows if held_out(row.group, options.seed, held_out_share)]
    method = Method(
        trainer=lambda checkpoints: prm_trainer(
            train, run.tokenizer, run.base, options, checkpoints, test, sigmoid=sigmoid_head
        ),
        kind="prm",
        advice="Run `sipf simulate` on the file first.",
        card={"step": "last token of a step", "labels": labels, "outcome": outcome, "head": head},
        settings={"labels": labels, "outcome": outcome, "held_out_share": held_out_share}
        | ({"sigmoid_head": True} if sigmoid_head else {}),
        held_out=test,
        measure=lambda trained: evaluate(trained, test, run.tokenizer.pad_token_id),
    )
    data = ([row.group, row.ids, row.positions, row.targets] for row in rows)
    return run.train(method, prompter, train, counts, data)


def evaluate(model: Any, rows: Sequence[StepRow], pad: int, batch_tokens: int = 4096) -> dict[str, Any]:
    """How well a reward model does on held-out paths, gold paths apart.

    A step is right if its target is at least 0.5, and is called right if its score is at least 0.5. The first error of
    a path is judged if all of its targets are known. Gold paths are counted and not measured: all their steps are right
    by definition, and they read differently from a policy's own.

    Returns:
        "problems", "paths", "steps", "right_steps" that are measured, "gold_paths" and "gold_steps" that are not, and,
        None where there is nothing to measure, "accuracy" beside "majority_accuracy" (that of always saying the more
        frequent verdict), "auc", "pair_accuracy" (share of the "pairs" of a right and a wrong step of the same problem,
        of one path or of two, in which the right one scores higher; ties half), "calibration_error" (10 bins) and
        "brier" (Brier score) against the targets, "first_error_accuracy" over "first_error_paths".
    """
    from stages.scorers.hf import step_probabilities

    gold = [row for row in rows if row.gold]
    rows = [row for row in rows if not row.gold]
    model.eval()
    scores = step_probabilities(model, [(row.ids, row.positions) for row in rows], pad, batch_tokens)
    steps = [
        (row.group, target, score)
        for row, row_scores in zip(rows, scores, strict=True)
        for target, score in zip(row.targets, row_scores, strict=True)
        if target is not None
    ]
    groups, targets, given = [group for group, _, _ in steps], [step[1] for step in steps], [step[2] for step in steps]
    truth = [target >= HALF for target in targets]
    firsts = [
        first_wrong_step([(target or 0.0) >= HALF for target in row.targets])
        == first_wrong_step([score >= HALF for score in row_scores])
        for row, row_scores in zip(rows, scores, strict=True)
        if None not in row.targets
    ]
    within, pairs = pair_accuracy(groups, truth, given)
    return {
        "problems": len({row.group for row in rows}),
        "paths": len(rows),
        "steps": len(steps),
        "right_steps": sum(truth),
        "accuracy": accuracy_at(truth, given) if steps else None,
        "majority_accuracy": majority_accuracy(truth) if steps else None,
        "auc": auc(truth, given) if steps else None,
        "pair_accuracy": within,
        "pairs": pairs,
        "calibration_error": calibration_error(targets, given) if steps else None,
        "brier": brier(targets, given) if steps else None,
        "first_error_accuracy": sum(firsts) / len(firsts) if firsts else None,
        "first_error_paths": len(firsts),
        "gold_paths": len(gold),
        "gold_steps": sum(len(row.targets) for row in gold),
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


def prm_trainer(
    rows: Sequence[StepRow],
    tokenizer: Any,
    model: str,
    options: TrainSettings,
    output_dir: str,
    held_out: Sequence[StepRow] = (),
    *,
    sigmoid: bool = False,
) -> Any:
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
        model=load_trainable(model, REWARD, options, sigmoid),
        args=configured(transformers.TrainingArguments, options, output_dir, label_names=["labels"]),
        data_collator=StepCollator(tokenizer.pad_token_id),
        train_dataset=_examples(rows),
        eval_dataset=_examples(held_out) or None,
        processing_class=tokenizer,
        compute_loss_func=lambda outputs, labels, num_items_in_batch=None: step_loss(
            outputs.logits, labels, num_items_in_batch
        ),
        grouped=options.group_by_length,
        row_tokens=mean(len(row.ids) for row in rows),
    )


def _examples(rows: Sequence[StepRow]) -> list[dict[str, Any]]:
    return [{"input_ids": row.ids, "positions": row.positions, "targets": row.targets} for row in rows]
