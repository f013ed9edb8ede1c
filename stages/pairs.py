"""pairs: turn scored paths into preference pairs (step 5 of the loop).

    D_pref = {(q, chosen, rejected): r(chosen) - r(rejected) >= eta},  r the aggregated step scores of a path

    write_pairs("scored.jsonl", "pairs.jsonl", PairSettings(eta=0.1), BadLines())     # {"counts", "sweep", "bad lines"}

    {"id": "chain/train/0/7#3>1", "problem": "chain/train/0/7", "task": "chain", "question": "...",
     "prompt": "Question: ...", "chosen": "40+32=72\\n...", "rejected": "...", "chosen_score": 0.97,
     "rejected_score": 0.41, "chosen_correct": true, ...}

`--feedback outcome` is the baseline without a reward model: right paths are preferred to wrong ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem
from evals.tasks import task_of
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.models.templates import exported_prompt
from stages.runs.whole_file import WholeFile
from stages.seeds import lot
from stages.settings.pairs import PairSettings

SWEEP = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The etas whose yield is shown."""
CAPPED = "pairs left out: length gap"
NEXT_TO_NOTHING = 8
"""Fewer pairs than this teach nothing; the stage stops with advice."""


@dataclass
class PairReport:
    """What was read, and why pairs are missing."""

    counts: Counter[str] = field(default_factory=Counter)
    sweep: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))
    sweep_problems: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))


@dataclass(frozen=True, slots=True)
class _Scored:
    path: Path
    score: float


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
    """Make the pairs of a file of scored lines and write them as a whole file or not at all.

    Args:
        source: scored lines, or `-`.
        bad: receives the bad lines.
        dry_run: count, and write nothing.
        manifest: a second place to write the manifest to.

    Returns:
        "counts", "sweep" ({eta: {"pairs", "problems"}}) and "bad lines".

    Raises:
        DataError: next to nothing to learn from; nothing is written then.
        UsageError: the output belongs to another run.
    """
    report = PairReport()

    def summary() -> dict[str, Any]:
        sweep = {f"{eta:g}": {"pairs": report.sweep[eta], "problems": report.sweep_problems[eta]} for eta in SWEEP}
        return {"counts": dict(report.counts), "sweep": sweep, "bad lines": bad.count}

    def rows() -> Iterator[dict[str, Any]]:
        problems = read_problems(source, bad, check=lambda problem: _check(problem, settings))
        made = list(make_pairs(problems, settings, report))
        refuse_nothing(report, settings)
        yield from _drawn(made, settings, report)

    if dry_run:
        list(rows())
        return summary()
    run = WholeFile("pairs", source, output, asdict(settings), overwrite, manifest)
    return run.write(rows(), report.counts, bad, lambda: {"pairs": summary()}).summary("pairs")


def _drawn(rows: list[dict[str, Any]], settings: PairSettings, report: PairReport) -> list[dict[str, Any]]:
    """At most `most` of the pairs, in their order."""
    if settings.most is None or len(rows) <= settings.most:
        return rows
    report.counts["pairs left out: most"] = len(rows) - settings.most
    report.counts["pairs"] = settings.most
    kept = sorted(range(len(rows)), key=lambda i: lot(rows[i]["id"], settings.seed))[: settings.most]
    return [rows[i] for i in sorted(kept)]


def _check(problem: Problem, settings: PairSettings) -> None:
    """Refuse a problem whose paths are not judged.

    Raises:
        DataError: `paths.N.correct: missing`, or a field that the task needs.
    """
    task_of(problem).check(problem)
    for number, path in enumerate(problem.paths):
        if path.correct is None and (settings.gold or path.source != "gold"):
            raise DataError(f"paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")


def make_pairs(problems: Iterable[Problem], settings: PairSettings, report: PairReport) -> Iterator[dict[str, Any]]:
    """The pairs of all problems, in input order, at most `max_per_problem` per problem.

    A problem's candidates with the widest score gap come first, and every path is used once before any is used again.
    With outcome feedback all gaps are equal, so the seed decides the order.

    Raises:
        DataError: a path lacks the score or the verdict that the settings need.
    """
    for problem in problems:
        report.counts["problems"] += 1
        paths = _usable(problem, settings, report)
        capped = report.counts[CAPPED]
        candidates = _candidates(problem, paths, settings, report)
        if not candidates:
            why = "length gap" if report.counts[CAPPED] > capped else _why(paths, settings)
            report.counts[f"problems without a pair: {why}"] += 1
            continue
        chosen = _spread(candidates, settings.max_per_problem)
        report.counts["problems with a pair"] += 1
        report.counts["pairs"] += len(chosen)
        report.counts["pairs left out: max-per-problem"] += len(candidates) - len(chosen)
        for winner, loser in chosen:
            report.counts["pairs of a right and a wrong path"] += bool(winner.path.correct) and not loser.path.correct
            report.counts["pairs of two right paths"] += bool(winner.path.correct) and bool(loser.path.correct)
            report.counts["pairs of two wrong paths"] += not winner.path.correct and not loser.path.correct
            yield _row(problem, winner, loser, settings)


def _usable(problem: Problem, settings: PairSettings, report: PairReport) -> list[_Scored]:
    last = max((path.round for path in problem.paths), default=0)
    usable = []
    for number, path in enumerate(problem.paths):
        report.counts["paths"] += 1
        if path.source == "gold" and not settings.gold:
            report.counts["paths left out: gold"] += 1
        elif settings.rounds == "last" and path.round != last:
            report.counts["paths left out: earlier round"] += 1
        elif path.correct is None:
            raise DataError(f"{problem.id}: paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")
        elif settings.feedback == "outcome":
            usable.append(_Scored(path, 1.0 if path.correct else 0.0))
        elif path.scores is None or settings.name not in path.scores:
            report.counts[f"paths left out: no score {settings.name!r}"] += 1
        else:
            usable.append(_Scored(path, float(getattr(path.scores[settings.name], settings.aggregate))))
    return usable


def _candidates(
    problem: Problem, paths: list[_Scored], settings: PairSettings, report: PairReport
) -> list[tuple[_Scored, _Scored]]:
    """All pairs that satisfy the definition, best first; also counts the yield of every eta of the sweep."""
    found: list[tuple[float, str, _Scored, _Scored]] = []
    gaps: list[float] = []
    for winner in paths:
        if settings.chosen_correct and not winner.path.correct:
            continue
        for loser in paths:
            gap = winner.score - loser.score
            if loser is winner or gap <= 0 or winner.path.text == loser.path.text:
                continue
            if settings.max_length_gap is not None and _length_gap(winner.path, loser.path) > settings.max_length_gap:
                report.counts[CAPPED] += gap >= settings.eta
                continue
            gaps.append(gap)
            if gap >= settings.eta:
                found.append(
                    (-gap, lot(f"{problem.id}/{winner.path.id}/{loser.path.id}", settings.seed), winner, loser)
                )
    for eta in SWEEP:
        made = min(sum(gap >= eta for gap in gaps), settings.max_per_problem)
        report.sweep[eta] += made
        report.sweep_problems[eta] += made > 0
    found.sort(key=lambda item: item[:2])
    return [(winner, loser) for _, _, winner, loser in found]


def _spread(candidates: list[tuple[_Scored, _Scored]], most: int) -> list[tuple[_Scored, _Scored]]:
    """The first `most` candidates, taking a path again only when all candidates repeat one."""
    left = list(candidates)
    used: Counter[str] = Counter()
    taken: list[tuple[_Scored, _Scored]] = []
    while left and len(taken) < most:
        pair = min(left, key=lambda pair: used[pair[0].path.id] + used[pair[1].path.id])
        left.remove(pair)
        taken.append(pair)
        used.update((pair[0].path.id, pair[1].path.id))
    return taken


def _length_gap(a: Path, b: Path) -> int:
    if a.tokens is not None and b.tokens is not None:
        return abs(a.tokens - b.tokens)
    return abs(len(a.text) - len(b.text)) // 4


def _why(paths: list[_Scored], settings: PairSettings) -> str:
    """Why a problem has no pair."""
    if len(paths) < 2:
        return "fewer than two usable paths"
    if settings.chosen_correct and not any(item.path.correct for item in paths):
        return "no right path"
    if settings.feedback == "outcome":
        return "no wrong path"
    return f"no gap of {settings.eta:g}"


def _row(problem: Problem, winner: _Scored, loser: _Scored, settings: PairSettings) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": f"{winner.path.id}>{loser.path.id.rpartition('#')[2]}",
        "problem": problem.id,
        "task": problem.task,
        "question": problem.question,
        **{key: getattr(problem, key) for key in ("choices", "tests") if getattr(problem, key) is not None},
        "prompt": exported_prompt(problem, settings.template),
        "chosen": winner.path.text,
        "rejected": loser.path.text,
        "chosen_correct": winner.path.correct,
        "rejected_correct": loser.path.correct,
        "chosen_finish": winner.path.finish or "stop",
        "rejected_finish": loser.path.finish or "stop",
    }
    if settings.feedback == "process":
        row |= {"chosen_score": winner.score, "rejected_score": loser.score}
    return row


def refuse_nothing(report: PairReport, settings: PairSettings) -> None:
    """Stop when there is next to nothing to learn from.

    Raises:
        DataError: fewer than NEXT_TO_NOTHING pairs; the advice depends on what is missing.
    """
    pairs = report.counts["pairs"]
    if pairs >= NEXT_TO_NOTHING:
        return
    reasons = {
        key.partition(": ")[2]: count
        for key, count in report.counts.items()
        if key.startswith("problems without a pair")
    }
    nothing = "too few problems" if report.counts["problems"] else "no problem was read"
    main = max(reasons, key=lambda reason: reasons[reason], default=nothing)
    raise DataError(
        f"only {pairs} pairs: next to nothing to learn from (mostly: {main})", _advice(main, report, settings)
    )


def _advice(reason: str, report: PairReport, settings: PairSettings) -> str:
    known = {
        "no right path": "Draw more paths (sipf sample --n, --want-right), train SFT longer, or allow wrong chosen "
        "paths with --any.",
        "no wrong path": "Take harder questions, draw at a higher temperature, or use --feedback process.",
        "fewer than two usable paths": f"Draw more paths, or score them first: sipf score --name {settings.name}.",
        "length gap": "Raise --max-length-gap, or leave it out.",
    }
    if not reason.startswith("no gap"):
        return known.get(reason, "Sample and score more problems.")
    enough = [eta for eta in SWEEP if report.sweep[eta] >= NEXT_TO_NOTHING]
    if enough:
        return f"Lower --eta: at {max(enough):g} there would be {report.sweep[max(enough)]} pairs."
    return (
        f"No --eta would do: even at 0 there would be {report.sweep[0.0]} pairs. Take more problems, or another PRM: "
        "one that gives all paths the same score separates nothing."
    )
