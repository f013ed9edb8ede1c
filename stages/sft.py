"""Supervised fine-tuning on gold solutions (the paper's M0) or on a policy's own right paths, with TRL's SFTTrainer.

    run_sft(problems, model="chain-base", out="runs/m0", options=TrainSettings(epochs=2, lr=5e-4, batch=32))
    run_sft(sampled, model="chain-base", out="runs/rft", options=..., own=OwnPaths())     # RFT, see `SftSettings`

The loss is on the solution alone, or on the prompt as well. Rows are tokenised here, by the same `Prompter` that
samples, so TRL neither adds a BOS nor drops a row silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evals.records import Problem
from evals.tasks import task_of
from stages.files.interrupts import StopFlag
from stages.models.devices import choose_device
from stages.models.prompts import Prompter
from stages.seeds import split_problems
from stages.settings.training import OwnPaths, SftSettings, TrainSettings
from stages.training.model_folder import Log
from stages.training.own_paths import Written, own_paths
from stages.training.run import Method, TrainingRun
from stages.training.start import check_policy_start
from stages.training.targets import IGNORED, completion_labels


def run_sft(
    problems: Iterable[Problem],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    loss: str = SftSettings.loss,
    held_out_share: float = SftSettings.held_out,
    own: OwnPaths | None = None,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Fine-tune a policy on the problems' gold solutions, or on their right paths.

    Args:
        problems: those without a solution are counted and left out.
        model: the policy to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        loss: "completion" or "all": on which tokens.
        held_out_share: share of problems kept out of training, to measure the loss on after each epoch.
        own: which paths to learn; None: gold solutions alone.
        options, stop, log, overwrite: see `TrainingRun`.

    Returns:
        The manifest: options, counts (rows, dropped by reason, and "held-out rows" where there are any), steps, final
        loss, seconds.

    Raises:
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    check_policy_start(model, options)
    lines = list(problems)
    run = TrainingRun("sft", model, out, options, stop, log, overwrite)
    prompter = run.prompter(lines)
    train, test = split_problems(lines, lambda problem: problem.id, options.seed, held_out_share)
    rows, counts = sft_rows(train, prompter, options.max_length, loss, own, options.seed)
    held_out, _ = sft_rows(test, prompter, options.max_length, loss, own, options.seed)
    if held_out:
        counts["held-out rows"] = len(held_out)
    method = Method(
        trainer=lambda checkpoints: sft_trainer(rows, run.tokenizer, run.base, options, checkpoints, held_out),
        kind="policy",
        advice="SFT needs problems with a solution." if own is None else "Draw more paths (sipf sample).",
        settings={"loss": loss, "held_out_share": held_out_share} | ({} if own is None else {"paths": asdict(own)}),
        held_out=held_out,
    )
    return run.train(method, prompter, rows, counts)


def sft_rows(
    problems: Iterable[Problem],
    prompter: Prompter,
    max_length: int,
    loss: str = SftSettings.loss,
    own: OwnPaths | None = None,
    seed: int = TrainSettings.seed,
) -> tuple[list[dict[str, list[int]]], Counter[str]]:
    """Training rows of the problems that can be trained on.

    Returns:
        Rows {"input_ids", "labels"} (labels: EOS included, -100 on the prompt unless the loss is on "all"), and counts:
        "rows", "no solution", "too long" (more than `max_length` tokens), and those of `own_paths`.
    """
    rows = []
    counts: Counter[str] = Counter(rows=0)
    for written in _gold(problems, counts) if own is None else own_paths(problems, own, seed, counts):
        encoded = prompter.encode(written.problem, written.text, end=written.ended)
        if len(encoded.ids) > max_length:
            counts["too long"] += 1
            continue
        counts["rows"] += 1
        rows.append(
            {"input_ids": encoded.ids, "labels": list(encoded.ids) if loss == "all" else completion_labels(encoded)}
        )
    return rows, counts


def _gold(problems: Iterable[Problem], counts: Counter[str]) -> Iterable[Written]:
    for problem in problems:
        text = task_of(problem).gold_text(problem)
        if text:
            yield Written(problem, text)
        else:
            counts["no solution"] += 1


def sft_trainer(
    rows: list[dict[str, list[int]]],
    tokenizer: Any,
    model: str,
    options: TrainSettings,
    output_dir: str,
    held_out: Sequence[dict[str, list[int]]] = (),
) -> Any:
    """TRL's SFTTrainer over rows that are tokenised already."""
    from datasets import Dataset, disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from stages.training.token_scores import score_tokens
    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    policy = load_trainable(model, POLICY, options)
    # On a GPU TRL has kernels of its own that hold no more than this; elsewhere it holds a quarter of all logits, of
    # prompts and padding as well, and several copies of them.
    ours = not choose_device(options.device).startswith("cuda") and score_tokens(policy, ("entropy", "top1"))

    class Trainer(Guarded, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """TRL's, from log-probabilities in chunks where those are at hand."""
            if not ours or return_outputs:
                whole: Any = super()
                return whole.compute_loss(model, inputs, return_outputs, num_items_in_batch)
            learnt = inputs["labels"][:, 1:] != IGNORED
            given = {key: value for key, value in inputs.items() if key != "labels"}
            scores = model(**given, targets=inputs["labels"])
            items = learnt.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
            self._note("train" if model.training else "eval", learnt.sum(), scores, given)
            loss = -scores.log_probs.sum() / items
            return loss if num_items_in_batch is None else loss * self.accelerator.num_processes

        def _note(self, kind: str, learnt: Any, scores: Any, given: Mapping[str, Any]) -> None:
            """Keep what TRL logs beside the loss."""
            tokens = given["attention_mask"].sum() if "attention_mask" in given else given["position_ids"].numel()
            sums = [learnt, scores.entropy.sum(), scores.top1.sum(), tokens]
            total = self.accelerator.reduce(scores.entropy.new_tensor(sums), "sum").tolist()
            if kind == "train":
                self._total_train_tokens += int(total[3])
            noted = self._metrics[kind]
            noted["entropy"].append(total[1] / max(total[0], 1))
            noted["mean_token_accuracy"].append(total[2] / max(total[0], 1))
            noted["num_tokens"] = [self._total_train_tokens]

        @staticmethod
        def weightless(row: Mapping[str, Any]) -> dict[str, Any]:
            """The row without a label."""
            return {**row, "labels": [IGNORED] * len(row["labels"])}

    disable_progress_bars()
    return Trainer(
        model=policy,
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
        eval_dataset=Dataset.from_list(list(held_out)) if held_out else None,
        processing_class=tokenizer,
        grouped=options.group_by_length,
    )
