"""Labelled lines in the field's stepwise format, which other trainers of reward models (and `train-prm`) read.

    {"prompt": "Question: ...\\nAnswer:\\n", "completions": ["first step", "second step"], "labels": [true, false],
     "id": "chain/train/0#3"}

Labels are true and false (hard), shares (soft), or null where nobody knows: steps that the draws made do not decide,
and steps behind the first wrong one that a person found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from evals.errors import DataError
from evals.records import Path, Problem
from stages.files.interrupts import catching_signals
from stages.files.lines import is_file, read_problems
from stages.files.manifest import hash_file, parent_of
from stages.files.outputs import atomic_lines
from stages.pairs import prompt_of
from stages.simulate import check_steps
from stages.training.step_rows import LabelKind


def export_stepwise(
    source: str, output: str, *, labels: str = "hard", template: str = "auto", strict: bool = False,
    overwrite: bool = False, manifest: str | None = None,
) -> tuple[dict[str, Any], list[DataError]]:  # fmt: skip
    """Write every labelled path as one line of the stepwise format.

    Args:
        source: lines with paths.
        labels: hard, soft, or threshold:T, as for `train-prm`.
        template: a template of the task for the prompt, "chat" for messages; "auto": the task's first.
        strict: stop at the first bad line.

    Returns:
        Counts (paths and steps written, what was left out and why), and the bad lines.

    Raises:
        UsageError: the output is something else.
        DataError: there is nothing to write, or a bad line with `strict`.
    """
    kind = LabelKind.parse(labels)
    bad: list[DataError] = []

    def on_bad(error: DataError) -> None:
        if strict:
            raise error
        bad.append(error)

    sha256 = hash_file(source) if is_file(source) else None
    identity = {
        "stage": "export", "options": {"format": "stepwise", "labels": labels, "template": template},
        "input": {"path": source, "sha256": sha256},
    }  # fmt: skip
    counts: Counter[str] = Counter({"paths": 0, "steps": 0})
    with (
        catching_signals() as flag,
        atomic_lines(output, identity=identity, overwrite=overwrite, manifest=manifest, flag=flag) as out,
    ):
        if out.already is not None:
            return {"already complete": True, **out.already.get("counts", {})}, bad
        for _, problem in read_problems(source, on_bad=on_bad, check=check_steps):
            for row in _rows(problem, kind, template, counts):
                out.write(row)
        if not counts["paths"]:
            raise bad[0] if bad else DataError("no path is labelled", "Run sipf simulate on the lines first.")
        counts["bad lines"] = len(bad)
        out.extra["counts"] = dict(counts)
        out.extra["parents"] = [parent_of(source, sha256)]
    return dict(counts), bad


def _rows(problem: Problem, kind: LabelKind, template: str, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for path in problem.paths:
        if not path.steps:
            counts["left out: no steps"] += 1
            continue
        labels = step_labels(path, kind)
        if labels is None:
            counts["left out: not labelled"] += 1
            continue
        counts["paths"] += 1
        counts["steps"] += len(labels)
        counts["steps without a label"] += labels.count(None)
        yield {
            "prompt": prompt_of(problem, template), "completions": path.steps, "labels": labels, "id": path.id,
        }  # fmt: skip


def step_labels(path: Path, kind: LabelKind) -> list[bool | float | None] | None:
    """A label a step, None where it is not known; None for a path that nobody has labelled.

    A person's first wrong step says that the steps before it are right, and nothing of those behind it.
    """
    if path.labels is not None:
        targets = [kind.target(label) for label in path.labels]
        return [value if value is None or kind.name == "soft" else bool(value) for value in targets]
    if path.first_error is None:
        return None
    if path.first_error < 0:
        return [True] * len(path.steps)
    behind = len(path.steps) - path.first_error - 1
    return [*[True] * path.first_error, False, *[None] * behind]
