"""How steps are labelled: the settings of `simulate`, checked once.

SimulateSettings(strategy="first-error", k=8, trust_correct=True, confidence=0.95)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from evals.errors import UsageError


@dataclass(frozen=True, slots=True)
class TreeSettings:
    """OmegaPRM's constants (arXiv 2406.06592), published values as defaults.

    The rollout searched next has the highest Q + U with Q = alpha^(1 - MC(s)) * beta^(words / length) and
    U = c_puct * sqrt(sum of all visits) / (1 + visits of s); at most `searches` of a problem are made.
    """

    alpha: float = 0.5
    beta: float = 0.9
    length: int = 500
    c_puct: float = 0.125
    searches: int = 100


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """How steps are labelled.

    A step is right if more than `delta` of its `k` rollouts reach the answer. Each draw's temperature lies in
    [low, high] and is decided by the draw's seed (the paper draws at random temperature without giving the range).
    `trust_correct` takes every step of a path with a right answer for right. `budget` caps the draws of a problem,
    `run_budget` those of all (see `stages.strategies.run_budget`). `confidence` C gives a dead-looking prefix up once
    the chance that its remaining draws change the label is at most 1 - C (see `stages.strategies.stopping`; `prior` are
    the right and wrong draws it starts from). `audit` is the share of problems that brute force labels as well, to
    compare. `name` are the scores that `prm-guided` goes by, and `walk_on` lets it go on where they misled it.

    Raises:
        UsageError: no number of hits would make a step right, or options that contradict each other.
    """

    strategy: str = "exact"
    k: int = 8
    delta: int = 0
    temperature_low: float = 1.0
    temperature_high: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    share: float = 1.0
    gold: bool = True
    keep_text: bool = False
    trust_correct: bool = False
    budget: int | None = None
    run_budget: int | None = None
    confidence: float | None = None
    prior: tuple[float, float] = (0.5, 1.0)
    audit: float = 0.0
    name: str = "prm"
    walk_on: bool = False
    tree: TreeSettings = field(default_factory=TreeSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.delta >= self.k:
            raise UsageError(
                f"with --delta {self.delta} and --k {self.k} no step could be right", "Give a --delta below --k."
            )
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise UsageError(
                f"--confidence {self.confidence:g} is no chance between 0 and 1", "For example --confidence 0.95."
            )
        if min(self.prior) <= 0:
            raise UsageError("the two numbers of --prior must be above 0", "For example --prior 0.5:1.")
        if self.confidence is not None and self.strategy in ("brute", "mcts"):
            raise UsageError(
                f"--strategy {self.strategy} makes all draws, so --confidence has nothing to stop",
                "Leave it out, or take --strategy exact or first-error.",
            )
        if self.run_budget is not None and self.strategy == "mcts" and self.budget is None:
            raise UsageError(
                "--run-budget reserves the most that a problem may draw, and mcts has no such bound by itself",
                "Give a --budget for each problem as well.",
            )
