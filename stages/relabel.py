"""relabel: other labels from the rollouts that are kept on the lines, without a model.

    {"k": 8, "delta": 0, "draws": 8, "hits": 2, ...}  --delta 2-->  {"k": 8, "delta": 2, "draws": 8, "hits": 2, ...}
    {"k": 8, "delta": 0, "draws": 8, "hits": 2, ...}  --want advantage-->  {..., "hits": 2, "value": 0.375}

`--want` names a kind of labels (`stages.training.step_targets`). A threshold is a `delta`; progress and advantage,
which compare a step with the one before it, are written as `value`, and the step's verdict follows it.

A step's draws are numbered, so its first k are those that a run with that k would have drawn. A label that they do not
decide is refused, and the message names the strategy that would give it: a step that `exact` settled at its second draw
has no soft label (two draws that end in a success are not a fair sample), and no label at another delta. Inferred
labels are inferred again from the new ones. The rollouts themselves stay on the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evals.errors import DataError
from evals.records import LIVE, Problem, StepLabel
from evals.tasks import check_paths, task_of
from stages.counts import LABELS, Tally
from stages.runs.stage import Stage
from stages.settings.labels import LabelKind, RelabelSettings
from stages.strategies.inference import infer, with_inference
from stages.strategies.prefixes import prefixes
from stages.training.step_targets import delta_of, path_targets

COMPARED = ("progress", "advantage")
"""The kinds that compare a step with the one before it."""
UNDECIDED = "Write such steps as undecided with --keep-undecided."


@dataclass(frozen=True)
class Relabelling(Stage):
    """Labels one problem per call again; nothing is drawn."""

    settings: RelabelSettings
    name: ClassVar[str] = "relabel"

    def check(self, problem: Problem) -> None:
        """Refuse a line whose draws do not decide the wanted labels.

        Raises:
            DataError: `paths.N.labels.J: ...`.
        """
        check_paths(problem)
        self._relabelled(problem.model_copy(deep=True))

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Labelled steps."""
        return {"steps": sum(len(path.labels or []) for path in problem.paths)}

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """The problem with its new labels; counts them by kind, and the hard ones that have changed."""
        before = [label.hard for path in problem.paths for label in path.labels or []]
        self._relabelled(problem)
        after = [label for path in problem.paths for label in path.labels or []]
        tally.count("steps", len(after))
        tally.count("labels changed", sum(old != new.hard for old, new in zip(before, after, strict=True)))
        tally.count("right steps", sum(label.hard is True for label in after))
        tally.count("soft labels", sum(label.soft is not None for label in after))
        for label in after:
            tally.count(LABELS.of(label.kind))
        return [problem]

    def _relabelled(self, problem: Problem) -> None:
        """Give the paths their new labels."""
        kind = LabelKind.parse(self.settings.want)
        labelled = [(number, path) for number, path in enumerate(problem.paths) if path.labels]
        found = prefixes(task_of(problem), [path for _, path in labelled])
        if problem.root is not None:
            problem.root = redraw(problem.root, self.settings, "root")
            if not self.settings.keep_undecided and kind.name not in COMPARED:
                (target,) = path_targets(kind, [problem.root])
                _refuse(problem.root, target, self.settings, "root")
        rows = [
            [
                redraw(label, self.settings, f"paths.{number}.labels.{step}")
                for step, label in enumerate(path.labels or [])
            ]
            for number, path in labelled
        ]
        trusted = {
            prefix
            for (_, path), row in zip(labelled, found.rows, strict=True)
            for label, prefix in zip(path.labels or [], row, strict=True)
            if label.inferred == "trusted"
        }
        inferred = infer(found.rows, [[label.hard for label in row] for row in rows], trusted)
        for (number, path), row, texts in zip(labelled, rows, found.rows, strict=True):
            path.labels = [with_inference(new, inferred.get(text)) for new, text in zip(row, texts, strict=True)]
            targets = path_targets(kind, path.labels, problem.root)
            for step, (label, target) in enumerate(zip(path.labels, targets, strict=True)):
                if not self.settings.keep_undecided:
                    _refuse(label, target, self.settings, f"paths.{number}.labels.{step}")
                if kind.name in COMPARED and not label.gold:
                    label.value = target


def redraw(label: StepLabel, settings: RelabelSettings, where: str) -> StepLabel:
    """The label that a step's own draws give under other settings. Inferences are left out, except that a step given up
    early stays so if k is no higher and delta no lower. A label that came from elsewhere stays as it is.

    Raises:
        DataError: an impossible k or delta, or rollouts that were not kept.
    """
    if label.given is not None:
        return label
    k = label.k if settings.k is None else settings.k
    kind = LabelKind.parse(settings.want)
    delta = label.delta if settings.delta is None else settings.delta
    if kind.name == "threshold":
        delta = delta_of(kind.threshold or 0.0, k)
    if delta >= k:
        raise DataError(f"{where}: with delta {delta} of k {k} no step could be right", "Give a --delta below --k.")
    made = max(len(label.rollouts), label.draws)
    draws = min(made, k)
    if len(label.rollouts) >= draws:
        hits = sum(rollout.correct for rollout in label.rollouts[:draws])
    elif draws == label.draws:
        hits = label.hits
    else:
        raise DataError(f"{where}: its rollouts were not kept", "Only --delta can be changed without them.")
    new = label.model_copy(
        update={"k": k, "delta": delta, "draws": draws, "hits": hits, "inferred": None, "value": None}
    )
    new.__pydantic_fields_set__.discard("value")
    new.settled = label.gold or hits > delta or hits + k - draws <= delta
    if not new.settled and label.inferred == "early-stop" and delta >= label.delta and k <= label.k:
        new.inferred = "early-stop"
    else:
        new.__pydantic_fields_set__.discard("inferred")
    return new


def _refuse(label: StepLabel, target: float | None, settings: RelabelSettings, where: str) -> None:
    """Raise DataError if a label is not what is wanted, with the strategy that would give it."""
    if target is not None:
        return
    if settings.want == "soft":
        how = f"called {'right' if label.inferred in LIVE else 'wrong'} without all its draws" if label.inferred else (
            f"settled after {label.draws} of {label.k} draws" if label.settled else f"drawn {label.draws} times"
        )  # fmt: skip
        raise DataError(f"{where}: {how}, so it has no unbiased soft label (--strategy brute gives one)")
    if LabelKind.parse(settings.want).name in COMPARED:
        raise DataError(
            f"{where}: its rollouts and those before it (of the bare question before a first step) do not decide "
            f"{settings.want} (simulate --strategy brute --root does)",
            UNDECIDED,
        )
    raise DataError(
        f"{where}: {label.draws} of {label.k} draws, {label.hits} of them right, do not decide delta {label.delta} "
        f"(simulate --strategy exact --delta {label.delta} does, brute every delta at once)",
        UNDECIDED,
    )
