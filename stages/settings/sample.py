"""How paths are drawn and which are kept."""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UsageError
from stages.settings.answers import AnswerSettings
from stages.settings.declare import Panel, check_bounds, setting

_CODE = "authors' code of arXiv 2412.08393"


@dataclass(frozen=True)
class SampleSettings(AnswerSettings):
    """How paths are drawn and which are kept.

    `n` draws make a block. Without quotas one block is drawn. With quotas further blocks follow until the line,
    earlier rounds included, has `want_right` right paths, `want_wrong` wrong ones and `want` in all, or until
    `max_draws` new draws were made. The paper filters code by edit distance; it publishes neither the threshold
    (`near_duplicate`) nor whether a right and a wrong program may be alike. Here they may: a preference between them
    teaches the most. `rationalise` is STaR's rationalisation (arXiv 2203.14465): the answer stands in the prompt of
    these draws, and nowhere else, so a model that learns from such a path learns to write it without.

    Raises:
        UsageError: a hint without an answer.
    """

    n: int = setting(
        8, "Paths to draw per problem; with quotas, paths per block.", flags=("-n", "--n"), low=1, source=_CODE
    )
    temperature: float = setting(1.0, "Sampling temperature; 0 is greedy.", low=0.0, source=_CODE)
    top_p: float = setting(1.0, "Nucleus sampling: probability mass of tokens kept.", low=0.0, high=1.0, source=_CODE)
    max_tokens: int | None = setting(
        None, "Maximum length of a path in new tokens; by default the task's own limit.", low=1
    )
    want_right: int = setting(0, "Quota: draw further blocks until this many paths are right.", low=0, source=_CODE)
    want_wrong: int = setting(0, "Quota: draw further blocks until this many paths are wrong.", low=0, source=_CODE)
    want: int = setting(0, "Quota: draw further blocks until this many distinct paths are kept.", low=0, source=_CODE)
    round: int = setting(0, "Number of the round, written to each path.", low=0)
    seed: int = setting(0, "Seed of every random choice.", low=0)
    max_draws: int = setting(
        0, "Maximum draws per problem to fill the quotas; 0 means ten blocks.", low=0, panel=Panel.MORE
    )
    time_cap: float | None = setting(
        None,
        "Maximum seconds per problem, the wait for other problems in the batch included; the run is then not "
        "reproducible (--max-draws is the bound that does not depend on time).",
        low=0.0,
        panel=Panel.MORE,
        source=_CODE,
    )
    rationalise: bool = setting(
        False, "For a problem without a right path draw another block with the answer shown, and keep what is right.",
        source="STaR, arXiv 2203.14465",
    )  # fmt: skip
    hint: str = setting(
        " (Answer: {answer})", "What --rationalise puts after the question; {answer} is filled in.", panel=Panel.MORE
    )
    near_duplicate: float = setting(
        0.0, "Drop a path that differs from a kept one in at most this share of its words.", low=0.0, high=1.0,
        panel=Panel.MORE,
    )  # fmt: skip
    keep_duplicates: bool = setting(
        False, "Keep paths with the same equations, or the same program, as another.", panel=Panel.MORE
    )
    keep_false_equations: bool = setting(False, "Keep paths with a false <<a+b=c>>.", panel=Panel.MORE)
    keep_unfinished: bool = setting(False, "Keep paths that were cut off at --max-tokens.", panel=Panel.MORE)

    def __post_init__(self) -> None:
        check_bounds(self)
        if "{answer}" not in self.hint:
            raise UsageError(f"--hint {self.hint!r} shows no answer", "Write {answer} where it is to stand.")

    @property
    def quota(self) -> bool:
        """Whether blocks are drawn until a quota is met."""
        return max(self.want_right, self.want_wrong, self.want) > 0

    @property
    def most_draws(self) -> int:
        """Most new draws per problem."""
        return (self.max_draws or 10 * self.n) if self.quota else self.n
