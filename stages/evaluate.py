"""eval: answer every problem, judge the answers, and say how sure the resulting rate is.

Each line comes back with paths of source "eval"; the summary has accuracy under the three answer rules with Wilson
intervals, pass@k and maj@k. `compare` sets two result files of the same problems side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evals.answers import same
from evals.errors import DataError
from evals.metrics import majority, mcnemar, pass_at_k, wilson
from evals.records import Path, Problem
from evals.tasks import task_of
from stages.engines.base import Draw, Engine, Request, generate, seed_of
from stages.judging import judge_all
from stages.lines import read_problems
from stages.runner import Tally
from stages.sample import to_path

RULES = ("strict", "flexible", "robust")


@dataclass(frozen=True, slots=True)
class EvalSettings:
    """How answers are drawn: `n` a problem, greedily at temperature 0. `max_tokens` None: the task's."""

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Answers one problem at a time; many may be under way."""

    engine: Engine
    settings: EvalSettings

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Replace the problem's paths by `n` judged answers."""
        settings, task = self.settings, task_of(problem)
        seeds = [seed_of("eval", problem.id, settings.seed, i) for i in range(settings.n)]
        draws = tuple(Draw(seed, settings.temperature) for seed in seeds)
        request = Request(problem, draws, "", settings.top_p, settings.max_tokens or task.max_tokens, task.stop)
        completions = await generate(self.engine, request)
        verdicts = await judge_all(task, problem, [completion.text for completion in completions], tally)
        drawn = enumerate(zip(completions, verdicts, strict=True))
        problem.paths = [to_path(task, problem, c, verdict, i, "eval", 0) for i, (c, verdict) in drawn]
        tally.count("answers", len(completions))
        tally.count("tokens", sum(completion.tokens for completion in completions))
        tally.count("unfinished answers", sum(completion.finish == "length" for completion in completions))
        unread = sum(path.answer is None and path.outcome is None for path in problem.paths)
        tally.count("answers that could not be read", unread)
        return [problem]


@dataclass
class Results:
    """What a file of evaluated lines adds up to. Feed it one problem after the other."""

    ks: tuple[int, ...] = (1,)
    n: int = 0
    draws: int = 0
    right: int = 0
    by_rule: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))
    ruled: int = 0
    passed: dict[int, float] = field(default_factory=dict)
    passed_n: dict[int, int] = field(default_factory=dict)
    majority_right: int = 0
    voted: int = 0
    """Problems whose answers can be voted on; programs cannot."""

    def add(self, problem: Problem) -> None:
        """Count one evaluated problem.

        Raises:
            DataError: it has no evaluated path.
        """
        paths = eval_paths(problem)
        self.n += 1
        self.draws += len(paths)
        first = paths[0]
        self.right += bool(first.correct)
        if first.match is not None:
            self.ruled += 1
            for rule in RULES:
                self.by_rule[rule] += bool(getattr(first.match, rule))
        correct = sum(bool(path.correct) for path in paths)
        for k in self.ks:
            value = pass_at_k(len(paths), correct, k)
            if value is not None:
                self.passed[k] = self.passed.get(k, 0.0) + value
                self.passed_n[k] = self.passed_n.get(k, 0) + 1
        self.voted += any(path.outcome is None for path in paths)
        chosen = majority([path.answer for path in paths])
        self.majority_right += any(
            path.correct for path in paths if path.answer and chosen and same(path.answer, chosen)
        )

    def summary(self) -> dict[str, Any]:
        """Rates with 95 % Wilson intervals; `pass@k` is null where n < k."""
        if self.n == 0:
            raise DataError("not one evaluated problem")
        result: dict[str, Any] = {"n": self.n, "draws": self.draws, "accuracy": rate(self.right, self.n)}
        if self.ruled:
            result["rules"] = {rule: rate(count, self.ruled) for rule, count in self.by_rule.items()}
        whole = {k for k in self.ks if self.passed_n.get(k) == self.n}
        result["pass"] = {f"pass@{k}": self.passed[k] / self.n if k in whole else None for k in self.ks}
        per_problem = self.draws / self.n
        if per_problem > 1 and self.voted:
            result["majority"] = {f"maj@{per_problem:g}": rate(self.majority_right, self.n)}
        return result


@dataclass
class Report:
    """Results over all problems, and over each group of them."""

    ks: tuple[int, ...] = (1,)
    everything: Results = field(init=False)
    groups: dict[str, Results] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.everything = Results(self.ks)

    def add(self, problem: Problem, by: str | None) -> None:
        """Count a problem, in its group too where the lines are grouped."""
        self.everything.add(problem)
        if by is not None:
            self.groups.setdefault(group_of(problem, by), Results(self.ks)).add(problem)

    def rates(self) -> list[tuple[str, dict[str, Any]]]:
        """Rows of name and rate: accuracy, each answer rule, maj@k, each group."""
        summary = self.everything.summary()
        rows = [("accuracy", summary["accuracy"])]
        rows += [(f"  {name} rule", value) for name, value in summary.get("rules", {}).items()]
        rows += list(summary.get("majority", {}).items())
        return rows + [(name, group.summary()["accuracy"]) for name, group in sorted(self.groups.items())]

    def passes(self) -> list[tuple[str, float | None]]:
        """Rows of pass@k and its mean."""
        return list(self.everything.summary()["pass"].items())

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        result = self.everything.summary()
        if self.groups:
            result["groups"] = {name: group.summary() for name, group in sorted(self.groups.items())}
        return result


def group_of(problem: Problem, by: str) -> str:
    """A problem's group: the value of one of its keys, or with "id" the id without its last part.

    Raises:
        DataError: the line has no such key.
    """
    if by == "id":
        return problem.id.rpartition("/")[0]
    value = getattr(problem, by, None)
    if value is None:
        raise DataError(f"{problem.id}: {by}: missing", "--by takes a key that every line has, or id.")
    return str(value)


def read_results(source: str, ks: tuple[int, ...] = (1,), by: str | None = None) -> Report:
    """Add up a file of evaluated lines. A bad line is an error: a rate must not leave anything out."""
    report = Report(ks)
    for problem in whole(source):
        report.add(problem, by)
    return report


def compare_files(first: str, second: str) -> dict[str, Any]:
    """`compare` on two files."""
    return compare(*({p.id: bool(first_answer(p).correct) for p in whole(file)} for file in (first, second)))


def whole(source: str) -> Iterator[Problem]:
    """All problems of a file, none of them bad."""

    def refuse(error: DataError) -> None:
        raise error

    for _, problem in read_problems(source, on_bad=refuse):
        yield problem


def rate(successes: int, n: int) -> dict[str, Any]:
    """A share with its 95 % Wilson interval."""
    low, high = wilson(successes, n)
    return {"right": successes, "n": n, "rate": successes / n, "low": low, "high": high}


def eval_paths(problem: Problem) -> list[Path]:
    """The paths of source "eval" (all paths where there is none of that source, so that sampled files can be judged).

    Raises:
        DataError: there is no judged path at all.
    """
    paths = [path for path in problem.paths if path.source == "eval"] or problem.paths
    if not paths or any(path.correct is None for path in paths):
        raise DataError(f"{problem.id}: paths: not evaluated", "Run sipf eval on the file first.")
    return paths


def first_answer(problem: Problem) -> Path:
    """The answer that a paired comparison looks at: the first evaluated path."""
    return eval_paths(problem)[0]


def compare(first: Mapping[str, bool], second: Mapping[str, bool]) -> dict[str, Any]:
    """A paired comparison of two results on the problems they share.

    Args:
        first, second: problem id -> whether its first answer is right.

    Returns:
        Both rates, the gain, how often only one of them was right, and the exact two-sided McNemar p.

    Raises:
        DataError: they share no problem.
    """
    shared = [identity for identity in first if identity in second]
    if not shared:
        raise DataError("the two files share no problem", "Compare results on the same problems.")
    only_first = sum(first[identity] and not second[identity] for identity in shared)
    only_second = sum(second[identity] and not first[identity] for identity in shared)
    both = sum(first[identity] and second[identity] for identity in shared)
    n = len(shared)
    return {
        "n": n,
        "first": rate(both + only_first, n),
        "second": rate(both + only_second, n),
        "gain": (only_second - only_first) / n,
        "both right": both,
        "only first right": only_first,
        "only second right": only_second,
        "both wrong": n - both - only_first - only_second,
        "p": mcnemar(only_first, only_second),
        "only in first": len(first) - n,
        "only in second": len(second) - n,
    }
