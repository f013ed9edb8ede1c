"""Training on preference pairs: what `orpo` and `dpo` have in common.

run_on_pairs(TrainingRun("orpo", "chain-base", "runs/m1", options), pairs, orpo_trainer, {"beta": 0.1}, NAMES)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from evals.errors import UsageError
from stages.files.reading import BadLines
from stages.seeds import split_problems
from stages.training.given_prompts import prompted
from stages.training.pair_rows import kind_of_pair, located_pair_rows, parsed_pairs, problem_in, problem_of
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
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Train a policy on preference pairs.

    Args:
        run: where it starts and where the model goes.
        pairs: lines of `sipf pairs`, or of any form in `evals.datasets.pairs`.
        trainer: from the folder for checkpoints, the rows to train on and the rows held out to a `Guarded` trainer.
        settings: the method's own settings that decide which model comes out.
        names: keys that the trainer logs and that are to be called something else.
        max_prompt_length: in tokens, without a pair's prefix; pairs with a longer prompt are left out.
        held_out_share: share of problems whose pairs are kept out of training, to measure on after each epoch.
        bad: receives the lines that cannot be used; None: the first one is raised.

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
    bad = BadLines(strict=True) if bad is None else bad
    lines, run, prompter = prompted(run, parsed_pairs(pairs, bad), kind_of_pair, problem_in, bad)
    train, test = split_problems(lines, lambda line: problem_of(line[1]), options.seed, held_out_share)
    rows, counts = located_pair_rows(train, prompter, options.max_length, max_prompt_length, bad)
    held_out, _ = located_pair_rows(test, prompter, options.max_length, max_prompt_length, bad)
    bad.refuse_nothing(rows)
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
