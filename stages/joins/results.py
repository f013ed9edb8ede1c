"""The results of evaluated lines: rates with intervals, pass@k, maj@k, groups, and two results compared.

    report = read_results("eval.jsonl", ks=(1, 10), by="subject")
    report.as_dict()["accuracy"]           # {"right": 580, "n": 1319, "rate": 0.4397, "low": 0.4131, "high": 0.4666}

A line without an answer (no sample was given for it) is left out of every rate; it is counted and its id is listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evals.errors import DataError
from evals.metrics import combined, majority, mcnemar, mean_interval, pass_at_k, wilson
from evals.reading.answers import same
from evals.records import Path, Problem
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.joins.traces import sound_steps

RULES = ("strict", "flexible", "robust")
OUTCOME = "outcome"
"""Key of a path of a code task: how the check of its program ended."""


@dataclass
class Results:
    """The results of evaluated lines, added one problem at a time."""

    ks: tuple[int, ...] = (1,)
    n: int = 0
    draws: int = 0
    right: int = 0
    traced: int = 0
    """Problems whose first answer's steps can be checked; see `sound_steps`."""
    sound: int = 0
    """Of these, how many have a right answer by right steps."""
    by_rule: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RULES, 0))
    ruled: int = 0
    passed: dict[int, list[float]] = field(default_factory=dict)
    majority_right: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of every answer, not only of the first."""
    unanswered: list[str] = field(default_factory=list)
    """Ids of the problems without an answer."""

    def add(self, problem: Problem) -> None:
        """Count one evaluated problem.

        Raises:
            DataError: it has a path that was not judged.
        """
        if not problem.paths:
            self.unanswered.append(problem.id)
            return
        paths = eval_paths(problem)
        self.n += 1
        self.draws += len(paths)
        first = paths[0]
        self.right += bool(first.correct)
        trace = right_trace(problem)
        self.traced += trace is not None
        self.sound += bool(trace)
        if first.match is not None:
            self.ruled += 1
            for rule in RULES:
                self.by_rule[rule] += bool(getattr(first.match, rule))
        correct = sum(bool(path.correct) for path in paths)
        for k in self.ks:
            value = pass_at_k(len(paths), correct, k)
            if value is not None:
                self.passed.setdefault(k, []).append(value)
        chosen = majority([path.answer for path in paths])
        self.majority_right += any(
            path.correct for path in paths if path.answer and chosen and same(path.answer, chosen)
        )
        found = [getattr(path, OUTCOME, None) for path in paths]
        self.outcomes.update(outcome for outcome in found if isinstance(outcome, str))

    def summary(self) -> dict[str, Any]:
        """Rates with 95 % intervals; `pass@k` is null where a problem has fewer than k answers."""
        if self.n == 0:
            raise DataError("there is no evaluated problem")
        result: dict[str, Any] = {"n": self.n, "draws": self.draws, "accuracy": rate(self.right, self.n)}
        if self.traced:
            result["trace"] = rate(self.sound, self.traced)
        if self.ruled:
            result["rules"] = {rule: rate(count, self.ruled) for rule, count in self.by_rule.items()}
        result["pass"] = {f"pass@{k}": self._passed(k) for k in self.ks}
        per_problem = self.draws / self.n
        if per_problem > 1 and self.ruled:
            result["majority"] = {f"maj@{per_problem:g}": rate(self.majority_right, self.n)}
        if self.outcomes:
            result["outcomes"] = dict(self.outcomes.most_common())
        if self.unanswered:
            result["without an answer"] = {"n": len(self.unanswered), "ids": self.unanswered}
        return result

    def _passed(self, k: int) -> dict[str, Any] | None:
        values = self.passed.get(k, [])
        if len(values) < self.n:
            return None
        low, high = mean_interval(values)
        return {"n": self.n, "rate": sum(values) / self.n, "low": low, "high": high}


@dataclass
class Report:
    """Results over all problems, and over each group of them."""

    ks: tuple[int, ...] = (1,)
    everything: Results = field(init=False)
    groups: dict[str, Results] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.everything = Results(self.ks)

    def add(self, problem: Problem, by: str | None) -> None:
        """Count a problem, and count it in its group if the lines are grouped."""
        self.ids.add(problem.id)
        self.everything.add(problem)
        if by is not None:
            self.groups.setdefault(group_of(problem, by), Results(self.ks)).add(problem)

    def rates(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Rows of name and rate: `overall`, then `by_group`."""
        return self.overall() + self.by_group()

    def overall(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Rows of name and rate over all problems: accuracy, trace accuracy, each answer rule, pass@k, maj@k."""
        summary = self.everything.summary()
        rows: list[tuple[str, dict[str, Any] | None]] = [("accuracy", summary["accuracy"])]
        rows += [("trace accuracy", summary["trace"])] if "trace" in summary else []
        rows += [(f"  {name} rule", value) for name, value in summary.get("rules", {}).items()]
        rows += [(name, value) for name, value in summary["pass"].items() if name != "pass@1" or self._many()]
        return rows + list(summary.get("majority", {}).items())

    def by_group(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Rows of name and accuracy: each group, and the mean over them; none where lines are not grouped."""
        rows = [(name, group.summary()["accuracy"]) for name, group in sorted(self._answered().items())]
        return [*rows, ("macro average", self.macro())] if rows else []

    def macro(self) -> dict[str, Any]:
        """The mean of the groups' accuracies, each group with the same weight; the micro average is the accuracy."""
        rates = [group.summary()["accuracy"] for group in self._answered().values()]
        mean = sum(one["rate"] for one in rates) / len(rates)
        parts = [(one["rate"], (one["low"], one["high"])) for one in rates]
        low, high = combined(mean, parts, lambda values: sum(values) / len(values))
        return {"n": self.everything.n, "rate": mean, "low": low, "high": high}

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        result = self.everything.summary()
        if self._answered():
            result["groups"] = {name: group.summary() for name, group in sorted(self._answered().items())}
            result["macro"] = self.macro()
            result["micro"] = result["accuracy"]
        return result

    def _many(self) -> bool:
        return self.everything.draws > self.everything.n

    def _answered(self) -> dict[str, Results]:
        return {name: group for name, group in self.groups.items() if group.n}


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
    """Add up a file of evaluated lines. A bad line is an error: a rate must not leave anything out.

    Args:
        by: the key to group by; None: `subject`, where every line has one.
    """
    report, everywhere = Report(ks), by is None
    for problem in all_results(source):
        if by is None and "subject" not in (problem.model_extra or {}):
            everywhere = False
        report.add(problem, by or ("subject" if everywhere else None))
    if by is None and not everywhere:
        report.groups = {}
    return report


def compare_files(first: str, second: str) -> dict[str, Any]:
    """`compare` on two files; problems without an answer in one of them are counted, not compared."""
    return compare(
        *({p.id: bool(first_answer(p).correct) for p in all_results(file) if p.paths} for file in (first, second))
    )


def all_results(source: str) -> Iterator[Problem]:
    """All problems of a file; a bad line is an error."""
    return read_problems(source, BadLines(strict=True))


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


def right_trace(problem: Problem) -> bool | None:
    """Whether the first answer is right by right steps; None where steps cannot be checked."""
    first = first_answer(problem)
    sound = sound_steps(problem, first)
    return sound and bool(first.correct)


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


def split_of(problem: Problem) -> str:
    """The split that a problem names (`test`, `ood`), else its task, so that each set in a mixed file is reported
    separately."""
    return str(getattr(problem, "split", problem.task))
