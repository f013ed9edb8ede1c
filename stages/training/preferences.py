"""Training on preference pairs: what `orpo` and `dpo` have in common.

run_on_pairs(TrainingRun("orpo", "chain-base", "runs/m1", options), pairs, orpo_trainer, {"beta": 0.1}, NAMES)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evals.errors import UsageError
from stages.seeds import split_problems
from stages.training.pair_rows import pair_rows, problem_in, problem_of
from stages.training.run import Method, TrainingRun
from stages.training.start import check_policy_start

Rows = list[dict[str, list[int]]]
"""Tokenised pairs, from `pair_rows`."""


def run_on_pairs(
    run: TrainingRun,
    pairs: Iterable[Mapping[str, Any]],
    trainer: Callable[[str, Rows, Rows], Any],
    settings: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    max_prompt_length: int | None,
    held_out_share: float,
) -> dict[str, Any]:
    """Train a policy on preference pairs.

    Args:
        run: where it starts and where the model goes.
        pairs: lines of `sipf pairs`, or any {"prompt", "chosen", "rejected"} (text or messages).
        trainer: from the folder for checkpoints, the rows to train on and the rows held out to a `Guarded` trainer.
        settings: the method's own settings that decide which model comes out.
        names: keys that the trainer logs and that are to be called something else.
        max_prompt_length: in tokens, without a pair's prefix; pairs with a longer prompt are left out.
        held_out_share: share of problems whose pairs are kept out of training, to measure on after each epoch.

    Returns:
        The manifest, with "counts" (pairs, left out by reason, and "held-out pairs" where there are any) and "result"
        (last logged metrics).

    Raises:
        DataError: a field of a pair is malformed.
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    options = run.options
    if options.packing:
        raise UsageError("pairs cannot be packed", "Leave --packing out.")
    check_policy_start(run.model, options)
    lines = list(pairs)
    prompter = run.prompter(problem_in(line) for line in lines)
    train, test = split_problems(lines, problem_of, options.seed, held_out_share)
    rows, counts = pair_rows(train, prompter, options.max_length, max_prompt_length)
    held_out, _ = pair_rows(test, prompter, options.max_length, max_prompt_length)
    if held_out:
        counts["held-out pairs"] = len(held_out)
    method = Method(
        trainer=lambda checkpoints: trainer(checkpoints, rows, held_out),
        kind="policy",
        advice="Look at what was left out and why.",
        settings={**settings, "held_out_share": held_out_share},
        names=names,
        held_out=held_out,
    )
    return run.train(method, prompter, rows, counts)
