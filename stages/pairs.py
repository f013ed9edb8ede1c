"""pairs: turn judged paths into preference pairs (step 5 of the loop). The rules are in `stages.pairing`.

    write_pairs("scored.jsonl", "pairs.jsonl", PairSettings(rule=("threshold",)), BadLines())

    {"id": "chain/train/0/7#3>1", "problem": "chain/train/0/7", "task": "chain", "question": "...", "rule": "threshold",
     "prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "chosen_score": 0.97,
     "rejected_score": 0.41, "chosen_correct": true, ...}

A row with `prefix` has two sides that both continue that text: it belongs to the prompt, and no loss falls on it.
Beside the pairs, `pairs.jsonl.reasons.jsonl` says why the others are missing (`stages.pairing.reasons`).
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem
from evals.tasks import check_steps, task_of
from stages.counts import Count
from stages.files.locks import place_of
from stages.files.outputs import to_line
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.files.spool import Spool
from stages.models.templates import exported_prompt
from stages.pairing.question import LEFT_OUT, Pair, Question
from stages.pairing.reasons import ENDING, Reason, dropped, in_order
from stages.pairing.report import (
    NOT_TAKEN,
    REPEATED,
    PairReport,
    reached_by,
    refuse_nothing,
)
from stages.pairing.taken import taken
from stages.pairing.union import each_once, in_shares
from stages.runs.whole_file import Beside, WholeFile
from stages.seeds import lot
from stages.settings.pairs import PairSettings, RuleName


@dataclass(frozen=True, slots=True)
class _Made:
    """A pair that a rule has made, and the place of its problem among those read."""

    number: int
    row: dict[str, Any]

    @property
    def whose(self) -> tuple[int, str, RuleName]:
        """The place and the id of its problem, and its rule."""
        return self.number, self.row["problem"], self.row["rule"]

    @property
    def same(self) -> tuple[Any, ...]:
        """Equal for equal pairs, whichever rule made them."""
        return self.number, self.row.get("prefix", ""), self.row["chosen"], self.row["rejected"]


def write_pairs(
    source: str,
    output: str,
    settings: PairSettings,
    bad: BadLines,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Make the pairs of a file of lines and write them as a whole file or not at all, with the reasons for those that
    are missing beside them (`OUT.reasons.jsonl`; not where the output is a pipe).

    Args:
        source: lines with judged paths, or `-`.
        bad: receives the bad lines.
        dry_run: count, and write nothing.
        manifest: a second place to write the manifest to.

    Returns:
        "counts", "rules" (see `RuleReport.summary`: {name: {"counts", "sweep": {eta: {"pairs", "problems"}}, "pass
        scores": {share: score}}}), with `--pass-share` "pass scores by steps", and "bad lines".

    Raises:
        DataError: next to nothing to learn from; nothing is written then.
        UsageError: the output belongs to another run.
    """
    report = PairReport(settings)

    def summary() -> dict[str, Any]:
        return {**report.summary(), "bad lines": bad.count}

    with Spool() as reasons:

        def problems() -> Iterator[Problem]:
            """The problems; the reasons that are found for one leave the memory before the next."""
            for problem in read_problems(source, bad, check=_checker(settings)):
                yield problem
                for reason in report.reasons:
                    reasons.add(reason.number, to_line(reason.row()))
                report.reasons.clear()

        def rows() -> Iterator[dict[str, Any]]:
            yield from make_pairs(problems(), settings, report)
            refuse_nothing(report, settings)

        def why() -> Iterator[str]:
            """The reasons in the order of the problems: those that were found at the end come last for each."""
            late = ((reason.number, to_line(reason.row())) for reason in in_order(report.reasons))
            return (line for _, line in heapq.merge(reasons, late, key=lambda numbered: numbered[0]))

        if dry_run:
            deque(rows(), maxlen=0)
            return summary()
        run = WholeFile("pairs", source, output, asdict(settings), overwrite, manifest)
        # what is written to a pipe cannot be taken back, so all pairs are made before
        made = rows() if place_of(output) is not None else _all_first(rows())
        written = run.write(made, report.counts, bad, lambda: {"pairs": summary()}, Beside(ENDING, why))
        return written.summary("pairs")


def _all_first(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, the first of them when the last is known to be good."""
    yield from list(rows)


def _checker(settings: PairSettings) -> Callable[[Problem], None]:
    """What refuses a problem whose paths are not judged.

    Raises:
        DataError: `paths.N.correct: missing`, a field that the task needs, a template that it has not, or steps that
            are not those of their text, where a rule cuts it.
    """
    cuts = settings.reject == "step" or "fork" in settings.shares()

    def check(problem: Problem) -> None:
        task_of(problem).check(problem)
        exported_prompt(problem, settings.template)
        if cuts:
            check_steps(problem)
        for number, path in enumerate(problem.paths):
            if path.correct is None and (settings.gold or path.source != "gold"):
                raise DataError(f"paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")

    return check


def make_pairs(problems: Iterable[Problem], settings: PairSettings, report: PairReport) -> Iterator[dict[str, Any]]:
    """The pairs of all problems in input order, a problem's in the order of the rules.

    Each rule gives a problem at most `max_per_problem` pairs. It says which of them are preferred, but every path is
    used once before any is used again. A pair that several rules make is the first one's. Without shares and `most` a
    problem's pairs are given out before the next problem is read; else all are kept until the last one is known. The
    report is complete after the last pair.

    Raises:
        DataError: a path lacks the verdict that every rule needs, or its steps are not those of its text.
    """
    if settings.pass_share is not None:
        problems = list(problems)
        report.passing = _passing(problems, settings, settings.pass_share)
    drawn = settings.most is not None or any(share is not None for share in settings.shares().values())
    kept: list[list[_Made]] = [[] for _ in report.rules]
    repeated: Counter[RuleName] = Counter()
    written = _Written(several=len(report.rules) > 1)
    for number, problem in enumerate(problems):
        report.counts["problems"] += 1
        parts = _pairs_of(problem, number, settings, report, repeated)
        if drawn:
            for all_of_rule, part in zip(kept, parts, strict=True):
                all_of_rule.extend(part)
        else:
            yield from written.count([item for part in parts for item in part])
    for name, count in repeated.items():
        report.rules[name].counts[NOT_TAKEN + REPEATED] = count
    if drawn:
        yield from written.count(_drawn(kept, settings, report))
    report.counts["problems with a pair"] = written.problems
    report.counts["problems without a pair"] = report.counts["problems"] - written.problems
    report.counts[Count.PAIRS] = written.pairs
    report.counts.update(written.kinds)


def _pairs_of(
    problem: Problem, number: int, settings: PairSettings, report: PairReport, repeated: Counter[RuleName]
) -> list[list[_Made]]:
    """A problem's pairs by rule, each once."""
    paths = _usable(problem, settings, report, number)
    made: list[list[_Made]] = []
    common: dict[str, Any] | None = None
    for name, told in report.rules.items():
        question = Question(problem, paths, settings, told.counts, told.lowest, report.passing)
        pairs = taken(name, question, report, number)
        if pairs and common is None:
            common = _common(problem, settings)
        made.append([_Made(number, _row(common or {}, pair, name)) for pair in pairs])
    if len(made) == 1:
        return made
    parts = each_once(made, lambda item: item.same)
    for name, before, part in zip(report.rules, made, parts, strict=True):
        if len(part) < len(before):
            repeated[name] += _drop(before, part, REPEATED, report)
    return parts


def _usable(problem: Problem, settings: PairSettings, report: PairReport, number: int = 0) -> list[Path]:
    last = max((path.round for path in problem.paths), default=0)
    usable = []
    for i, path in enumerate(problem.paths):
        report.counts["paths"] += 1
        left_out = ""
        if path.source == "gold" and not settings.gold:
            left_out = "gold"
        elif settings.rounds == "last" and path.round != last:
            left_out = "earlier round"
        elif path.correct is None:
            raise DataError(f"{problem.id}: paths.{i}.correct: missing", "Pairs need paths made by sipf sample.")
        else:
            usable.append(path)
        if left_out:
            report.counts[LEFT_OUT + left_out] += 1
            report.reasons.append(Reason(number, problem.id, None, left_out, path.id))
    return usable


def _passing(problems: list[Problem], settings: PairSettings, share: float) -> dict[int, float]:
    """The score that this share of the right paths reaches, by their number of steps."""
    unseen = PairReport(settings)  # the paths are counted when pairs are made of them
    scores: dict[int, list[float]] = {}
    for problem in problems:
        question = Question(problem, _usable(problem, settings, unseen), settings, Counter())
        for path, score in question.scored():
            if path.correct:
                scores.setdefault(len(path.steps), []).append(score)
    return {steps: reached_by(share, sorted(found, reverse=True)) for steps, found in sorted(scores.items())}


def _drawn(parts: list[list[_Made]], settings: PairSettings, report: PairReport) -> list[_Made]:
    """The pairs of all rules together: in the rules' shares, at most `most`."""
    shares = settings.shares()
    given = [share for share in shares.values() if share is not None]
    if given:
        sizes = in_shares([len(part) for part in parts], given, settings.most)
        shared = [_lots(part, size, settings.seed) for part, size in zip(parts, sizes, strict=True)]
        report.counts[f"{NOT_TAKEN}shares"] = _drop(chain(*parts), chain(*shared), "shares", report)
        parts = shared
    together = sorted((item for part in parts for item in part), key=lambda item: item.number)
    if settings.most is not None and len(together) > settings.most:
        kept = _lots(together, settings.most, settings.seed)
        report.counts[f"{NOT_TAKEN}most"] = _drop(together, kept, "most", report)
        together = kept
    return together


def _drop(before: Iterable[_Made], after: Iterable[_Made], reason: str, report: PairReport) -> int:
    """Note the pairs that were not taken; their number."""
    found = dropped((item.whose for item in before), (item.whose for item in after), reason)
    report.reasons += found
    return sum(each.pairs or 0 for each in found)


def _lots(made: list[_Made], most: int, seed: int) -> list[_Made]:
    """So many of them, chosen by the seed, in their order."""
    kept = sorted(range(len(made)), key=lambda i: lot(made[i].row["id"], seed))[:most]
    return [made[i] for i in sorted(kept)]


@dataclass
class _Written:
    """What is written: pairs, problems with one, and pairs by kind; `several`: and by rule."""

    several: bool
    pairs: int = 0
    problems: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    _last: int = -1

    def count(self, taken: list[_Made]) -> Iterator[dict[str, Any]]:
        """Count pairs, which are in the order of the problems, and give out their rows."""
        for item in taken:
            self.pairs += 1
            self.problems += item.number != self._last
            self._last = item.number
            chosen, rejected = item.row["chosen_correct"], item.row["rejected_correct"]
            kind = ("wrong and a right" if rejected else "right and a wrong") if chosen != rejected else None
            told = f"a {kind} path" if kind else f"two {'right' if chosen else 'wrong'} paths"
            self.kinds[f"pairs of {told}"] += 1
            if self.several:
                self.kinds[f"pairs by {item.row['rule']}"] += 1
            yield item.row


def _common(problem: Problem, settings: PairSettings) -> dict[str, Any]:
    """What all pairs of a problem say of it; the rule is filled in for each."""
    return {
        "problem": problem.id,
        "task": problem.task,
        "question": problem.question,
        **{key: getattr(problem, key) for key in ("choices", "tests") if getattr(problem, key) is not None},
        "rule": "",
        "prompt": exported_prompt(problem, settings.template),
    }


def _row(common: Mapping[str, Any], pair: Pair, rule: RuleName) -> dict[str, Any]:
    chosen, rejected = pair.chosen, pair.rejected
    row: dict[str, Any] = {
        "id": f"{chosen.id}>{rejected.id.rpartition('#')[2]}",
        **common,
        "rule": rule,
        **({"prefix": pair.prefix} if pair.prefix else {}),
        "chosen": chosen.text,
        "rejected": rejected.text,
        "chosen_correct": chosen.correct,
        "rejected_correct": rejected.correct,
        "chosen_finish": chosen.finish,
        "rejected_finish": rejected.finish,
    }
    if chosen.score is not None:
        row |= {"chosen_score": chosen.score, "rejected_score": rejected.score}
    return row
