"""eval-prm: how good a reward model is, from lines that carry its scores.

    measures = measure("scored.jsonl", PrmSettings(name=("prm", "orm:last")))
    measures["first errors"]["prm"]["f1"]            # ProcessBench: where people marked the first wrong step
    measures["best of n"]["rows"]                    # where problems have several judged paths
    measures["path pairs"]["prm"]["accuracy"]        # there, too: right paths above wrong ones of the same problem

First errors: the threshold is chosen on a held-out share of the problems (by id and seed) and the others are measured.
Always saying "none is wrong" has F1 0 there. Best of n: see evals/best_of.py. Neither that nor path pairs see gold
paths, which a person wrote. What a line lacks is counted, not dropped silently.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from evals.best_of import BestOf
from evals.datasets.processbench import Item, best_threshold, measured
from evals.errors import DataError
from evals.metrics import pair_accuracy
from evals.records import Path, Problem
from stages.joins.results import all_results
from stages.seeds import held_out
from stages.settings.evaluation import PrmSettings


def measure(source: str, settings: PrmSettings) -> dict[str, Any]:
    """Both measures, each if the lines allow it.

    Returns:
        "first errors" (None without paths that people marked), "best of n" (None without a problem with two judged
        paths), "path pairs" by name of scores (None without a problem with a right and a wrong path), and "counts" of
        what could not be measured.

    Raises:
        DataError: a bad line, or nothing to measure.
    """
    aggregates = settings.aggregates()
    marked: dict[str, list[tuple[str, Item]]] = {name: [] for name in aggregates}
    rivals: list[tuple[str, list[Path]]] = []
    counts: Counter[str] = Counter()
    for problem in all_results(source):
        for path in problem.paths:
            if path.first_error is not None:
                _mark(problem, path, marked, counts)
        rest = [path for path in problem.paths if path.first_error is None]
        judged = [path for path in rest if path.source != "gold" and path.correct is not None]
        if gold := sum(path.source == "gold" for path in rest):
            counts["gold paths, not measured"] += gold
        if len(judged) > 1:
            rivals.append((problem.id, judged))
        elif judged:
            counts["problems with one judged path, not in best of n"] += 1
    first = {name: _first_errors(items, settings) for name, items in marked.items() if items}
    ranked = _ranked(rivals, aggregates, counts)
    curves = _curves(rivals, ranked, settings) if ranked else None
    if not first and curves is None:
        missing = " or ".join(aggregates)
        raise DataError(
            f"nothing to measure: no path has scores {missing} and a first_error, and no problem has two judged paths",
            "Score the lines first (sipf score, or --model PRM here), or name their scores with --name.",
        )
    pairs = _path_pairs(rivals, ranked)
    return {"first errors": first or None, "best of n": curves, "path pairs": pairs or None, "counts": dict(counts)}


def _mark(problem: Problem, path: Path, marked: dict[str, list[tuple[str, Item]]], counts: Counter[str]) -> None:
    assert path.first_error is not None, "only marked paths come here"
    for name, items in marked.items():
        scores = (path.scores or {}).get(name)
        if scores is None:
            counts[f"marked paths without {name} scores"] += 1
        else:
            items.append((problem.id, Item(scores.steps, path.first_error)))


def _first_errors(items: list[tuple[str, Item]], settings: PrmSettings) -> dict[str, Any]:
    if settings.threshold is not None:
        return {**measured([item for _, item in items], settings.threshold), "threshold chosen on": 0}
    chosen_on = [item for group, item in items if held_out(group, settings.seed, settings.held_out)]
    rest = [item for group, item in items if not held_out(group, settings.seed, settings.held_out)]
    if not rest:
        raise DataError("no marked path is left to measure", "Give a smaller --held-out, or --threshold T.")
    threshold = best_threshold(chosen_on)
    return {
        **measured(rest, threshold),
        "threshold chosen on": len(chosen_on),
        "there": measured(chosen_on, threshold)["f1"],
        "at 0.5": measured(rest, 0.5)["f1"],
    }


def _ranked(
    rivals: list[tuple[str, list[Path]]], aggregates: dict[str, str], counts: Counter[str]
) -> dict[str, list[list[float]]]:
    """The scores of each problem's paths, by their name; names that no path has are left out."""
    named = [name for name in aggregates if any((p.scores or {}).get(name) for _, paths in rivals for p in paths)]
    return {
        name: [[_score(path, name, aggregates[name], counts) for path in paths] for _, paths in rivals]
        for name in named
    }


def _path_pairs(rivals: list[tuple[str, list[Path]]], ranked: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Share of the pairs of a right and a wrong path of one problem that the scores order rightly (ties half)."""
    groups = [identity for identity, paths in rivals for _ in paths]
    right = [bool(path.correct) for _, paths in rivals for path in paths]
    problems = sum(len({path.correct for path in paths}) > 1 for _, paths in rivals)
    found = {}
    for name, scores in ranked.items():
        accuracy, pairs = pair_accuracy(groups, right, [score for row in scores for score in row])
        if accuracy is not None:
            found[name] = {"accuracy": accuracy, "pairs": pairs, "problems": problems}
    return found


def _curves(
    rivals: list[tuple[str, list[Path]]], ranked: dict[str, list[list[float]]], settings: PrmSettings
) -> dict[str, Any]:
    found = BestOf(settings.best_of, settings.seed)
    for i, (identity, paths) in enumerate(rivals):
        right = [bool(path.correct) for path in paths]
        found.add(identity, right, [path.answer for path in paths], {name: rows[i] for name, rows in ranked.items()})
    return {"problems": found.problems, "picks": found.picks, "rows": found.rows()}


def _score(path: Path, name: str, aggregate: str, counts: Counter[str]) -> float:
    """The path's score; a path that could not be scored ranks below all others."""
    scores = (path.scores or {}).get(name)
    if scores is None:
        counts[f"judged paths without {name} scores, ranked last"] += 1
        return float("-inf")
    return float(getattr(scores, scores.chosen(aggregate)))
