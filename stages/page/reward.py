"""The section on reward models: how far their scores agree with the labels of steps and with the answers of paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.best_of import share_to_vote
from evals.metrics import Mean
from evals.score_counts import ScoreCounts
from stages.files.manifest import read_manifest, read_model_manifest
from stages.joins.scored import ALL, HELD_OUT, POSITIONS, Quality, Scored, read_scored
from stages.page.accuracy import percent
from stages.page.blocks import Block, Charts, Group, Section, Text
from stages.page.charts import Axis, Chart, Point, Series, Table, anchor, number
from stages.seeds import held_out

UNIT = Axis("score", low=0.0, high=1.0)
HELD = {
    "accuracy": "accuracy",
    "majority_accuracy": "majority baseline",
    "auc": "AUC",
    "pair_accuracy": "within-question accuracy",
    "calibration_error": "calibration error",
    "first_error_accuracy": "first error found",
    "problems": "problems",
    "paths": "paths",
    "steps": "steps",
    "gold_paths": "gold paths, not measured",
}
"""Keys of what `train-prm` measured, and what they are called here."""


def reward(folders: Mapping[str, Path], seed: int) -> Section | None:
    """The section, or None where no round has a reward model or scores."""
    section = Section("reward", "Reward model")
    for loop, folder in folders.items():
        for place in sorted(folder.glob("r[0-9]*"), key=lambda path: (len(path.name), path.name)):
            blocks = _round(loop, place, seed)
            if blocks:
                title = f"Round {place.name}" if len(folders) == 1 else f"Loop {loop}, round {place.name}"
                section.blocks.append(Group(title, blocks))
    if not section.blocks:
        return None
    said = (
        "A score is compared with the verdict of rollouts on the step (Monte Carlo labels), itself an estimate. "
        "Read accuracy against the majority baseline, that of always giving the more frequent verdict, and "
        "within-question accuracy before AUC: it compares right and wrong steps of one problem, as pairs and best of n "
        "do."
    )
    section.blocks.insert(0, Text(said))
    return section


def _round(loop: str, place: Path, seed: int) -> list[Block]:
    blocks: list[Block] = []
    manifest = read_model_manifest(place / "prm") or {}
    measured = manifest.get("eval")
    if isinstance(measured, Mapping):
        rows = [(said, measured.get(key)) for key, said in HELD.items()]
        blocks.append(Table(("measure", "value"), rows, "Measured by train-prm on the problems held out of training"))
    file = place / "scored.jsonl"
    made = read_manifest(str(file))
    if made is None:
        return blocks
    name = str(made.get("options", {}).get("name", "prm"))
    lines, paths = (
        (made.get(part) or {}).get(key) or 0 for part, key in (("output", "lines"), ("counts", "paths scored"))
    )
    share = share_to_vote(lines, paths / max(1, lines))
    scored = read_scored(str(file), name, unseen=_unseen(manifest), share=share, seed=seed)
    return [*blocks, *_scores(f"{anchor(loop)}-{place.name}", name, scored)]


def _unseen(manifest: Mapping[str, Any]) -> Any:
    """Whether a problem was kept out of training, as `train-prm` decided it; None where that is not known."""
    share, options = manifest.get("held_out_share"), manifest.get("options")
    if not isinstance(share, int | float) or not isinstance(options, Mapping) or not share:
        return None
    seed = int(options.get("seed", 0))
    return lambda identity: held_out(identity, seed, share)


def _scores(slug: str, name: str, scored: Scored) -> list[Block]:
    groups = {group: quality for group, quality in scored.groups.items() if quality.problems}
    ranked = ", ".join(f"{how} ({n:,} paths)" for how, n in scored.ranked_by.most_common())
    said = f"Scores {name}. Paths are ranked by: {ranked or 'nothing'}."
    if HELD_OUT in scored.groups:
        said += " The reward model was trained on labels of most of these problems; the held-out ones it has not seen."
    charts = [
        chart
        for chart in (
            _reliability(slug, name, groups), _roc(slug, name, groups), _positions(slug, name, groups),
            _agreement(slug, name, groups[ALL]) if ALL in groups else None,
            *(_distributions(slug, name, groups[ALL]) if ALL in groups else ()), _best_of(slug, name, groups),
        )
        if chart is not None
    ]  # fmt: skip
    counted = [(what, n) for what, n in scored.counts.items()]
    return [
        Text(said),
        _measures(groups),
        Charts(tuple(charts)),
        *([_confusion(groups)] if any(quality.steps.n for quality in groups.values()) else []),
        *([Table(("not measured", "number"), counted)] if counted else []),
    ]


def _measures(groups: Mapping[str, Quality]) -> Table:
    def rows(
        what: str, counts: Mapping[str, ScoreCounts], within: Mapping[str, float | None]
    ) -> list[tuple[object, ...]]:
        told = counts.values()
        return [
            (f"{what}s", *(one.n for one in told)),
            (f"right {what}s", *(one.rights for one in told)),
            (f"{what} accuracy at 0.5", *(_share(one.accuracy()) for one in told)),
            (f"{what} majority baseline", *(_share(one.majority_accuracy()) for one in told)),
            (f"{what} AUC", *(_three(one.auc()) for one in told)),
            (f"{what}s, within-question accuracy", *(_three(within[group]) for group in counts)),
            (f"{what} calibration error", *(_three(one.calibration_error()) for one in told)),
        ]

    problems = ("problems", *(quality.problems for quality in groups.values()))
    steps = rows(
        "step",
        {group: quality.steps for group, quality in groups.items()},
        {group: quality.steps_within.accuracy() for group, quality in groups.items()},
    )
    paths = rows(
        "path",
        {group: quality.paths for group, quality in groups.items()},
        {group: quality.paths_within.accuracy() for group, quality in groups.items()},
    )
    return Table(
        ("measure", *groups), [problems, *steps, *paths], "Scores against labels of steps and answers of paths"
    )


def _share(value: float | None) -> str | None:
    return None if value is None else f"{percent(value)} %"


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _reliability(slug: str, name: str, groups: Mapping[str, Quality]) -> Chart | None:
    series = [
        Series(
            group,
            tuple(Point(one.score, one.share, one.share_low, one.share_high) for one in quality.steps.reliability()),
        )
        for group, quality in groups.items()
        if quality.steps.n
    ]
    if not series:
        return None
    diagonal = Series("perfectly calibrated", (Point(0, 0), Point(1, 1)), reference=True)
    return Chart(
        f"reliability-{slug}", f"Reliability of {name}", Axis("mean score of the bin", low=0.0, high=1.0),
        Axis("share of right steps", low=0.0, high=1.0), (*series, diagonal),
        note="Below the diagonal the score is too high. Ten bins; bars are 95 % intervals.",
    )  # fmt: skip


def _roc(slug: str, name: str, groups: Mapping[str, Quality]) -> Chart | None:
    series = [
        Series(f"{group}, AUC {quality.steps.auc():.3f}", _thinned(quality.steps.roc()), marks=False)
        for group, quality in groups.items()
        if quality.steps.roc()
    ]
    if not series:
        return None
    chance = Series("chance", (Point(0, 0), Point(1, 1)), reference=True)
    return Chart(
        f"roc-{slug}", f"ROC of {name} on steps", Axis("wrong steps above the threshold", low=0.0, high=1.0),
        Axis("right steps above it", low=0.0, high=1.0), (*series, chance), note="Each point is a threshold.",
    )  # fmt: skip


def _thinned(points: Sequence[tuple[float, float]], most: int = 64) -> tuple[Point, ...]:
    """At most so many of the points of a curve, at equal distances along it, and the last one."""
    kept, last = [], -1
    for n, (x, y) in enumerate(points):
        place = int((x + y) / 2 * (most - 2))
        if place != last or n == len(points) - 1:
            kept.append(Point(x, y))
            last = place
    return tuple(kept)


def _positions(slug: str, name: str, groups: Mapping[str, Quality]) -> Chart | None:
    quality = groups.get(HELD_OUT) or groups.get(ALL)
    if quality is None or not quality.steps.n:
        return None
    who = HELD_OUT if HELD_OUT in groups else ALL
    series = tuple(
        Series(said, _means(means))
        for said, means in (("right steps", quality.right_at), ("wrong steps", quality.wrong_at))
        if means
    )
    last = max((at for means in (quality.right_at, quality.wrong_at) for at in means), default=0)
    later = f" Step {POSITIONS} stands for all later ones, too." if last == POSITIONS else ""
    return Chart(
        f"position-{slug}", f"Score of {name} by step position, {who}", Axis("step", low=0.5, whole=True),
        Axis("mean score", low=0.0, high=1.0), series,
        note=f"Bars are 95 % intervals.{later}",
    )  # fmt: skip


def _means(means: Mapping[int, Mean], scale: float = 1.0) -> tuple[Point, ...]:
    points = []
    for at in sorted(means):
        found = means[at].rate()
        if found is not None:
            points.append(Point(at * scale, found["rate"], found["low"], found["high"]))
    return tuple(points)


def _agreement(slug: str, name: str, quality: Quality) -> Chart | None:
    """Mean score by the share of a step's rollouts that were right. Where drawing stops at the first right one, the
    steps of which all K were made are mostly wrong ones, which would show another relation than there is."""
    if quality.stopped_early or len(quality.by_share) < 2:
        return None
    return Chart(
        f"agreement-{slug}", f"Score of {name} by share of right rollouts",
        Axis("share of right rollouts", low=0.0, high=1.0),
        Axis("mean score", low=0.0, high=1.0), (Series("steps with all K rollouts", _means(quality.by_share, 0.1)),),
        note="Shares are rounded to tenths; bars are 95 % intervals.",
    )  # fmt: skip


def _distributions(slug: str, name: str, quality: Quality) -> list[Chart]:
    found = []
    for what, counts in (("step", quality.steps), ("path", quality.paths)):
        if counts.n:
            bins = 32
            sides = zip(("right", "wrong"), counts.histogram(bins), strict=True)
            series = tuple(
                Series(f"{side} {what}s, {sum(side_counts):,}", tuple(
                    Point(b / bins, 100 * n / sum(side_counts)) for b, n in enumerate(side_counts)
                ), marks=False)
                for side, side_counts in sides
                if sum(side_counts)
            )  # fmt: skip
            title = f"Scores of {name}, right and wrong {what}s"
            found.append(
                Chart(f"{what}s-{slug}", title, UNIT, Axis(f"share of the {what}s, %", low=0.0), series, "steps")
            )
    return found


def _best_of(slug: str, name: str, groups: Mapping[str, Quality]) -> Chart | None:
    who = HELD_OUT if HELD_OUT in groups and groups[HELD_OUT].best_of.problems else ALL
    if who not in groups or not groups[who].best_of.problems:
        return None
    best = groups[who].best_of
    rows = [row for row in best.rows() if row["n"] > 0]
    said = {name: f"highest score of {name}", "majority": "most frequent answer", "oracle": "any of n is right"}
    series = tuple(
        Series(said.get(pick, pick), tuple(
            Point(x, 100 * row[pick]["rate"], 100 * row[pick]["low"], 100 * row[pick]["high"])
            for x, row in enumerate(rows) if row[pick]
        ))
        for pick in best.picks
    )  # fmt: skip
    fewer = f" Problems with n paths: {', '.join(number(row['problems']) for row in rows)}."
    return Chart(
        f"best-of-{slug}", f"Best of n paths, {who}", Axis("n", tuple(str(row["n"]) for row in rows)),
        Axis("problems, %"), series, note=f"Mean over all choices of n among a problem's paths.{fewer}",
    )  # fmt: skip


def _confusion(groups: Mapping[str, Quality]) -> Table:
    rows = []
    for group, quality in groups.items():
        if quality.steps.n:
            kept, missed_right, missed_wrong, caught = quality.steps.confusion()
            called_wrong, wrong = missed_right + caught, missed_wrong + caught
            rows.append(
                (
                    group, kept, missed_right, missed_wrong, caught,
                    _share(caught / called_wrong if called_wrong else None), _share(caught / wrong if wrong else None),
                )
            )  # fmt: skip
    columns = (
        "problems", "right steps called right", "right called wrong", "wrong called right", "wrong called wrong",
        "precision of wrong", "recall of wrong",
    )  # fmt: skip
    return Table(columns, rows, "Agreement with Monte Carlo labels; a step that scores at least 0.5 is called right")
