"""A file of pairs out of a file of scored lines: written whole, or refused where there is next to nothing in it.

write_pairs("scored.jsonl", "pairs.jsonl", PairSettings(eta=0.1))  # {"counts", "sweep", "bad lines"}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task_of
from stages.files.lines import is_file, read_problems
from stages.files.manifest import hash_file, parent_of
from stages.files.outputs import atomic_lines
from stages.pairs import SWEEP, PairReport, make_pairs
from stages.seeds import lot
from stages.settings.pairs import PairSettings

NEXT_TO_NOTHING = 8
"""Fewer pairs than this teach nothing; the stage stops with advice."""


def write_pairs(
    source: str,
    output: str,
    settings: PairSettings,
    *,
    strict: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    manifest: str | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Make the pairs of a file of scored lines and write them, whole or not at all.

    Args:
        source: scored lines, or `-`.
        strict: stop at the first bad line instead of skipping it.
        dry_run: count, and write nothing.
        manifest: where the manifest goes as well.
        warn: gets a line of text for every bad line.

    Returns:
        "counts", "sweep" ({eta: {"pairs", "problems"}}) and "bad lines".

    Raises:
        DataError: next to nothing to learn from; nothing is written then.
        UsageError: the output belongs to another run.
    """
    sha256 = hash_file(source) if is_file(source) else None
    identity = {
        "stage": "pairs",
        "options": asdict(settings),
        "input": {"path": source, "sha256": sha256},
    }
    if dry_run:
        return _collect(source, settings, strict, warn)[1]
    with atomic_lines(output, identity=identity, overwrite=overwrite, manifest=manifest) as out:
        if out.already is not None:
            return {"already complete": True, **out.already["pairs"]}
        rows, summary = _collect(source, settings, strict, warn)
        for row in rows:
            out.write(row)
        out.extra = {"counts": summary["counts"], "pairs": summary, "parents": [parent_of(source, sha256)]}
    return summary


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
        "no right path": "Draw more paths (sipf sample --n, --want-right), train SFT longer, or take wrong chosen ones "
        "with --any.",
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
        "one that gives all paths one score separates nothing."
    )


def _check(problem: Problem, settings: PairSettings) -> None:
    """Refuse a problem whose paths are not judged.

    Raises:
        DataError: `paths.N.correct: missing`, or what the task misses.
    """
    task_of(problem).check(problem)
    for number, path in enumerate(problem.paths):
        if path.correct is None and (settings.gold or path.source != "gold"):
            raise DataError(f"paths.{number}.correct: missing", "Pairs need paths made by sipf sample.")


def _collect(
    source: str, settings: PairSettings, strict: bool, warn: Callable[[str], None]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    bad = 0

    def report_bad(error: DataError) -> None:
        nonlocal bad
        if strict:
            raise error
        bad += 1
        warn(error.message)

    report = PairReport()
    read = read_problems(source, on_bad=report_bad, check=lambda problem: _check(problem, settings))
    problems = (problem for _, problem in read)
    rows = list(make_pairs(problems, settings, report))
    refuse_nothing(report, settings)
    if settings.most is not None and len(rows) > settings.most:
        report.counts["pairs left out: most"] = len(rows) - settings.most
        report.counts["pairs"] = settings.most
        kept = sorted(range(len(rows)), key=lambda i: lot(rows[i]["id"], settings.seed))[: settings.most]
        rows = [rows[i] for i in sorted(kept)]
    sweep = {f"{eta:g}": {"pairs": report.sweep[eta], "problems": report.sweep_problems[eta]} for eta in SWEEP}
    return rows, {"counts": dict(report.counts), "sweep": sweep, "bad lines": bad}
