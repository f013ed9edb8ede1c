"""What a complete file of scored lines says about its scores, in one pass; sums are kept, the lines are not.

    held_out = lambda identity: in_share(identity, 42, 0.1)
    quality = read_scored("run/r0/scored.jsonl", "prm0", unseen=held_out, share=1, seed=0)
    quality["held out"].steps.auc()

Steps are held against their labels, which rollouts decided; paths against their answers. Gold paths are counted and not
measured: a person wrote them, and all of their steps are right by definition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evals.best_of import BestOf
from evals.errors import DataError
from evals.metrics import Mean
from evals.records import LIVE
from evals.score_counts import ScoreCounts, WithinGroups
from stages.joins.judged import parsed_lines
from stages.seeds import in_share

ALL, HELD_OUT = "all problems", "held out"
"""All that were scored; and of these the ones that the reward model was not trained on."""
POSITIONS = 12
"""Step positions that are told apart; the last one holds all that follow."""


@dataclass
class Quality:
    """What scores say about steps and paths of one group of problems."""

    problems: int = 0
    steps: ScoreCounts = field(default_factory=ScoreCounts)
    """Of the steps that have a label."""
    steps_within: WithinGroups = field(default_factory=WithinGroups)
    paths: ScoreCounts = field(default_factory=ScoreCounts)
    """Of the judged paths, by the number that ranks them."""
    paths_within: WithinGroups = field(default_factory=WithinGroups)
    right_at: dict[int, Mean] = field(default_factory=dict)
    wrong_at: dict[int, Mean] = field(default_factory=dict)
    """Mean score of right and wrong steps by position, from 1 to `POSITIONS`."""
    by_share: dict[int, Mean] = field(default_factory=dict)
    """Mean score of the steps of which all K rollouts were made, by tenths of the share that was right."""
    stopped_early: int = 0
    """Steps of which fewer were made, so that those of which all were are no fair choice of steps."""
    best_of: BestOf = field(default_factory=BestOf)

    def add_step(self, position: int, score: float, right: bool, label: Mapping[str, Any]) -> None:
        """Count a labelled step."""
        self.steps.add(score, right)
        means = self.right_at if right else self.wrong_at
        means.setdefault(min(position, POSITIONS), Mean()).add(score)
        if label.get("gold") or label.get("given") is not None or not label["draws"]:
            return
        if label["draws"] < label["k"]:
            self.stopped_early += 1
        else:
            self.by_share.setdefault(round(10 * label["hits"] / label["k"]), Mean()).add(score)


@dataclass
class Scored:
    """A file of scored lines: its groups of problems, how paths are ranked, and what could not be measured."""

    groups: dict[str, Quality]
    ranked_by: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


def read_scored(
    source: str, name: str, *, unseen: Callable[[str], bool] | None = None, share: float, seed: int
) -> Scored:
    """Read a file of scored lines.

    Args:
        name: the key of the scores.
        unseen: whether a problem was kept out of the reward model's training; None: not known.
        share: of the problems that best of n is measured on, drawn by id and `seed`.

    Raises:
        DataError: a line is not what `sipf score` writes.
    """
    groups = [ALL] if unseen is None else [ALL, HELD_OUT]
    scored = Scored({group: Quality(best_of=BestOf(seed=seed)) for group in groups})
    for place, row in parsed_lines(source):
        try:
            identity = str(row["id"])
            chosen = [scored.groups[ALL]]
            if unseen is not None and unseen(identity):
                chosen.append(scored.groups[HELD_OUT])
            _add(row, identity, name, chosen, scored, in_share(identity, share, seed, "voted"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            said = f"{place}: not a line that sipf score writes ({error!r})"
            raise DataError(said, "Run sipf score again.") from error
    return scored


def _add(row: Mapping[str, Any], identity: str, name: str, chosen: list[Quality], scored: Scored, voted: bool) -> None:
    truths: list[bool] = []
    given: list[float] = []
    judged: list[tuple[bool, float, str | None]] = []
    for quality in chosen:
        quality.problems += 1
    for path in row.get("paths", ()):
        if path.get("source") == "gold":
            scored.counts["gold paths, not measured"] += 1
            continue
        found = (path.get("scores") or {}).get(name)
        if path.get("correct") is not None:
            score = float("-inf") if found is None else float(found[_ranking(found, scored)])
            judged.append((bool(path["correct"]), score, path.get("answer")))
        if found is None:
            scored.counts["paths without scores, ranked last"] += 1
            continue
        labels = path.get("labels")
        if labels is None:
            scored.counts["paths without labels, whose steps are not measured"] += 1
            continue
        for position, (label, score) in enumerate(zip(labels, found["steps"], strict=True), 1):
            right = verdict(label)
            if right is None:
                scored.counts["steps whose label is undecided"] += 1
                continue
            truths.append(right)
            given.append(score)
            for quality in chosen:
                quality.add_step(position, score, right, label)
    for quality in chosen:
        quality.steps_within.add(truths, given)
        _add_paths(quality, identity, name, judged, voted)


def _add_paths(
    quality: Quality, identity: str, name: str, judged: list[tuple[bool, float, str | None]], voted: bool
) -> None:
    for right, score, _ in judged:
        if score >= 0:
            quality.paths.add(score, right)
    rights, scores = [right for right, _, _ in judged], [score for _, score, _ in judged]
    quality.paths_within.add(rights, scores)
    if voted and len(judged) > 1:
        quality.best_of.add(identity, rights, [answer for _, _, answer in judged], {name: scores})


def _ranking(scores: Mapping[str, Any], scored: Scored) -> str:
    """The number of a path's scores that ranks it, as `evals.records.StepScores.chosen` has it for "auto"."""
    aggregate = str(scores.get("aggregate") or "mean")
    scored.ranked_by[aggregate] += 1
    return aggregate


def verdict(label: Mapping[str, Any]) -> bool | None:
    """`evals.records.StepLabel.hard` of a label that was parsed and not made a record, as millions are read."""
    if "value" in label:
        return None if label["value"] is None else bool(label["value"] >= 0.5)
    if label.get("gold"):
        return True
    if label.get("given") is not None:
        return bool(label["given"])
    if label.get("inferred") is not None:
        return label["inferred"] in LIVE
    return bool(label["hits"] > label.get("delta", 0)) if label["settled"] else None
