"""How steps are labelled.

SimulateSettings(strategy="first-error", k=8, trust_correct=True, confidence=0.95)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evals.errors import UsageError
from stages.settings.answers import AnswerSettings
from stages.settings.declare import Panel, check_bounds, part, setting

Strategy = Literal["exact", "brute", "first-error", "binary", "mcts", "prm-guided"]
_OMEGAPRM = "arXiv 2406.06592"


def temperature_range(text: str) -> tuple[float, float]:
    """`T` or `LOW:HIGH` as two numbers.

    Raises:
        UsageError: it is neither.
    """
    low, _, high = text.partition(":")
    try:
        pair = float(low), float(high or low)
    except ValueError:
        pair = -1.0, -1.0
    if not 0 <= pair[0] <= pair[1] < float("inf"):
        raise UsageError(f"--temperature {text!r} is neither T nor LOW:HIGH with 0 <= LOW <= HIGH")
    return pair


def prior_draws(text: str) -> tuple[float, float]:
    """`RIGHT:WRONG` as two numbers.

    Raises:
        UsageError: it is something else.
    """
    right, _, wrong = text.partition(":")
    try:
        return float(right), float(wrong)
    except ValueError:
        raise UsageError(f"--prior {text!r} is not RIGHT:WRONG, two numbers above 0") from None


@dataclass(frozen=True)
class TreeSettings:
    """OmegaPRM's constants (arXiv 2406.06592), with the published values as defaults.

    The rollout searched next has the highest Q + U with Q = alpha^(1 - MC(s)) * beta^(words / length) and
    U = c_puct * sqrt(sum of all visits) / (1 + visits of s); at most `searches` are made per problem.
    """

    tree_alpha: float = setting(
        0.5, "mcts: base of 1 - MC in Q.", low=0.0, high=1.0, panel=Panel.MORE, source=_OMEGAPRM
    )  # fmt: skip
    tree_beta: float = setting(
        0.9, "mcts: base of the length in Q.", low=0.0, high=1.0, panel=Panel.MORE, source=_OMEGAPRM
    )
    tree_length: int = setting(
        500, "mcts: number of words that count as length 1 in Q.", low=1, panel=Panel.MORE, source=_OMEGAPRM
    )
    c_puct: float = setting(0.125, "mcts: weight of exploration.", low=0.0, panel=Panel.MORE, source=_OMEGAPRM)
    searches: int = setting(100, "mcts: maximum searches per problem.", low=0, panel=Panel.MORE, source=_OMEGAPRM)


@dataclass(frozen=True)
class SimulateSettings(AnswerSettings):
    """How steps are labelled.

    A step is right if more than `delta` of its `k` rollouts reach the answer. Each draw's temperature lies in the range
    `temperature` and is decided by the draw's seed (the paper draws at random temperatures without giving the range).
    A rollout that was cut off at the length limit is wrong whatever it says so far, unless `count_unfinished`: "She is
    72 years old, so her sister, who is twice as" has no answer yet.
    `trust_correct` takes every step of a path with a right answer for right. `budget` caps the draws of a problem,
    `run_budget` those of all (see `stages.strategies.run_budget`). `confidence` C gives up a dead-looking prefix once
    the chance that its remaining draws change the label is at most 1 - C (see `stages.strategies.stopping`; `prior` are
    the right and wrong draws it starts from). `only_right` labels the paths with a right answer
    alone, which is enough where labels are to tell sound paths from lucky ones. `harvest` makes paths of right rollouts
    (`stages.strategies.harvest`). `audit` is the share of problems that brute force labels as well, for comparison.
    `root` rolls the question out after its paths, so the labels are the same with and without it.
    `name` is the key of the scores that `prm-guided` uses; `walk_on` lets it continue where they misled it.

    Raises:
        UsageError: no number of hits would make a step right, or options that contradict each other.
    """

    strategy: Strategy = setting("exact", "How steps are labelled; see above.")
    k: int = setting(8, "Maximum rollouts per step.", low=1, source="arXiv 2412.08393, 6 for code")
    delta: int = setting(
        0, "A step is right if more than this many of its rollouts are right.", low=0, source="arXiv 2412.08393"
    )
    temperature: tuple[float, float] = setting(
        (1.0, 1.0), "Sampling temperature, or a range that each rollout draws its own from.", metavar="T|LOW:HIGH",
        parse=temperature_range, shown="1.0",
    )  # fmt: skip
    top_p: float = setting(1.0, "Nucleus sampling: probability mass of tokens kept.", low=0.0, high=1.0)
    max_tokens: int | None = setting(
        None, "Maximum length of a rollout in new tokens; by default the task's own limit.", low=1
    )
    share: float = setting(1.0, "Share of the problems to label, chosen by id and seed.", low=0.0, high=1.0)
    trust_correct: bool = setting(False, "Call every step of a path with a right answer right, without rollouts.")
    budget: int | None = setting(None, "Maximum rollouts per problem.", low=1)
    run_budget: int | None = setting(None, "Maximum rollouts in all, reserved in input order.", low=1)
    audit: float = setting(
        0.0, "Share of the problems to label by brute force too, to see how far the labels agree.", low=0.0, high=1.0
    )
    only_right: bool = setting(
        False, "Label only the paths with a right answer, to tell the sound ones from those that are right by luck."
    )
    harvest: bool = setting(False, "Add the right rollouts to the problem's paths, each reasoning once.")
    seed: int = setting(0, "Seed of every random choice.", low=0)
    gold: bool = setting(
        True, "Add the gold solution as a path whose steps are all right.", flags=("--gold/--no-gold",),
        panel=Panel.MORE,
    )  # fmt: skip
    count_unfinished: bool = setting(
        False, "Let a rollout that was cut off at --max-tokens be right, if an answer can be read from it.",
        panel=Panel.MORE,
    )  # fmt: skip
    root: bool = setting(
        False, "Roll out the bare question too: what the first step of a path forks from (pairs --rule fork)."
    )
    keep_forks: int = setting(
        0, "Keep the text of up to this many right rollouts wherever a wrong path leaves the right one (pairs --rule "
        "fork).", low=0,
    )  # fmt: skip
    keep_text: bool = setting(False, "Keep the text of each rollout on the line.", panel=Panel.MORE)
    confidence: float | None = setting(
        None,
        "Give up a step once it is wrong with this probability, above 0 and below 1.",
        metavar="C",
        panel=Panel.MORE,
    )
    prior: tuple[float, float] = setting(
        (0.5, 1.0), "Prior right and wrong draws for --confidence.", metavar="RIGHT:WRONG", parse=prior_draws,
        shown="0.5:1", panel=Panel.MORE,
    )  # fmt: skip
    name: str = setting("prm", "prm-guided: key of the scores it uses (see sipf score --name).", panel=Panel.MORE)
    walk_on: bool = setting(
        False, "prm-guided: if the scores misled, continue step by step to the first wrong step.", panel=Panel.MORE
    )
    tree: TreeSettings = part(TreeSettings)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.delta >= self.k:
            raise UsageError(
                f"with --delta {self.delta} and --k {self.k} no step could be right", "Give a --delta below --k."
            )
        if self.only_right and self.trust_correct:
            raise UsageError("--only-right rolls out what --trust-correct takes for right", "Leave one of the two out.")
        if self.only_right and self.strategy == "mcts":
            raise UsageError("--strategy mcts searches wrong paths, which --only-right leaves out", "Take another one.")
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise UsageError(
                f"--confidence {self.confidence:g} is not between 0 and 1", "For example --confidence 0.95."
            )
        if min(self.prior) <= 0:
            raise UsageError("the two numbers of --prior must be above 0", "For example --prior 0.5:1.")
        if self.confidence is not None and self.strategy in ("brute", "mcts"):
            raise UsageError(
                f"--strategy {self.strategy} makes all draws, so --confidence has nothing to stop",
                "Leave it out, or take a strategy that stops early, such as --strategy first-error.",
            )
        if self.run_budget is not None and self.strategy == "mcts" and self.budget is None:
            raise UsageError(
                "--run-budget reserves the most that a problem may draw, and mcts has no such limit",
                "Give a --budget per problem as well.",
            )
