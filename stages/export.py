"""Labelled lines in the field's stepwise format, which other trainers of reward models (and `train-prm`) read.

    {"prompt": "Question: ...\\nAnswer:\\n", "completions": ["first step", "second step"], "labels": [true, false],
     "id": "chain/train/0#3"}

Labels are true or false (hard), shares (soft, advantage), or null where unknown: steps that the draws do not decide,
and steps after the first wrong one that a person marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem, StepLabel
from evals.tasks import check_steps
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.models.templates import exported_prompt
from stages.runs.whole_file import WholeFile
from stages.settings.labels import LabelKind, StepwiseSettings
from stages.training.step_targets import path_targets


def export_stepwise(
    source: str,
    output: str,
    bad: BadLines,
    settings: StepwiseSettings,
    *,
    overwrite: bool = False,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Write every labelled path as one line of the stepwise format.

    Args:
        source: lines with paths.
        bad: receives the bad lines.
        settings: which labels, and which prompt ("chat": messages; "auto": the task's first template).

    Returns:
        Counts: paths and steps written, what was left out and why, and bad lines.

    Raises:
        UsageError: the output belongs to another run.
        DataError: there is nothing to write; or a bad line, if `bad` is strict.
    """
    kind = LabelKind.parse(settings.labels)
    counts: Counter[str] = Counter({"paths": 0, "steps": 0})

    def rows() -> Iterator[dict[str, Any]]:
        for problem in read_problems(source, bad, check=check_steps):
            yield from _rows(problem, kind, settings.template, counts)
        if not counts["paths"]:
            raise bad.first or DataError("no path is labelled", "Run sipf simulate on the lines first.")

    options = {"format": "stepwise", **asdict(settings)}
    return WholeFile("export", source, output, options, overwrite, manifest).write(rows(), counts, bad).summary()


def _rows(problem: Problem, kind: LabelKind, template: str, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for path in problem.paths:
        if not path.steps:
            counts["left out: no steps"] += 1
            continue
        labels = step_labels(path, kind, problem.root)
        if labels is None:
            counts["left out: not labelled"] += 1
            continue
        counts["paths"] += 1
        counts["steps"] += len(labels)
        counts["steps without a label"] += labels.count(None)
        yield {
            "prompt": exported_prompt(problem, template), "completions": path.steps, "labels": labels, "id": path.id,
        }  # fmt: skip


def step_labels(path: Path, kind: LabelKind, root: StepLabel | None = None) -> list[bool | float | None] | None:
    """One label per step, None where it is not known; None for a path without labels.

    A person's first wrong step says that the steps before it are right, and nothing about those after it.
    """
    if path.labels is not None:
        targets = path_targets(kind, path.labels, root)
        return [value if value is None or kind.name in ("soft", "advantage") else bool(value) for value in targets]
    if path.first_error is None:
        return None
    if path.first_error < 0:
        return [True] * len(path.steps)
    after = len(path.steps) - path.first_error - 1
    return [*[True] * path.first_error, False, *[None] * after]
