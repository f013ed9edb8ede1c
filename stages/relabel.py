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
from evals.records import LIVE, Path, Problem, StepLabel
from evals.tasks import check_paths, task_of
from stages.counts import LABELS, Tally
from stages.runs.stage import Stage
from stages.settings.labels import LabelKind, RelabelSettings
from stages.strategies.inference import infer
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
        problem.prepared = self._labels(problem)

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Labelled steps."""
        return {"steps": sum(len(path.labels or []) for path in problem.paths)}

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """The problem with its new labels; counts them by kind, and the hard ones that have changed."""
        made: _Labels = problem.prepared or self._labels(problem)
        if made.root is not None:
            problem.root = made.root
        before: list[bool | None] = []
        for path, labels in zip(made.paths, made.labels, strict=True):
            before += [label.hard for label in path.labels or []]
            path.labels = labels
        after = [label for labels in made.labels for label in labels]
        tally.count("steps", len(after))
        tally.count("labels changed", sum(old != new.hard for old, new in zip(before, after, strict=True)))
        tally.count("right steps", sum(label.hard is True for label in after))
        tally.count("soft labels", sum(label.soft is not None for label in after))
        for label in after:
            tally.count(LABELS.of(label.kind))
        return [problem]

    def _labels(self, problem: Problem) -> _Labels:
        """The new labels; the problem stays as it is."""
        kind = LabelKind.parse(self.settings.want)
        labelled = [(number, path) for number, path in enumerate(problem.paths) if path.labels]
        found = prefixes(task_of(problem), [path for _, path in labelled])
        root = None
        if problem.root is not None:
            root = _redrawn([problem.root], self.settings, kind, "root")[0]
            if not self.settings.keep_undecided and kind.name not in COMPARED:
                (target,) = path_targets(kind, [root])
                if target is None:
                    raise _undecided(root, self.settings, kind, "root")
        rows = [
            _redrawn(path.labels or [], self.settings, kind, f"paths.{number}.labels.{{}}") for number, path in labelled
        ]
        trusted = {
            prefix
            for (_, path), row in zip(labelled, found.rows, strict=True)
            for label, prefix in zip(path.labels or [], row, strict=True)
            if label.inferred == "trusted"
        }
        inferred = infer(found.rows, [[label.hard for label in row] for row in rows], trusted)
        for (number, _), row, texts in zip(labelled, rows, found.rows, strict=True):
            for new, text in zip(row, texts, strict=True):
                if not new.settled and text in inferred:
                    new.inferred = inferred[text]
            for step, (label, target) in enumerate(zip(row, path_targets(kind, row, root), strict=True)):
                if target is None and not self.settings.keep_undecided:
                    raise _undecided(label, self.settings, kind, f"paths.{number}.labels.{step}")
                if kind.name in COMPARED and not label.gold:
                    label.value = target
        return _Labels(root, found.paths, rows)


@dataclass(frozen=True, slots=True)
class _Labels:
    """New labels: of the bare question, if it had one, and of the steps of each labelled path."""

    root: StepLabel | None
    paths: list[Path]
    labels: list[list[StepLabel]]


def _redrawn(labels: list[StepLabel], settings: RelabelSettings, kind: LabelKind, where: str) -> list[StepLabel]:
    """The labels that the steps' own draws give under other settings.

    Args:
        where: the labels' place, with `{}` for the number of the label.
    """
    made = []
    for step, label in enumerate(labels):
        try:
            made.append(redraw(label, settings, kind))
        except DataError as error:
            raise error.at(where.format(step)) from error
    return made


def redraw(label: StepLabel, settings: RelabelSettings, kind: LabelKind) -> StepLabel:
    """The label that a step's own draws give under other settings, as a copy. Inferences are left out, except that a
    step given up early stays so if k is no higher and delta no lower. A label that came from elsewhere stays as it is.

    Args:
        kind: the kind of labels that the settings want.

    Raises:
        DataError: an impossible k or delta, or rollouts that were not kept.
    """
    new = label.model_copy()
    if label.given is not None:
        return new
    k = label.k if settings.k is None else settings.k
    delta = label.delta if settings.delta is None else settings.delta
    if kind.name == "threshold":
        delta = delta_of(kind.threshold or 0.0, k)
    if delta >= k:
        raise DataError(f"with delta {delta} of k {k} no step could be right", "Give a --delta below --k.")
    made = max(len(label.rollouts), label.draws)
    draws = min(made, k)
    if len(label.rollouts) >= draws:
        hits = sum([rollout.correct for rollout in label.rollouts[:draws]])
    elif draws == label.draws:
        hits = label.hits
    else:
        raise DataError("its rollouts were not kept", "Only --delta can be changed without them.")
    settled = label.gold or hits > delta or hits + k - draws <= delta
    early = not settled and label.inferred == "early-stop" and delta >= label.delta and k <= label.k
    # past pydantic, whose setters take as long as all the rest: there are a dozen labels on a line
    new.__dict__.update(
        k=k, delta=delta, draws=draws, hits=hits, settled=settled, value=None, inferred="early-stop" if early else None
    )
    fields = new.__pydantic_fields_set__
    fields.update(("k", "delta", "draws", "hits", "settled"))
    fields.discard("value")
    if early:
        fields.add("inferred")
    else:
        fields.discard("inferred")
    return new


def _undecided(label: StepLabel, settings: RelabelSettings, kind: LabelKind, where: str) -> DataError:
    """The error for a label that is not what is wanted, with the strategy that would give it."""
    if settings.want == "soft":
        how = f"called {'right' if label.inferred in LIVE else 'wrong'} without all its draws" if label.inferred else (
            f"settled after {label.draws} of {label.k} draws" if label.settled else f"drawn {label.draws} times"
        )  # fmt: skip
        return DataError(f"{where}: {how}, so it has no unbiased soft label (--strategy brute gives one)")
    if kind.name in COMPARED:
        return DataError(
            f"{where}: its rollouts and those before it (of the bare question before a first step) do not decide "
            f"{settings.want} (simulate --strategy brute --root does)",
            UNDECIDED,
        )
    return DataError(
        f"{where}: {label.draws} of {label.k} draws, {label.hits} of them right, do not decide delta {label.delta} "
        f"(simulate --strategy exact --delta {label.delta} does, brute every delta at once)",
        UNDECIDED,
    )
