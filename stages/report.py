"""report: the results and costs of a loop, read from the result files and manifests in its folder.

RUN/eval/*.jsonl                        one file per policy          -> accuracy, trace accuracy, gains, paired p
RUN/r*/{paths,labels,pairs}.jsonl       one folder per round         -> draws, label cost, pairs
RUN/r*/prm/manifest.json                                             -> the reward model on held-out problems
RUN/health.jsonl                        one line per round           -> the best round, and what ended the loop

`write_page` makes a page of it, with charts and with everything else that the folder tells (`stages.page`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.best_of import BestOf, share_to_vote
from evals.errors import DataError, UsageError
from stages.counts import Count
from stages.files.atomic import atomic_file, cannot_write
from stages.files.manifest import read_manifest, read_model_manifest
from stages.joins.judged import Judged, judged
from stages.joins.results import compare, rate
from stages.rounds.lines import health_lines
from stages.seeds import in_share
from stages.settings.report import ReportSettings
from stages.strategies.cost import EVERY, against_brute, cost_report

ROUND = re.compile(r"round(\d+)")
SHARED = ("base", "sft")
"""The policies that loops start from, which the first of several shares with the others."""


def report(folders: list[Path], settings: ReportSettings | None = None) -> dict[str, Any]:
    """The results and costs of one or more loops that share their problems.

    Args:
        folders: written by examples/loop.sh; the first one's policies keep their names, those of the others get the
            folder's name as a prefix.
        settings: what gains are measured against, if there is a policy of that name, and the seed of the problems that
            a majority among several answers is taken of, where there are very many.

    Returns:
        "policies": rows of name, split, rate, `trace` (the rate of right answers by right steps, or None where steps
        cannot be checked), against the reference gain and p, and against the policy that it was made from `before`
        (that one's name), `gain_before` and `p_before`; where problems have several answers `drawn` has a row for each
        k with pass@k and maj@k. "rounds": rows of costs; "best": each loop's best round, where its health was computed
        (`best_round`).

    Raises:
        UsageError: a folder holds no result file, or two loops have the same name.
        DataError: a result file holds a bad line.
    """
    chosen = settings or ReportSettings()
    against, seed = chosen.against, chosen.seed
    files = _result_files(folders)
    numbers: dict[str, int] = {}
    splits = {name: _by_split(file, numbers, seed) for name, file in files.items()}
    policies = []
    for name, groups in splits.items():
        before = _before(name, splits, against)
        for split, group in groups.items():
            row: dict[str, Any] = {"policy": name, "split": split, **group.accuracy(), "trace": group.trace()}
            if name != against and split in splits.get(against, {}):
                gain = _gain(against, splits[against][split], name, group)
                row |= {"gain": gain["gain"], "p": gain["p"]}
            if before is not None and split in splits[before]:
                gain = _gain(before, splits[before][split], name, group)
                row |= {"before": before, "gain_before": gain["gain"], "p_before": gain["p"]}
            if group.unanswered:
                row["unanswered"] = group.unanswered
            if group.most_answers > 1:
                row["drawn"] = group.drawn()
            policies.append(row)
    rounds = [
        {"loop": loop_name(folder), "round": number, **round_costs(folder / f"r{number}")}
        for folder in folders
        for number in rounds_of(folder)
    ]
    best = {folder: best_round(folder, files) for folder in folders}
    return {"policies": policies, "rounds": rounds, "best": [found for found in best.values() if found]}


def best_round(folder: Path, files: Mapping[str, Path]) -> dict[str, Any] | None:
    """The best round of a loop as the last line of its health.jsonl names it, or None where there is no such line.

    Args:
        files: the result files by the names that policies have in the report.

    Returns:
        "loop", "round" (0: M0), "policy" (its name in the report; None where it has no results there), "model",
        "chosen_on" (validation or test problems), "rounds" (how many there are), and "ended_by", the sign that ended
        the loop, or None.
    """
    lines = health_lines(folder)
    if not lines:
        return None
    last = lines[-1]
    wanted = folder / "eval" / (f"round{last['best']}.jsonl" if last["best"] else "sft.jsonl")
    return {
        "loop": loop_name(folder),
        "round": last["best"],
        "policy": next((name for name, file in files.items() if file == wanted), None),
        "model": last["best_model"],
        "chosen_on": last["chosen_on"],
        "rounds": last["round"],
        "ended_by": last["stop"] and last["stop"]["sign"],
    }


def loop_name(folder: Path) -> str:
    """What a loop is called: the name of its folder."""
    return os.path.basename(os.path.abspath(folder))


def rounds_of(folder: Path) -> list[int]:
    """The numbers of a loop's rounds, in their order."""
    return sorted(int(place.name[1:]) for place in folder.glob("r[0-9]*") if place.name[1:].isdecimal())


def _result_files(folders: list[Path]) -> dict[str, Path]:
    """Result files by policy name, in the order in which they were finished.

    Of several loops, each policy is called after its loop, but for those of the first one that all share.
    """
    found: dict[str, Path] = {}
    names = [loop_name(folder) for folder in folders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two of the folders have the name {twice}", "Rename one: the name tells them apart.")
    for folder in folders:
        files = [path for path in folder.glob("eval/*.jsonl") if read_manifest(str(path)) is not None]
        if not files:
            raise UsageError(f"{folder} holds no complete results in eval/", "Run examples/loop.sh --out on it first.")
        for path in sorted(files, key=lambda path: (_finished(path), path.name)):
            shared = folder is folders[0] and (len(folders) == 1 or path.stem in SHARED)
            found[path.stem if shared else f"{loop_name(folder)}/{path.stem}"] = path
    return found


def _finished(file: Path) -> str:
    return str((read_manifest(str(file)) or {}).get("finished"))


def _before(name: str, policies: Mapping[str, Any], against: str) -> str | None:
    """The policy that a round began with: that of the round before, or the fine-tuned one, which arms may share."""
    loop, slash, own = name.rpartition("/")
    found = ROUND.fullmatch(own)
    if found is None:
        return None
    last = int(found[1]) - 1
    wanted = [f"{loop}{slash}round{last}"] if last else [f"{loop}{slash}sft", "sft", against]
    return next((other for other in wanted if other in policies and other != name), None)


class _Verdicts(Mapping[str, bool]):
    """Whether a policy's first answer is right, by problem id. A byte per problem; the policies share the ids."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers
        self._found = bytearray()
        """By the problem's number 0 for none, 1 for wrong, 2 for right."""

    def add(self, identity: str, right: bool) -> None:
        number = self._numbers.setdefault(identity, len(self._numbers))
        self._found.extend(b"\0" * (number + 1 - len(self._found)))
        if self._found[number]:
            raise DataError(f"the id {identity!r} appears twice", "Give every problem its own id.")
        self._found[number] = 1 + right

    @property
    def rights(self) -> int:
        """How many are right."""
        return self._found.count(2)

    def __getitem__(self, identity: str) -> bool:
        if identity not in self:
            raise KeyError(identity)
        return self._found[self._numbers[identity]] == 2

    def __contains__(self, identity: object) -> bool:
        number = self._numbers.get(identity, len(self._found)) if isinstance(identity, str) else len(self._found)
        return number < len(self._found) and self._found[number] > 0

    def __iter__(self) -> Iterator[str]:
        # Numbers were given in the order of the ids.
        return (identity for identity, found in zip(self._numbers, self._found, strict=False) if found)

    def __len__(self) -> int:
        return len(self._found) - self._found.count(0)


@dataclass
class _Split:
    """A policy's answers on one split."""

    right: _Verdicts
    voted: BestOf
    traced: int = 0
    """Problems whose steps can be checked; `sound` of them are right by right steps."""
    sound: int = 0
    unanswered: int = 0
    most_answers: int = 0

    def add(self, found: Judged, *, votes: bool) -> None:
        if not found.right:
            self.unanswered += 1
            return
        self.right.add(found.identity, found.right[0])
        self.traced += found.sound is not None
        self.sound += bool(found.sound)
        self.most_answers = max(self.most_answers, len(found.right))
        if votes and len(found.right) > 1:
            self.voted.add(found.identity, found.right, found.answers)

    def accuracy(self) -> dict[str, Any]:
        right, n = self.right.rights, len(self.right)
        if not n:
            raise DataError("there is no evaluated problem")
        return rate(right, n)

    def trace(self) -> dict[str, Any] | None:
        return rate(self.sound, self.traced) if self.traced else None

    def drawn(self) -> dict[str, Any]:
        """pass@k ("oracle") and maj@k ("majority") by k, of so many problems."""
        return {"problems": self.voted.problems, "rows": self.voted.rows()}


def _by_split(file: Path, numbers: dict[str, int], seed: int) -> dict[str, _Split]:
    """Verdicts by the lines' `split` (their task where they have none)."""
    groups: dict[str, _Split] = {}
    counts = _counts(file)
    problems = counts.get("problems", 0)
    share = share_to_vote(problems, counts.get("answers", problems) / max(1, problems))
    for found in judged(str(file)):
        group = groups.setdefault(found.split, _Split(_Verdicts(numbers), BestOf(seed=seed)))
        try:
            group.add(found, votes=in_share(found.identity, share, seed, "voted"))
        except DataError as error:
            raise error.at(str(file)) from error
    return groups


def _gain(reference: str, before: _Split, policy: str, found: _Split) -> dict[str, Any]:
    try:
        return compare(before.right, found.right)
    except DataError as error:
        advice = "Report loops together that were evaluated on the same problems."
        raise DataError(f"{reference} and {policy} share no problem", advice) from error


def round_costs(folder: Path) -> dict[str, Any]:
    """What one round cost and made; None for what its kind of feedback does not need."""
    drawn = _counts(folder / "paths.jsonl")
    labels = _counts(folder / "labels.jsonl")
    pairs = _counts(folder / "pairs.jsonl")
    held_out = (read_model_manifest(folder / "prm") or {}).get("eval", {})
    cost = cost_report(labels)
    return {
        "paths drawn": drawn.get(Count.DRAWN),
        "kept": drawn.get(Count.KEPT),
        "problems labelled": labels.get(Count.PROBLEMS_LABELLED),
        "steps labelled": labels.get(Count.STEPS_LABELLED),
        "rollouts": labels.get(Count.ROLLOUTS),
        "rollout tokens": labels.get(Count.ROLLOUT_TOKENS),
        "of brute force": cost.get(against_brute("rollouts", EVERY)),
        "PRM accuracy": held_out.get("accuracy"),
        "PRM majority baseline": held_out.get("majority_accuracy"),
        "PRM AUC": held_out.get("auc"),
        "PRM pair accuracy": held_out.get("pair_accuracy"),
        "PRM first error": held_out.get("first_error_accuracy"),
        "pairs": pairs.get(Count.PAIRS),
    }


def write_page(
    folders: list[Path], result: dict[str, Any], settings: ReportSettings, output: Path | None, figures: Path | None
) -> dict[str, int]:
    """Make the page of a report, its charts as files, or both.

    Args:
        result: what `report` found.
        output: the page; `figures`: a folder for one SVG file per chart, which is made if it is not there.

    Returns:
        "bytes" of the page, "charts", and "figures" that were written.

    Raises:
        DataError: a manifest or a line that cannot be read.
        Interrupted: a file cannot be written.
    """
    from stages.page.assembly import assemble

    found = assemble({loop_name(folder): folder for folder in folders}, result, settings)
    written = {"charts": len(found.charts)}
    if figures is not None:
        for name, content in found.figures():
            _write(figures / f"{name}.svg", content)
        written["figures"] = len(found.charts)
    if output is not None:
        written["bytes"] = _write(output, found.html())
    return written


def _write(path: Path, content: str) -> int:
    """Write a text file whole or not at all, and the folders above it; its size in bytes."""
    data = content.encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(str(path), error) from error
    with atomic_file(os.path.realpath(path)) as file:  # a link stays one
        file.write(data)
    return len(data)


def _counts(file: Path) -> dict[str, Any]:
    return dict((read_manifest(str(file)) or {}).get("counts", {}))
