"""How a policy or a reward model is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evals.errors import UsageError
from stages.settings.answers import AnswerSettings
from stages.settings.declare import Panel, check_bounds, setting

AGGREGATES = ("mean", "min", "product", "last")


@dataclass(frozen=True)
class EvalSettings(AnswerSettings):
    """How answers are drawn: `n` per problem, greedily at temperature 0. `max_tokens` None: the task's."""

    n: int = setting(1, "Answers per problem.", flags=("-n", "--n"), low=1)
    temperature: float = setting(0.0, "Sampling temperature; 0 is greedy.", low=0.0, source="arXiv 2412.08393: greedy")
    top_p: float = setting(1.0, "Nucleus sampling: probability mass of tokens kept.", low=0.0, high=1.0)
    max_tokens: int | None = setting(None, "Longest answer in new tokens; by default the task's own limit.", low=1)
    seed: int = setting(0, "Seed of every random choice.", low=0)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class PromptSettings:
    """Which prompt a problem is asked with."""

    prompt: str = setting("auto", "Standard prompt: auto, lm-eval, lm-eval-cot, chat, or a template's name.")
    shots: int | None = setting(None, "Worked examples in the prompt; by default the standard prompt's number.", low=0)
    shots_from: Path | None = setting(
        None, "File of lines; the first ones become the worked examples.", panel=Panel.MORE
    )  # fmt: skip


@dataclass(frozen=True)
class SavedSettings:
    """How saved answers are read."""

    clean: bool = setting(
        False,
        "With --from: run programs without the prose, special tokens and broken ends around them.",
        panel=Panel.MORE,
    )  # fmt: skip


@dataclass(frozen=True)
class RateSettings:
    """Which rates are reported."""

    k: tuple[int, ...] = setting((1,), "Report pass@K; may be repeated.", low=1, shown="1")
    by: str | None = setting(None, "Key of the lines to group results by, or 'id' for the id without its last part.")

    @property
    def ks(self) -> tuple[int, ...]:
        """The sizes in ascending order, each once."""
        return tuple(sorted(set(self.k)))


@dataclass(frozen=True)
class PrmSettings:
    """How a reward model is measured.

    Args:
        name: keys of scores, each with the aggregate that ranks paths, as `prm` (the one
            that fits the scores, as in `pairs --aggregate auto`) or `orm:last`.
        threshold: below it a step counts as wrong; None: chosen on the held-out share.
        held_out: share of the problems that the threshold is chosen on.
        best_of: sizes of best of n; empty: 1, 2, 4, ... as far as any problem has paths.
        seed: of the held-out share and of the subsets that majorities are taken over.
    """

    name: tuple[str, ...] = setting(
        ("prm",),
        "Key of scores to measure; may be repeated. KEY:mean, KEY:min, KEY:product or KEY:last ranks paths by that, "
        "not by what fits the scores.",
        shown="prm",
    )  # fmt: skip
    threshold: float | None = setting(
        None,
        "A step that scores below this is called wrong; by default chosen on held-out problems.",
        low=0.0,
        high=1.0,
    )
    held_out: float = setting(0.25, "Share of the problems to choose the threshold on.", low=0.0, high=1.0)
    best_of: tuple[int, ...] = setting(
        (), "Size of best of n; may be repeated; by default 1, 2, 4 and so on.", low=1
    )  # fmt: skip
    seed: int = setting(0, "Seed of every random choice.", low=0)

    def aggregates(self) -> dict[str, str]:
        """Each name and its aggregate ("auto": the one that fits), in the order given.

        Raises:
            UsageError: an unknown aggregate, or a name twice.
        """
        found: dict[str, str] = {}
        for text in self.name:
            name, _, aggregate = text.partition(":")
            if aggregate and aggregate not in AGGREGATES:
                raise UsageError(f"--name {text!r}: no aggregate {aggregate!r}", f"There are {', '.join(AGGREGATES)}.")
            if name in found:
                raise UsageError(f"--name {name!r} is given twice", "Give each key of scores once.")
            found[name] = aggregate or "auto"
        return found
