"""report: the results and costs of a loop, read from the result files and manifests in its folder.

RUN/eval/*.jsonl                        one file per policy          -> accuracy, trace accuracy, gain, paired p
RUN/r*/{paths,labels,pairs}.jsonl       one folder per round         -> draws, label cost, pairs
RUN/r*/prm/manifest.json                                             -> the reward model on held-out problems
RUN/health.jsonl                        one line per round           -> the best round, and what ended the loop
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from stages.counts import Count
from stages.files.manifest import read_manifest
from stages.joins.results import all_results, compare, first_answer, rate, right_trace
from stages.rounds.lines import health_lines
from stages.strategies.cost import EVERY, against_brute, cost_report


def report(folders: list[Path], against: str = "sft") -> dict[str, Any]:
    """The results and costs of one or more loops that share their problems.

    Args:
        folders: written by examples/loop.sh; the first one's policies keep their names, those of the others get the
            folder's name as a prefix.
        against: the policy that gains are measured against, if there is one of that name.

    Returns:
        "policies": rows of name, split, rate, `trace` (the rate of right answers by right steps, or None where steps
        cannot be checked) and, against the reference, gain and p; "rounds": rows of costs; "best": each loop's best
        round, where its health was computed (`best_round`).

    Raises:
        UsageError: a folder holds no result file.
    """
    files = _result_files(folders)
    splits = {name: _by_split(file) for name, file in files.items()}
    reference = splits.get(against)
    policies = []
    for name, groups in splits.items():
        for split, group in groups.items():
            right, n = sum(group.right.values()), len(group.right)
            row: dict[str, Any] = {"policy": name, "split": split, **rate(right, n), "trace": group.trace()}
            if reference is not None and name != against and split in reference:
                row |= _against(reference[split].right, group.right)
            policies.append(row)
    rounds = [
        {"loop": folder.name, "round": number, **round_costs(folder / f"r{number}")}
        for folder in folders
        for number in sorted(int(place.name[1:]) for place in folder.glob("r[0-9]*") if place.name[1:].isdecimal())
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
        "loop": folder.name,
        "round": last["best"],
        "policy": next((name for name, file in files.items() if file == wanted), None),
        "model": last["best_model"],
        "chosen_on": last["chosen_on"],
        "rounds": last["round"],
        "ended_by": last["stop"] and last["stop"]["sign"],
    }


def _result_files(folders: list[Path]) -> dict[str, Path]:
    """Result files by policy name, in the order in which they were finished."""
    found: dict[str, Path] = {}
    for folder in folders:
        files = [path for path in folder.glob("eval/*.jsonl") if read_manifest(str(path)) is not None]
        if not files:
            raise UsageError(f"{folder} holds no complete results in eval/", "Run examples/loop.sh --out on it first.")
        for path in sorted(files, key=lambda path: (_finished(path), path.name)):
            found[path.stem if folder is folders[0] else f"{folder.name}/{path.stem}"] = path
    return found


def _finished(file: Path) -> str:
    return str((read_manifest(str(file)) or {}).get("finished"))


@dataclass
class _Verdicts:
    """A policy's first answers on one split."""

    right: dict[str, bool] = field(default_factory=dict)
    """By problem id."""
    traces: list[bool] = field(default_factory=list)
    """Whether right by right steps, of the problems whose steps can be checked."""

    def trace(self) -> dict[str, Any] | None:
        return rate(sum(self.traces), len(self.traces)) if self.traces else None


def _by_split(file: Path) -> dict[str, _Verdicts]:
    """Verdicts by the lines' `split` ("all" where they have none)."""
    groups: dict[str, _Verdicts] = {}
    for problem in all_results(str(file)):
        group = groups.setdefault(str(getattr(problem, "split", "all")), _Verdicts())
        group.right[problem.id] = bool(first_answer(problem).correct)
        trace = right_trace(problem)
        group.traces += [] if trace is None else [trace]
    return groups


def _against(reference: Mapping[str, bool], verdicts: Mapping[str, bool]) -> dict[str, Any]:
    result = compare(reference, verdicts)
    return {"gain": result["gain"], "p": result["p"]}


def round_costs(folder: Path) -> dict[str, Any]:
    """What one round cost and made; None for what its kind of feedback does not need."""
    drawn = _counts(folder / "paths.jsonl")
    labels = _counts(folder / "labels.jsonl")
    pairs = _counts(folder / "pairs.jsonl")
    held_out = _json(folder / "prm" / "manifest.json").get("eval", {})
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


def _counts(file: Path) -> dict[str, Any]:
    return dict((read_manifest(str(file)) or {}).get("counts", {}))


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
