"""Preference training with DPO, through TRL's trainer: what ORPO is compared with.

    {"prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "task": "chain", "question": "..."}
    run_dpo(pairs, model="runs/m0", out="runs/m1", options=TrainSettings(epochs=1, lr=5e-5), beta=0.1)

    L = -log sigmoid(beta * (log p(chosen) / p_ref(chosen) - log p(rejected) / p_ref(rejected))) + w * NLL(chosen)

with p the product over a completion's tokens, EOS included, and p_ref that of the model that training starts from
(arXiv 2305.18290). w = 0 is DPO, SRF among the paper's baselines; w > 0 adds the chosen completion's negative
log-likelihood, a mean over the tokens of the batch: RPO (arXiv 2404.19733; there w is 1, and the mean is over each
completion).

The reference's log-probabilities are computed once, before training, so no second model is held in memory. Rows are
those of ORPO: TRL's own tokenisation is not used, and no pair is cut or dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.files.interrupts import StopFlag
from stages.files.reading import BadLines
from stages.models.loading import quiet_libraries
from stages.settings.training import DpoSettings, TrainSettings
from stages.training.model_folder import Log
from stages.training.preferences import Rows, run_on_pairs
from stages.training.run import TrainingRun
from stages.training.targets import IGNORED

NAMES = {
    "logps/chosen": "chosen_logps",
    "logps/rejected": "rejected_logps",
    "rewards/chosen": "chosen_reward",
    "rewards/rejected": "rejected_reward",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
}
"""TRL's names of logged values, and ours. A reward is beta * log(p / p_ref)."""


def run_dpo(
    pairs: Iterable[Mapping[str, Any]],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    beta: float = DpoSettings.beta,
    sft_weight: float = DpoSettings.sft_weight,
    max_prompt_length: int | None = None,
    held_out_share: float = DpoSettings.held_out,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
    calibrate: int | None = None,
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Train a policy on preference pairs.

    Args:
        model: the policy to start from, which is the reference as well.
        out: folder of the new model.
        beta: how strongly the policy is held to the reference.
        sft_weight: weight of the chosen completion's negative log-likelihood.
        pairs, max_prompt_length, held_out_share, bad: see `run_on_pairs`.
        options, stop, log, overwrite, calibrate: see `TrainingRun`.

    Returns:
        The manifest; see `run_on_pairs`.

    Raises:
        UsageError: a weight out of range.
        DataError, UsageError, ModelError, Interrupted: see `run_on_pairs`.
    """
    DpoSettings(beta=beta, sft_weight=sft_weight, held_out=held_out_share)
    run = TrainingRun("dpo", model, out, options, stop, log, overwrite, calibrate)

    def trainer(checkpoints: str, rows: Rows, held_out: Rows) -> Any:
        how: dict[str, Any] = {"beta": beta, "sft_weight": sft_weight, "held_out": held_out}
        how["references"] = calibrate is None
        return dpo_trainer(rows, run.tokenizer, run.base, options, checkpoints, **how)

    return run_on_pairs(
        run,
        pairs,
        trainer,
        {"beta": beta, "sft_weight": sft_weight},
        NAMES,
        max_prompt_length=max_prompt_length,
        held_out_share=held_out_share,
        bad=bad,
    )


@dataclass(frozen=True)
class DpoCollator:
    """Pads rows on the right: the chosen ones, then the rejected ones of the same pairs, as TRL's loss reads them.

    A row's labels say which tokens are the model's own; prompt and given prefix are none.
    """

    pad: int

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Rows of `pair_rows` to tensors of shape (2 * pairs, tokens), the reference's log-probabilities (pairs)."""
        import torch

        sides = [(row, side) for side in ("chosen", "rejected") for row in rows]
        width = max(len(row[f"{side}_input_ids"]) for row, side in sides)
        ids = torch.full((len(sides), width), self.pad, dtype=torch.long)
        mask = torch.zeros((len(sides), width), dtype=torch.long)
        own = torch.zeros((len(sides), width), dtype=torch.long)
        for i, (row, side) in enumerate(sides):
            length = len(row[f"{side}_input_ids"])
            ids[i, :length] = torch.tensor(row[f"{side}_input_ids"])
            mask[i, :length] = 1
            own[i, :length] = (torch.tensor(row[f"{side}_labels"]) != IGNORED).long()
        batch = {"input_ids": ids, "attention_mask": mask, "completion_mask": own}
        known = {name for name in ("ref_chosen_logps", "ref_rejected_logps") if name in rows[0]}
        return batch | {name: torch.tensor([row[name] for row in rows]) for name in known}


def dpo_trainer(
    rows: list[dict[str, list[int]]],
    tokenizer: Any,
    model: str,
    options: TrainSettings,
    output_dir: str,
    *,
    beta: float,
    sft_weight: float = DpoSettings.sft_weight,
    held_out: Sequence[dict[str, list[int]]] = (),
    references: bool = True,
) -> Any:
    """TRL's DPOTrainer over rows that are tokenised already.

    Args:
        references: compute the reference's log-probabilities of all rows; without them the trainer only shows what
            training costs.
    """
    quiet_libraries()
    import torch
    from datasets import Dataset, disable_progress_bars
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    from stages.training.launched import whole_weights
    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    class Trainer(Guarded, DPOTrainer):  # type: ignore[misc]  # to mypy the base is Any: TRL has no types
        def line_lengths(self, row: Mapping[str, Any]) -> tuple[int, ...]:
            """Tokens of both sides."""
            return len(row["chosen_input_ids"]), len(row["rejected_input_ids"])

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # rows are ready

        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            if not references:
                nothing = [0.0] * len(dataset)
                return dataset.add_column("ref_chosen_logps", nothing).add_column("ref_rejected_logps", nothing)
            chosen, rejected = self._references(dataset, batch_size)
            return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

        def go_through(self, rows: Any) -> None:
            """What is done once with each row before training, for its cost alone."""
            self._references(rows, self.args.per_device_train_batch_size)

        def _references(self, dataset: Any, batch_size: int) -> Any:
            # TRL's keeps them in a file that only the first of several processes can find, and leaves dropout on.
            trainer: Any = self
            loader = torch.utils.data.DataLoader(dataset, batch_size=batch_size, collate_fn=trainer.data_collator)
            found = []
            if not (trainer.place_model_on_device or options.load_in_4bit):
                trainer.model.to(trainer.accelerator.device)  # where it would come once it is sharded
            trainer.model.eval()
            for batch in trainer.accelerator.prepare(loader):
                with whole_weights(trainer):
                    both = trainer.compute_ref_log_probs(trainer.model, batch)
                found.append(torch.stack(tuple(trainer.accelerator.gather_for_metrics(both))).cpu())
            trainer.model.train()
            return torch.cat(found, dim=1).tolist()

    disable_progress_bars()
    policy = load_trainable(model, POLICY, options)
    # TRL casts a 4-bit model's adapter to bfloat16, in which small updates are lost.
    exact = {name: weight.data for name, weight in policy.named_parameters() if weight.requires_grad}
    weighed = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, sft_weight]} if sft_weight else {}
    trainer = Trainer(
        model=policy,
        args=configured(
            DPOConfig,
            options,
            output_dir,
            max_length=options.max_length,
            beta=beta,
            # TRL would switch the adapter's own dropout off as well.
            disable_dropout=not options.lora,
            precompute_ref_log_probs=True,
            **weighed,
        ),
        data_collator=DpoCollator(tokenizer.pad_token_id),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(list(held_out)) if held_out else None,
        processing_class=tokenizer,
        grouped=options.group_by_length,
    )
    if "ref" in getattr(policy, "peft_config", {}):
        policy.delete_adapter("ref")  # it has said what it had to, and would be saved with the model
    for name, weight in policy.named_parameters():
        if name in exact and weight.dtype != exact[name].dtype:
            weight.data = exact[name]
    return trainer
