"""sample: draw reasoning paths from the policy, keep the distinct ones (step 1 of the loop).

    {"id": "chain/train/0/7", ...}  ->  the same line with "paths": [{"id": "chain/train/0/7#0", ...}], "drawn": 8

The paper draws in blocks until there are enough distinct right and wrong paths. It drops paths without a readable
answer and paths with a false `<<lhs=rhs>>` equation. Of paths with the same sequence of equations it keeps the one
farther (edit distance) from the others. Paths of earlier rounds stay; numbers and seeds continue after theirs.
Each path keeps how many draws, of all rounds, were the same (`times`): dropped as a copy, they still say how sure the
policy is of it.

STaR (arXiv 2203.14465) gives a problem on which every draw failed another chance: the question is asked with its answer
beside it. What is right then becomes a path with the source "rationalised"; later stages ask the bare question.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from evals.reading.equations import distance
from evals.records import Path, Problem
from evals.tasks import check_problem, task_of
from evals.tasks.base import Task
from stages.counts import DROPPED, Count, Tally, right_share
from stages.engines.base import Draw, Engine, Request, generate
from stages.engines.paths import to_path
from stages.joins.earlier_paths import EarlierPaths
from stages.runs.stage import Stage
from stages.runs.verdicts import Verdicts
from stages.seeds import seed_of
from stages.settings.sample import SampleSettings

RATIONALISED = "rationalised"
"""Source of a path that was drawn with the answer in sight."""


@dataclass(frozen=True)
class Sampler(Stage):
    """Draws paths for one problem per call; many calls may run at once.

    Args:
        engine: writes the paths.
        settings: how paths are drawn and kept.
        earlier: paths of earlier rounds, which join those on the line.
    """

    engine: Engine
    settings: SampleSettings
    earlier: EarlierPaths | None = None
    name: ClassVar[str] = "sample"
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)

    def check(self, problem: Problem) -> None:
        """Refuse a problem that cannot be judged under the answer rule."""
        check_problem(problem, self.settings.answer_rule)

    def begin(self, problem: Problem, tally: Tally) -> None:
        """Add the paths of earlier rounds."""
        if self.earlier is not None:
            self.earlier.join(problem, tally)

    def for_replica(self) -> Sampler:
        """See `Stage.for_replica`."""
        return replace(self, earlier=None)

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Add paths to the problem; counts what was drawn, kept and dropped, and why."""
        settings = self.settings
        self.begin(problem, tally)
        began = time.monotonic()
        start = next_number(problem)
        task = task_of(problem)
        kept = _Kept(task, settings, list(problem.paths))
        drawn = 0
        while True:
            block = min(settings.n, settings.most_draws - drawn)
            for path in await self._block(task, problem, start + drawn, block, tally):
                kept.consider(path, tally)
            drawn += block
            if drawn >= settings.most_draws or (settings.quota and kept.enough()):
                break
            if settings.time_cap is not None and time.monotonic() - began > settings.time_cap:
                tally.count("stopped by the time cap")
                break
        kept.write_times()
        if settings.rationalise and not any(path.correct for path in kept.paths):
            drawn += await self._rationalise(task, problem, start + drawn, kept, tally)
        self._count(kept, len(problem.paths), tally)
        problem.paths = kept.paths
        problem.drawn = start + drawn
        return [problem]

    def facts(self) -> dict[str, Any]:
        """See `Stage.facts`; a time cap makes the data depend on the machine."""
        capped = "no: --time-cap makes the run not reproducible"
        return {**super().facts(), **({} if self.settings.time_cap is None else {"same whatever the batch": capped})}

    def estimate(self, problem: Problem) -> dict[str, int]:
        """The first block's draws; how many more a quota takes is not known beforehand."""
        return {"draws, at least": self.settings.n}

    def live(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The share of right draws."""
        return right_share(counts)

    def report(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """How many problems of the pool were on no line."""
        return {} if self.earlier is None else {"pool problems that no line asked for": self.earlier.unused()}

    async def _rationalise(self, task: Task, problem: Problem, start: int, kept: _Kept, tally: Tally) -> int:
        """Draw a block with the answer in sight and keep what is right; returns how many draws that took."""
        if problem.answer is None:
            tally.count("problems that cannot be rationalised: no answer to show")
            return 0
        hint = self.settings.hint.replace("{answer}", problem.answer)
        shown = problem.model_copy(update={"question": problem.question + hint})
        tally.count("problems rationalised")
        for path in await self._block(task, problem, start, self.settings.n, tally, shown):
            if path.correct:
                kept.consider(path, tally)
            else:
                tally.count(DROPPED.of("wrong with the answer in sight"))
        tally.count("problems with a rationalised path", any(path.source == RATIONALISED for path in kept.paths))
        return self.settings.n

    async def _block(
        self, task: Task, problem: Problem, start: int, size: int, tally: Tally, shown: Problem | None = None
    ) -> list[Path]:
        """The paths of so many draws; `shown` is what the policy is asked instead of the problem itself."""
        settings = self.settings
        keys = [start + i if shown is None else [RATIONALISED, start + i] for i in range(size)]
        draws = tuple(Draw(seed_of("sample", problem.id, settings.seed, key), settings.temperature) for key in keys)
        request = Request(
            shown or problem, draws, "", settings.top_p, settings.max_tokens or task.max_tokens, task.stop
        )
        completions = await generate(self.engine, request)
        tally.count(Count.DRAWN, size)
        tally.count(Count.TOKENS, sum(completion.tokens for completion in completions))
        texts, rule = [completion.text for completion in completions], settings.answer_rule
        verdicts = await self.verdicts.of_all(task, problem, texts, rule=rule, tally=tally)
        tally.show_verdicts(sum(bool(verdict.correct) for verdict in verdicts), len(verdicts))
        source = "sample" if shown is None else RATIONALISED
        return [
            to_path(task, problem, completion, verdict, start + i, source, settings.round)
            for i, (completion, verdict) in enumerate(zip(completions, verdicts, strict=True))
        ]

    def _count(self, kept: _Kept, before: int, tally: Tally) -> None:
        new = kept.paths[before:]
        right = sum(bool(path.correct) for path in new)
        tally.count(Count.KEPT, len(new))
        tally.count("kept right", right)
        tally.count("kept wrong", len(new) - right)
        if any(path.correct for path in kept.paths):
            tally.count("problems with a right path")
        if self.settings.quota and not kept.enough():
            tally.count("problems short of the quota")


@dataclass
class _Kept:
    """The paths of one problem that are kept, in draw order; those of earlier rounds are never replaced."""

    task: Task
    settings: SampleSettings
    paths: list[Path]
    fixed: int = field(init=False)
    by_signature: dict[str, int] = field(init=False)
    signatures: list[str] = field(init=False)
    """That of each path."""
    copies: Counter[str] = field(default_factory=Counter)
    """New draws by signature; those that are dropped for what they hold, or as near-duplicates, do not count."""
    words: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fixed = len(self.paths)
        self.signatures = [self.task.signature(path.text) for path in self.paths]
        self.by_signature = {signature: i for i, signature in enumerate(self.signatures)}

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
            tally.count(DROPPED.of(reason))
            return
        signature = self.task.signature(path.text)
        rival = self.by_signature.get(signature)
        if rival is None and self._near(path):
            tally.count(DROPPED.of("near-duplicate"))
            return
        self.copies[signature] += 1
        if rival is None or self.settings.keep_duplicates:
            self.by_signature.setdefault(signature, len(self.paths))
            self.paths.append(path)
            self.signatures.append(signature)
            return
        tally.count(DROPPED.of("duplicate"))
        if rival >= self.fixed and self._farther(path, rival):
            self.paths[rival] = path

    def write_times(self) -> None:
        """Write to each path how often it was drawn: now, and in earlier rounds as far as its line says.

        An earlier sample without a count was drawn once, any other path never. With `keep_duplicates` all copies have
        the same count.
        """
        times = Counter(self.copies)
        for path, signature in zip(self.paths[: self.fixed], self.signatures, strict=False):
            known = path.times if path.times is not None else int(path.source == "sample")
            times[signature] = max(times[signature], self.copies[signature] + known)
        for path, signature in zip(self.paths, self.signatures, strict=True):
            if self.copies[signature]:
                path.times = times[signature]

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
        """The words by which two paths are compared; of a program, those outside comments."""
        if path.id not in self.words:
            text = path.text if path.outcome is None else self.task.signature(path.text)
            self.words[path.id] = text.split()
        return self.words[path.id]

    def _farther(self, path: Path, rival: int) -> bool:
        """True if the path is farther from the other kept paths than the rival it would replace.

        Programs with the same signature differ only in comments and spacing, so the first one stays.
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
    used = [int(number) for _, _, number in (path.id.rpartition("#") for path in problem.paths) if number.isdecimal()]
    return max([problem.drawn, *(number + 1 for number in used)])
