"""Preference training with ORPO.

    {"prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "task": "chain", "question": "..."}
    run_orpo(pairs, model="chain-base", out="runs/m1", options=TrainSettings(epochs=2, lr=5e-4), beta=0.1)

    L = w * NLL(prompt + chosen) - beta * log sigmoid(log odds(chosen) - log odds(rejected)),  odds = P / (1 - P)

with P from the mean log-probability of a completion's tokens (the paper, in TRL's form, where w is 1; how the pairs of
a step are weighed: `stages.training.odds_ratio`). The logits of all tokens are never held at once
(`stages.training.token_scores`). Prompts, BOS and EOS come from `Prompter`, as for every other stage, and no pair is
cut or dropped silently.

A pair may have a "prefix", which both of its completions continue. It stands behind the prompt, with the tokens that it
has in the whole text, and is context: neither term of the loss has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from stages.files.interrupts import StopFlag
from stages.files.reading import BadLines
from stages.models.loading import quiet_libraries
from stages.settings.training import NllTokens, OrpoSettings, TrainSettings
from stages.training.model_folder import Log
from stages.training.preferences import Rows, run_on_pairs
from stages.training.run import TrainingRun

# TRL's names of logged values, and ours. TRL's "log_odds_ratio" is the log sigmoid of what is usually called so.
NAMES = {
    "logps/chosen": "chosen_logps",
    "logps/rejected": "rejected_logps",
    "log_odds_chosen": "log_odds_ratio",
    "log_odds_ratio": "log_sigmoid_odds",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
}


def run_orpo(
    pairs: Iterable[Mapping[str, Any]],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    beta: float = OrpoSettings.beta,
    sft_weight: float = OrpoSettings.sft_weight,
    nll: NllTokens = OrpoSettings.nll,
    max_prompt_length: int | None = None,
    held_out_share: float = OrpoSettings.held_out,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
    calibrate: int | None = None,
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Train a policy on preference pairs.

    Args:
        model: the policy to start from; the paper restarts from the base in each round.
        out: folder of the new model.
        beta: weight of the odds-ratio term; 0 leaves it out, even where the odds are infinite.
        sft_weight: weight of the NLL, w.
        nll: tokens of the NLL: those of prompt and chosen completion ("all"), or the completion's alone.
        pairs, max_prompt_length, held_out_share, bad: see `run_on_pairs`.
        options, stop, log, overwrite, calibrate: see `TrainingRun`.

    Returns:
        The manifest; see `run_on_pairs`.

    Raises:
        UsageError: a weight out of range.
        DataError, UsageError, ModelError, Interrupted: see `run_on_pairs`.
    """
    OrpoSettings(beta=beta, sft_weight=sft_weight, nll=nll, held_out=held_out_share)  # refuses what is out of range
    # What is left at its default is not named: earlier releases did not have it, and their runs resume.
    named: dict[str, Any] = {"sft_weight": sft_weight} if sft_weight != OrpoSettings.sft_weight else {}
    named |= {"nll": nll} if nll != OrpoSettings.nll else {}
    run = TrainingRun("orpo", model, out, options, stop, log, overwrite, calibrate)

    def trainer(checkpoints: str, rows: Rows, held_out: Rows) -> Any:
        how: dict[str, Any] = {"beta": beta, "sft_weight": sft_weight, "nll": nll, "held_out": held_out}
        return orpo_trainer(rows, run.tokenizer, run.base, options, checkpoints, **how)

    return run_on_pairs(
        run,
        pairs,
        trainer,
        {"beta": beta, **named},
        NAMES,
        max_prompt_length=max_prompt_length,
        held_out_share=held_out_share,
        bad=bad,
    )


def orpo_trainer(
    rows: list[dict[str, list[int]]],
    tokenizer: Any,
    model: str,
    options: TrainSettings,
    output_dir: str,
    *,
    beta: float,
    sft_weight: float = OrpoSettings.sft_weight,
    nll: NllTokens = OrpoSettings.nll,
    held_out: Sequence[dict[str, list[int]]] = (),
) -> Any:
    """transformers' Trainer with `OddsRatioLoss`, over rows that are tokenised already."""
    quiet_libraries()
    import torch
    import transformers

    from stages.training.odds_ratio import OddsRatioLoss
    from stages.training.pair_batches import sharing_collator
    from stages.training.pair_trainer import PairTraining
    from stages.training.token_scores import score_tokens
    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    class Trainer(PairTraining, Guarded, transformers.Trainer):  # type: ignore[misc]  # bases are Any to mypy
        pass

    policy = load_trainable(model, POLICY, options)
    score_tokens(policy, ("mean_logits",))
    if not options.lora:  # an adapter's own dropout stays
        for module in policy.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    aux_weight = getattr(policy.config.get_text_config(), "router_aux_loss_coef", 0.0)
    collator = sharing_collator(policy, [*rows, *held_out], tokenizer.pad_token_id, nll)
    return Trainer(
        model=policy,
        args=configured(transformers.TrainingArguments, options, output_dir),
        data_collator=collator,
        train_dataset=rows,
        eval_dataset=list(held_out) or None,
        processing_class=tokenizer,
        grouped=options.group_by_length,
        row_tokens=mean(sum(collator.line_lengths(row)) for row in rows),
        pair_loss=OddsRatioLoss(beta, sft_weight, aux_weight),
    )
