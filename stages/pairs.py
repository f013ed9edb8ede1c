"""pairs: turn judged paths into preference pairs (step 5 of the loop). The rules are in `stages.pairing`.

    write_pairs("scored.jsonl", "pairs.jsonl", PairSettings(rule=("threshold",)), BadLines())

    {"id": "chain/train/0/7#3>1", "problem": "chain/train/0/7", "task": "chain", "question": "...", "rule": "threshold",
     "prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "chosen_score": 0.97,
     "rejected_score": 0.41, "chosen_correct": true, ...}

A row with `prefix` has two sides that both continue that text: it belongs to the prompt, and no loss falls on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem
from evals.tasks import task_of
from stages.counts import Count
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.models.templates import exported_prompt
from stages.pairing import RULES
from stages.pairing.gaps import FEW, NO_RIGHT, NO_WRONG
from stages.pairing.question import LEFT_OUT, Found, Pair, Question, Side
from stages.pairing.union import each_once, in_shares
from stages.runs.whole_file import WholeFile
from stages.seeds import lot
from stages.settings.pairs import PairSettings, RuleName

SWEEP = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The etas whose yield is shown."""
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""The shares of the right paths whose `pass_score` is shown."""
LENGTH_GAP = "length gap"
REPEATED = "made by a rule before it"
NO_GAP = "no gap"
WITHOUT = "problems without a pair: "
NOT_TAKEN = "pairs left out: "
NEXT_TO_NOTHING = 8
"""Fewer pairs than this teach nothing; the stage stops with advice."""


@dataclass
class RuleReport:
    """What one rule made before shares and `--most`, and why pairs are missing."""

    counts: Counter[str] = field(default_factory=Counter)
    sweep: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))
    sweep_problems: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))
    lowest: list[float] = field(default_factory=list)
    """The lowest step score of each right path that the rule looked at."""

    def summary(self, *, gapped: bool) -> dict[str, Any]:
        """The counts, for a gapped rule the yield of each eta, and for one that looks at the lowest step the
        `pass_score` that keeps each share of the right paths."""
        lowest = sorted(self.lowest, reverse=True)
        passing = {f"{share:g}": lowest[math.ceil(share * len(lowest)) - 1] for share in SHARES if lowest}
        yields = {f"{eta:g}": {"pairs": self.sweep[eta], "problems": self.sweep_problems[eta]} for eta in SWEEP}
        return {
            "counts": dict(self.counts),
            **({"sweep": yields} if gapped else {}),
            **({"pass scores": passing} if passing else {}),
        }


class PairReport:
    """What was read and written, and what each rule made."""

    def __init__(self, settings: PairSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.rules: dict[RuleName, RuleReport] = {name: RuleReport() for name in settings.shares()}

    def summary(self) -> dict[str, Any]:
        """Both as JSON."""
        rules = {name: report.summary(gapped=RULES[name].gapped) for name, report in self.rules.items()}
        return {"counts": dict(self.counts), "rules": rules}


@dataclass(frozen=True, slots=True)
class _Made:
    """A pair that a rule has made, and the place of its problem among those read."""

    number: int
    row: dict[str, Any]

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
    """Make the pairs of a file of lines and write them as a whole file or not at all.

    Args:
        source: lines with judged paths, or `-`.
        bad: receives the bad lines.
        dry_run: count, and write nothing.
        manifest: a second place to write the manifest to.

    Returns:
        "counts", "rules" (see `RuleReport.summary`: {name: {"counts", "sweep": {eta: {"pairs", "problems"}}, "pass
        scores": {share: score}}}) and "bad lines".

    Raises:
        DataError: next to nothing to learn from; nothing is written then.
        UsageError: the output belongs to another run.
    """
    report = PairReport(settings)

    def summary() -> dict[str, Any]:
        return {**report.summary(), "bad lines": bad.count}

    def rows() -> Iterator[dict[str, Any]]:
        problems = read_problems(source, bad, check=lambda problem: _check(problem, settings))
        made = make_pairs(problems, settings, report)
        refuse_nothing(report, settings)
        yield from made

    if dry_run:
        list(rows())
        return summary()
    run = WholeFile("pairs", source, output, asdict(settings), overwrite, manifest)
    return run.write(rows(), report.counts, bad, lambda: {"pairs": summary()}).summary("pairs")


def _check(problem: Problem, settings: PairSettings) -> None:
    """Refuse a problem whose paths are not judged.

    Raises:
        DataError: `paths.N.correct: missing`, or a field that the task needs.
    """
    task_of(problem).check(problem)
    for number, path in enumerate(problem.paths):
        if path.correct is None and (settings.gold or path.source != "gold"):
            raise DataError(f"paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")


def make_pairs(problems: Iterable[Problem], settings: PairSettings, report: PairReport) -> list[dict[str, Any]]:
    """The pairs of all problems in input order, a problem's in the order of the rules.

    Each rule gives a problem at most `max_per_problem` pairs. It says which of them are preferred, but every path is
    used once before any is used again.

    Raises:
        DataError: a path lacks the verdict that every rule needs, or its steps are not those of its text.
    """
    made: dict[RuleName, list[_Made]] = {name: [] for name in report.rules}
    for number, problem in enumerate(problems):
        report.counts["problems"] += 1
        paths = _usable(problem, settings, report)
        for name, rows in made.items():
            question = Question(problem, paths, settings, report.rules[name].counts, report.rules[name].lowest)
            rows += [_Made(number, _row(problem, pair, name, settings)) for pair in _taken(name, question, report)]
    taken = _drawn(made, settings, report)
    _count(taken, report)
    return [item.row for item in taken]


def _usable(problem: Problem, settings: PairSettings, report: PairReport) -> list[Path]:
    last = max((path.round for path in problem.paths), default=0)
    usable = []
    for number, path in enumerate(problem.paths):
        report.counts["paths"] += 1
        if path.source == "gold" and not settings.gold:
            report.counts[f"{LEFT_OUT}gold"] += 1
        elif settings.rounds == "last" and path.round != last:
            report.counts[f"{LEFT_OUT}earlier round"] += 1
        elif path.correct is None:
            raise DataError(f"{problem.id}: paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")
        else:
            usable.append(path)
    return usable


def _taken(name: RuleName, question: Question, report: PairReport) -> list[Pair]:
    """The pairs that a rule gives a problem, at most `max_per_problem`; the rest is counted by reason."""
    settings, told = question.settings, report.rules[name]
    found = RULES[name].find(question)
    pairs, none = _distinct(found, told), found.none
    if settings.max_length_gap is not None and pairs:
        near = [pair for pair in pairs if _length_gap(pair.chosen, pair.rejected) <= settings.max_length_gap]
        told.counts[NOT_TAKEN + LENGTH_GAP] += len(pairs) - len(near)
        pairs, none = near, none if near else LENGTH_GAP
    if RULES[name].gapped:
        for eta in SWEEP:
            yielded = min(sum(pair.gap >= eta for pair in pairs), settings.max_per_problem)
            told.sweep[eta] += yielded
            told.sweep_problems[eta] += yielded > 0
        pairs, none = [pair for pair in pairs if pair.gap >= settings.eta], NO_GAP if pairs else none
        none = f"{NO_GAP} of {settings.eta:g}" if none == NO_GAP else none
    if not pairs:
        told.counts[WITHOUT + none] += 1
        return []
    taken = _spread(pairs, settings.max_per_problem)
    told.counts["problems with a pair"] += 1
    told.counts[Count.PAIRS] += len(taken)
    told.counts[f"{NOT_TAKEN}max-per-problem"] += len(pairs) - len(taken)
    return taken


def _distinct(found: Found, told: RuleReport) -> list[Pair]:
    """The pairs whose two sides differ, those of the same texts once."""
    kept: dict[tuple[str, str, str], Pair] = {}
    for pair in found.pairs:
        if pair.chosen.text == pair.rejected.text:
            told.counts[f"{NOT_TAKEN}two equal texts"] += 1
        elif pair.texts in kept:
            told.counts[f"{NOT_TAKEN}same texts as another pair"] += 1
        else:
            kept[pair.texts] = pair
    return list(kept.values())


def _spread(candidates: list[Pair], most: int) -> list[Pair]:
    """The first `most` candidates, taking a side again only when all candidates repeat one."""
    left = list(candidates)
    used: Counter[str] = Counter()
    taken: list[Pair] = []
    while left and len(taken) < most:
        pair = min(left, key=lambda pair: used[pair.chosen.id] + used[pair.rejected.id])
        left.remove(pair)
        taken.append(pair)
        used.update((pair.chosen.id, pair.rejected.id))
    return taken


def _drawn(made: dict[RuleName, list[_Made]], settings: PairSettings, report: PairReport) -> list[_Made]:
    """The pairs of all rules together: each once, in the rules' shares, at most `most`."""
    shares = settings.shares()
    parts = each_once(list(made.values()), lambda item: item.same)
    for told, before, part in zip(report.rules.values(), made.values(), parts, strict=True):
        if len(part) < len(before):
            told.counts[NOT_TAKEN + REPEATED] = len(before) - len(part)
    given = [share for share in shares.values() if share is not None]
    if given:
        sizes = in_shares([len(part) for part in parts], given, settings.most)
        report.counts[f"{NOT_TAKEN}shares"] = sum(map(len, parts)) - sum(sizes)
        parts = [_lots(part, size, settings.seed) for part, size in zip(parts, sizes, strict=True)]
    together = sorted((item for part in parts for item in part), key=lambda item: item.number)
    if settings.most is not None and len(together) > settings.most:
        report.counts[f"{NOT_TAKEN}most"] = len(together) - settings.most
        together = _lots(together, settings.most, settings.seed)
    return together


def _lots(made: list[_Made], most: int, seed: int) -> list[_Made]:
    """So many of them, chosen by the seed, in their order."""
    kept = sorted(range(len(made)), key=lambda i: lot(made[i].row["id"], seed))[:most]
    return [made[i] for i in sorted(kept)]


def _count(taken: list[_Made], report: PairReport) -> None:
    """Count what is written."""
    with_pair = len({item.number for item in taken})
    report.counts["problems with a pair"] = with_pair
    report.counts["problems without a pair"] = report.counts["problems"] - with_pair
    report.counts[Count.PAIRS] = len(taken)
    for item in taken:
        chosen, rejected = item.row["chosen_correct"], item.row["rejected_correct"]
        kind = ("wrong and a right" if rejected else "right and a wrong") if chosen != rejected else None
        told = f"a {kind} path" if kind else f"two {'right' if chosen else 'wrong'} paths"
        report.counts[f"pairs of {told}"] += 1
        if len(report.rules) > 1:
            report.counts[f"pairs by {item.row['rule']}"] += 1


def _length_gap(a: Side, b: Side) -> int:
    if a.tokens is not None and b.tokens is not None:
        return abs(a.tokens - b.tokens)
    return abs(len(a.text) - len(b.text)) // 4


def _row(problem: Problem, pair: Pair, rule: RuleName, settings: PairSettings) -> dict[str, Any]:
    chosen, rejected = pair.chosen, pair.rejected
    row: dict[str, Any] = {
        "id": f"{chosen.id}>{rejected.id.rpartition('#')[2]}",
        "problem": problem.id,
        "task": problem.task,
        "question": problem.question,
        **{key: getattr(problem, key) for key in ("choices", "tests") if getattr(problem, key) is not None},
        "rule": rule,
        "prompt": exported_prompt(problem, settings.template),
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


def refuse_nothing(report: PairReport, settings: PairSettings) -> None:
    """Stop when there is next to nothing to learn from.

    Raises:
        DataError: fewer than NEXT_TO_NOTHING pairs; the advice depends on what is missing.
    """
    pairs = report.counts[Count.PAIRS]
    if pairs >= NEXT_TO_NOTHING:
        return
    name, told = min(report.rules.items(), key=lambda item: _own(item[1]))
    reasons = {key.removeprefix(WITHOUT): n for key, n in told.counts.items() if key.startswith(WITHOUT)}
    if told.counts[NOT_TAKEN + REPEATED] > _own(told):
        reasons = {REPEATED: told.counts[NOT_TAKEN + REPEATED]}
    nothing = "too few problems" if report.counts["problems"] else "no problem was read"
    main = max(reasons, key=lambda reason: reasons[reason], default=nothing)
    by = f", by {name}" if len(report.rules) > 1 else ""
    raise DataError(
        f"only {pairs} pairs: next to nothing to learn from (mostly{by}: {main})", _advice(main, told, settings)
    )


def _own(told: RuleReport) -> int:
    """Pairs that no rule before has made."""
    return told.counts[Count.PAIRS] - told.counts[NOT_TAKEN + REPEATED]


def _advice(reason: str, told: RuleReport, settings: PairSettings) -> str:
    known = {
        NO_RIGHT: "Draw more paths (sipf sample --n, --want-right), train SFT longer, or allow wrong chosen paths with "
        "--any.",
        NO_WRONG: "Take harder questions, draw at a higher temperature, or use a rule by scores, such as --rule "
        "threshold.",
        FEW: f"Draw more paths, or score them first: sipf score --name {settings.name}.",
        REPEATED: "Leave the shares out, or mix rules that make different pairs.",
        LENGTH_GAP: "Raise --max-length-gap, or leave it out.",
    }
    if reason in known:
        return known[reason]
    if not reason.startswith(NO_GAP):
        return _missing(told, settings)
    enough = [eta for eta in SWEEP if told.sweep[eta] >= NEXT_TO_NOTHING]
    if enough and max(enough) < settings.eta:
        return f"Lower --eta: at {max(enough):g} there would be {told.sweep[max(enough)]} pairs."
    return (
        f"No --eta would do: even at 0 there would be {told.sweep[0.0]} pairs. Take more problems, or another PRM: "
        "one that gives all paths the same score separates nothing."
    )


def _missing(told: RuleReport, settings: PairSettings) -> str:
    """Advice by what most of the paths that could not be used were lacking."""
    lacking = {key.removeprefix(LEFT_OUT): n for key, n in told.counts.items() if key.startswith(LEFT_OUT)}
    main = max(lacking, key=lambda reason: lacking[reason], default="").rpartition(": ")[2]
    advice = {
        "no labels": "Label the paths first (sipf simulate), or take a rule that needs no labels.",
        "no right rollout was kept": "Keep rollouts: sipf simulate --root --keep-forks 2.",
        "no wrong step": "Take --reject whole, or leave --rejected-fails out.",
        "an undecided step": "Label all steps: sipf simulate without --budget and --share.",
        "a wrong step": "Draw more paths, or lower --pass-score where --by scores decides.",
        "no count of draws": "Draw the paths with sipf sample, which counts them in `times`.",
        f"drawn fewer than {settings.min_times} times": "Lower --min-times, or draw more paths (sipf sample --n).",
        f"no score {settings.name!r}": f"Score the paths first: sipf score --name {settings.name}.",
    }
    return advice.get(main, "Sample and score more problems.")
