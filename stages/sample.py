"""sample: draw reasoning paths from the policy, keep the distinct ones (step 1 of the loop).

    {"id": "chain/train/0/7", ...}  ->  the same line with "paths": [{"id": "chain/train/0/7#0", ...}], "drawn": 8

The paper draws in blocks until enough distinct right and wrong paths are there; drops paths without a readable answer
and paths that hold a false `<<lhs=rhs>>` equation; takes paths with the same sequence of equations for one, keeping the
one farther (edit distance) from the others. Paths of earlier rounds stay, and numbers and seeds go on after theirs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from evals.reading.equations import distance
from evals.records import Path, Problem
from evals.tasks import task_of
from evals.tasks.base import Task, Verdict
from stages.engines.base import Completion, Draw, Engine, Request, generate, seed_of
from stages.runs.runner import Tally
from stages.runs.verdicts import Verdicts, write_verdict

DRAWN = "drawn"
"""The line's count of all draws ever made for the problem: the number of the next path."""


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """How paths are drawn and which are kept.

    `n` draws make a block. Without quotas one block is drawn; with `want_right` or `want_wrong` further blocks follow
    until the line, earlier rounds included, has that many right and wrong paths, and `want` in all, or `max_draws` new
    draws were made. `time_cap` (seconds a problem) makes the result depend on the machine. `max_tokens` None: the
    task's.
    `near_duplicate`: the share of its words that a path must at least change of every kept path with the same verdict.
    The paper filters code by edit distance; neither the threshold is published, nor whether a right and a wrong program
    may be alike (here they may: a preference between them teaches the most).
    """

    n: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    want_right: int = 0
    want_wrong: int = 0
    want: int = 0
    max_draws: int = 0
    time_cap: float | None = None
    near_duplicate: float = 0.0
    keep_duplicates: bool = False
    keep_false_equations: bool = False
    keep_unfinished: bool = False
    round: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Sampler:
    """Draws paths for one problem at a time; many problems may be under way."""

    engine: Engine
    settings: SampleSettings
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Add paths to the problem; counts what was drawn, kept and dropped, and why."""
        settings = self.settings
        began = time.monotonic()
        start = next_number(problem)
        task = task_of(problem)
        kept = _Kept(task, settings, list(problem.paths))
        drawn = 0
        while True:
            block = settings.n if not self._quota() else min(settings.n, self._most() - drawn)
            for path in await self._block(task, problem, start + drawn, block, tally):
                kept.consider(path, tally)
            drawn += block
            if not self._quota() or kept.enough() or drawn >= self._most():
                break
            if settings.time_cap is not None and time.monotonic() - began > settings.time_cap:
                tally.count("stopped by the time cap")
                break
        self._count(kept, len(problem.paths), tally)
        problem.paths = kept.paths
        setattr(problem, DRAWN, start + drawn)
        return [problem]

    def _quota(self) -> bool:
        return max(self.settings.want_right, self.settings.want_wrong, self.settings.want) > 0

    def _most(self) -> int:
        return self.settings.max_draws or 10 * self.settings.n

    async def _block(self, task: Task, problem: Problem, start: int, size: int, tally: Tally) -> list[Path]:
        settings = self.settings
        seeds = [seed_of("sample", problem.id, settings.seed, start + i) for i in range(size)]
        draws = tuple(Draw(seed, settings.temperature) for seed in seeds)
        request = Request(problem, draws, "", settings.top_p, settings.max_tokens or task.max_tokens, task.stop)
        completions = await generate(self.engine, request)
        tally.count("drawn", size)
        tally.count("tokens", sum(completion.tokens for completion in completions))
        verdicts = await self.verdicts.of_all(task, problem, [completion.text for completion in completions], tally)
        return [
            to_path(task, problem, completion, verdict, start + i, "sample", settings.round)
            for i, (completion, verdict) in enumerate(zip(completions, verdicts, strict=True))
        ]

    def _count(self, kept: _Kept, before: int, tally: Tally) -> None:
        new = kept.paths[before:]
        right = sum(bool(path.correct) for path in new)
        tally.count("kept", len(new))
        tally.count("kept right", right)
        tally.count("kept wrong", len(new) - right)
        if any(path.correct for path in kept.paths):
            tally.count("problems with a right path")
        if self._quota() and not kept.enough():
            tally.count("problems short of the quota")


@dataclass
class _Kept:
    """The paths of one problem that are kept, in draw order; those of earlier rounds are never replaced."""

    task: Task
    settings: SampleSettings
    paths: list[Path]
    fixed: int = field(init=False)
    by_signature: dict[str, int] = field(init=False)
    words: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fixed = len(self.paths)
        self.by_signature = {self.task.signature(path.text): i for i, path in enumerate(self.paths)}

    def enough(self) -> bool:
        """True when the quotas are met."""
        right = sum(path.correct is True for path in self.paths)
        wrong = sum(path.correct is False for path in self.paths)
        enough = right >= self.settings.want_right and wrong >= self.settings.want_wrong
        return enough and len(self.paths) >= self.settings.want

    def consider(self, path: Path, tally: Tally) -> None:
        """Keep the path or count why not."""
        reason = self._fault(path)
        if reason:
            tally.count(f"dropped: {reason}")
            return
        signature = self.task.signature(path.text)
        rival = self.by_signature.get(signature)
        if rival is None and self._near(path):
            tally.count("dropped: near-duplicate")
            return
        if rival is None or self.settings.keep_duplicates:
            self.by_signature.setdefault(signature, len(self.paths))
            self.paths.append(path)
            return
        tally.count("dropped: duplicate")
        if rival >= self.fixed and self._farther(path, rival):
            self.paths[rival] = path

    def _fault(self, path: Path) -> str | None:
        if path.finish == "length" and not self.settings.keep_unfinished:
            return "unfinished"
        if path.answer is None and path.outcome is None:
            return "no answer"
        if not path.steps:
            return "no steps"
        if not self.settings.keep_false_equations and self.task.false_equation(path.text) is not None:
            return "false equation"
        return None

    def _near(self, path: Path) -> bool:
        """Whether a kept path with the same verdict has nearly the same words."""
        share = self.settings.near_duplicate
        if not share:
            return False
        words = self._words(path)
        for other in self.paths:
            theirs = self._words(other)
            most = int(share * max(len(words), len(theirs)))
            comparable = other.correct == path.correct and abs(len(words) - len(theirs)) <= most
            if comparable and distance(words, theirs, most + 1) <= most:
                return True
        return False

    def _words(self, path: Path) -> list[str]:
        """The words that two paths are compared by; a program's, comments left out."""
        if path.id not in self.words:
            text = path.text if path.outcome is None else self.task.signature(path.text)
            self.words[path.id] = text.split()
        return self.words[path.id]

    def _farther(self, path: Path, rival: int) -> bool:
        """True if the path is farther from the other kept paths than the rival it would replace.

        Programs of one signature differ in comments and spacing alone: there the first stays.
        """
        if path.text == self.paths[rival].text or path.outcome is not None:
            return False
        others = [other.text.split() for i, other in enumerate(self.paths) if i != rival]
        return _spread(path, others) > _spread(self.paths[rival], others)


def _spread(path: Path, others: Sequence[Sequence[str]]) -> int:
    words = path.text.split()
    return sum(distance(words, other) for other in others)


def next_number(problem: Problem) -> int:
    """The number of the next path: after every draw ever made, kept or not."""
    drawn = getattr(problem, DRAWN, 0)
    used = [int(number) for _, _, number in (path.id.rpartition("#") for path in problem.paths) if number.isdecimal()]
    return max([drawn if isinstance(drawn, int) else 0, *(number + 1 for number in used)])


def to_path(
    task: Task, problem: Problem, completion: Completion, verdict: Verdict, number: int, source: str, round: int
) -> Path:
    """A completion of the bare prompt as a path, with its verdict."""
    path = Path.model_validate({
        "id": f"{problem.id}#{number}", "source": source, "round": round, "text": completion.text,
        "steps": task.split(completion.text).steps,
        "finish": completion.finish, "tokens": completion.tokens, "seed": completion.seed,
    })  # fmt: skip
    write_verdict(verdict, path)
    return path
