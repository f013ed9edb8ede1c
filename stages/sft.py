"""Supervised fine-tuning on gold solutions (the paper's M0), on a policy's own right paths, or on anybody's
demonstrations, with TRL's SFTTrainer.

    run_sft(problems, model="chain-base", out="runs/m0", options=TrainSettings(epochs=2, lr=5e-4, batch=32))
    run_sft(sampled, model="chain-base", out="runs/rft", options=..., own=OwnPaths())     # RFT, see `SftSettings`

The loss is on the solution alone, or on the prompt as well. Rows are tokenised here, by the same `Prompter` that
samples, so TRL neither adds a BOS nor drops a row silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from evals.records import Problem
from stages.files.interrupts import StopFlag
from stages.files.reading import BadLines, located
from stages.models.devices import choose_device
from stages.seeds import split_problems
from stages.settings.training import OwnPaths, SftSettings, TrainSettings
from stages.training.given_prompts import prompted
from stages.training.model_folder import Log
from stages.training.run import Method, TrainingRun
from stages.training.sft_rows import Line, group_of, kind_of_line, located_sft_rows
from stages.training.start import check_policy_start
from stages.training.targets import IGNORED


def run_sft(
    lines: Iterable[Line],
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
    calibrate: int | None = None,
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Fine-tune a policy on the problems' gold solutions, on their right paths, or on demonstrations.

    Args:
        lines: problems (those without a solution are counted and left out), or demonstrations, which bring their
            prompts along.
        model: the policy to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        loss: "completion" or "all": on which tokens.
        held_out_share: share of problems kept out of training, to measure the loss on after each epoch.
        own: which paths to learn; None: gold solutions alone.
        bad: receives the lines that cannot be used; None: the first one is raised.
        options, stop, log, overwrite, calibrate: see `TrainingRun`.

    Returns:
        The manifest: options, counts (rows, dropped by reason, and "held-out rows" where there are any), steps, final
        loss, seconds.

    Raises:
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    check_policy_start(model, options)
    bad = BadLines(strict=True) if bad is None else bad
    found, run, prompter = prompted(
        TrainingRun("sft", model, out, options, stop, log, overwrite, calibrate),
        located(lines),
        kind_of_line,
        lambda line: line if isinstance(line, Problem) else None,
        bad,
    )
    train, test = split_problems(found, lambda line: group_of(line[1]), options.seed, held_out_share)
    how: dict[str, Any] = {"loss": loss, "own": own, "seed": options.seed, "bad": bad}
    rows, counts = located_sft_rows(train, prompter, options.max_length, **how)
    held_out, _ = located_sft_rows(test, prompter, options.max_length, **how)
    bad.refuse_nothing(rows)
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
        row_tokens=options.max_length if options.packing else mean(len(row["input_ids"]) for row in rows),
    )
