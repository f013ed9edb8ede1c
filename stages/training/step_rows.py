"""From labelled lines to what a reward model is trained on: token ids, the position of each step's end, and a target.

Problems with labelled paths, the field's stepwise format, and the forms of `evals.datasets.step_labels`

    {"prompt": "Question: ...", "completions": ["first step", "second step"], "labels": [true, false]}

Where a label of a file is -1, all of them are 1, -1, or 0 for neither; else 1 is right and 0 is wrong.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from evals.datasets.step_labels import is_foreign
from evals.datasets.step_labels import problem as imported
from evals.errors import DataError
from evals.forms import refusal
from evals.records import Path, Problem, Record, StepLabel
from evals.tasks import check_problem, task_of
from evals.tasks.base import step_ends
from stages.files.inputs import bare_name
from stages.files.reading import BadLines, Located, located, read_all
from stages.files.records import RecordReader
from stages.models.prompts import Prompter
from stages.settings.labels import LabelKind
from stages.training.given_prompts import Kind, kind_of_prompt
from stages.training.step_targets import GOLD, path_targets, value_targets

_SIGNS = {"+": True, "-": False}
BRUTE = "Simulate again with --strategy brute, which makes all draws."


class Stepwise(Record):
    """One line of the stepwise format. A label is true, false, a share in [0, 1], or null where nobody knows; in a file
    of `signed` lines it is 1, 0 or -1."""

    model_config = ConfigDict(extra="allow", strict=True)

    prompt: str | list[dict[str, Any]]
    completions: list[str] = Field(min_length=1)
    labels: list[bool | float | None]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.labels) != len(self.completions):
            raise ValueError(f"{len(self.labels)} labels for {len(self.completions)} completions")
        if any(label is not None and label != -1 and not 0 <= label <= 1 for label in self.labels):
            raise ValueError("labels: a label is true, false, a share in [0, 1], or 1, 0 (neither) and -1")
        return self

    def signed(self) -> Self:
        """The line of a file whose labels are 1, -1, and 0 for neither."""
        if any(label not in (None, 1, 0, -1) for label in self.labels):
            raise DataError("labels: has a share beside labels of 1 and -1")
        neither = [label is None or (label == 0 and label is not False) for label in self.labels]
        found = [None if unknown else (label or 0) > 0 for unknown, label in zip(neither, self.labels, strict=True)]
        return self.model_copy(update={"labels": found})


Example = Problem | Stepwise


@dataclass(frozen=True, slots=True)
class StepRow:
    """One path as a reward model sees it. A target is the chance that the step is right; None: unknown, no loss."""

    group: str
    """Problem id; rows of one problem are never split between training and held-out."""
    ids: list[int]
    positions: list[int]
    targets: list[float | None]
    inferred: list[str | None] | None = None
    """How each target was inferred, None where it was drawn; None as a whole where no label of this kind is used."""
    gold: bool = False
    """A gold solution: right in every step by definition, not by what a model wrote and a simulator found."""


def parse_example(row: Mapping[str, Any], identity: str = "line") -> Example:
    """A parsed line of any kind.

    Args:
        identity: names a problem of the forms that have no id.

    Raises:
        DataError: `field: what is wrong`, or what the line looks like instead.
    """
    if "completions" in row:
        labels = row.get("labels")
        if isinstance(labels, list) and ("+" in labels or "-" in labels):
            row = {**row, "labels": [_SIGNS.get(label, label) if isinstance(label, str) else label for label in labels]}
        return Stepwise.from_row(row)
    if is_foreign(row):
        return imported(row, identity)
    try:
        problem = Problem.from_row(row)
    except DataError as error:
        raise refusal(row, error, "sipf train-prm") from error
    if any(path.split == "given" for path in problem.paths):
        task_of(problem)  # imported steps bring their labels along, and often no right answer
    else:
        check_problem(problem)
    for path in problem.paths:
        step_ends(task_of(problem), path)
    return problem


def kind_of_example(line: Example) -> Kind:
    """What a line is prompted by."""
    return "problem" if isinstance(line, Problem) else kind_of_prompt(line.prompt)


def read_examples(source: str, *, strict: bool = False) -> tuple[Located[Example], list[DataError]]:
    """Read a file of lines of any kind.

    Returns:
        The good lines, and what is wrong with each bad one (an id that stands twice is bad).

    Raises:
        DataError: the first bad line, with `strict`; or there is no good one.
    """
    stem = bare_name(source)
    reader: RecordReader[Example] = RecordReader(
        source,
        lambda row, place: parse_example(row, f"{stem}/{place.line}"),
        id_of=lambda example: example.id if isinstance(example, Problem) else None,
    )
    examples, faults = read_all(reader, strict=strict)
    if any(isinstance(line, Stepwise) and -1 in line.labels for line in examples):
        bad = BadLines(strict=strict, tell=faults.append)
        examples = _signed(examples, bad)
        bad.refuse_nothing(examples)
    return examples, faults


def _signed(examples: Located[Example], bad: BadLines) -> Located[Example]:
    made: Located[Example] = Located()
    for place, line in located(examples):
        try:
            made.append(line.signed() if isinstance(line, Stepwise) else line)
            made.places.append(place)
        except DataError as error:
            bad.add(error.at(place))
    return made


def step_rows(
    examples: Iterable[Example],
    prompter: Prompter,
    kind: LabelKind,
    max_length: int,
    outcome: bool = False,
    *,
    bad: BadLines | None = None,
) -> tuple[list[StepRow], Counter[str]]:
    """What can be trained on, in input order.

    Args:
        examples: problems with labelled paths, or stepwise lines.
        kind: which targets are wanted.
        max_length: in tokens; longer paths are left out.
        outcome: copy the path's outcome to every step instead (the ORM baseline).
        bad: receives the lines that cannot be used; None: the first one is raised.

    Returns:
        Rows, and counts: "paths", "steps", how many of these have an inferred label ("inferred steps: after-dead",
        ...), steps left out ("undecided steps", "steps inside the next step's token"), and paths left out by reason.

    Raises:
        DataError: soft targets are asked for and a label has none, or a step does not stand in its text.
    """
    return located_step_rows(
        located(examples), prompter, kind, max_length, outcome, BadLines(strict=True) if bad is None else bad
    )


def located_step_rows(
    examples: Iterable[tuple[str, Example]],
    prompter: Prompter,
    kind: LabelKind,
    max_length: int,
    outcome: bool,
    bad: BadLines,
) -> tuple[list[StepRow], Counter[str]]:
    """`step_rows` of lines with their places."""
    rows: list[StepRow] = []
    counts: Counter[str] = Counter(paths=0, steps=0)
    for place, example in examples:
        try:
            if isinstance(example, Stepwise):
                found = list(_stepwise(example, prompter, kind, outcome))
            else:
                found = list(_problem(example, prompter, kind, outcome))
        except DataError as error:
            bad.add(error.at(place))
            continue
        for row in found:
            if isinstance(row, str):
                counts[row] += 1
            elif len(row.ids) > max_length:
                counts["too long"] += 1
            else:
                counts["undecided steps"] += row.targets.count(None)
                for name, target in zip(row.inferred, row.targets, strict=True) if row.inferred else ():
                    if name is not None and target is not None:
                        counts[f"inferred steps: {name}"] += 1
                counts["steps inside the next step's token"] += _one_target_a_token(row)
                known = sum(target is not None for target in row.targets)
                if known:
                    counts["paths"] += 1
                    counts["steps"] += known
                    rows.append(row)
                else:
                    counts["no decided step"] += 1
    return rows, counts


def _one_target_a_token(row: StepRow) -> int:
    """Where two steps end in one token, only the later one can be labelled there; returns how many were not."""
    lost = 0
    for j in range(len(row.positions) - 1):
        if row.positions[j] == row.positions[j + 1] and row.targets[j] is not None:
            row.targets[j] = None
            lost += 1
    return lost


def _problem(problem: Problem, prompter: Prompter, kind: LabelKind, outcome: bool) -> Iterable[StepRow | str]:
    for path in problem.paths:
        if not path.steps:
            yield "no steps"
            continue
        targets: list[float | None]
        inferred: list[str | None] | None = None
        if path.source == "gold":
            targets = [1.0] * len(path.steps) if outcome else path_targets(kind, [GOLD] * len(path.steps), problem.root)
        elif outcome:
            if path.correct is None:
                yield "no outcome"
                continue
            targets = [float(path.correct)] * len(path.steps)
        elif path.labels is None:
            yield "no labels"
            continue
        else:
            targets = path_targets(kind, path.labels, problem.root)
            _refuse_biased(kind, path, problem.root)
            inferred = [label.inferred for label in path.labels]
        ids, positions = prompter.step_positions(problem, path.text, step_ends(task_of(problem), path))
        # Published labels have one line per solution: those of a question belong together all the same.
        group = problem.question if path.split == "given" else problem.id
        yield StepRow(group, ids, positions, targets, inferred, path.source == "gold")


def _refuse_biased(kind: LabelKind, path: Path, root: StepLabel | None) -> None:
    """Refuse a step whose share of right rollouts is asked for and not known.

    Raises:
        DataError: `id: labels.N: ...`, or `id: root: ...`.
    """
    if kind.name not in ("soft", "advantage"):
        return
    named = [(f"labels.{j}", label) for j, label in enumerate(path.labels or [])]
    for where, label in [*named, *([("root", root)] if kind.name == "advantage" and root is not None else [])]:
        if label.soft is not None:
            continue
        if label.given is not None:
            raise DataError(f"{path.id}: {where}: given without draws, so it has no soft label", "Use hard labels.")
        how = f"inferred ({label.inferred})" if label.inferred else "settled" if label.settled else "left undecided"
        raise DataError(
            f"{path.id}: {where}: {how} after {label.draws} of {label.k} draws, so it has no unbiased soft label", BRUTE
        )


def _stepwise(line: Stepwise, prompter: Prompter, kind: LabelKind, outcome: bool) -> Iterable[StepRow | str]:
    if outcome:
        yield "no outcome"
        return
    text, ends = "", []
    for step in line.completions:
        text += ("\n" if text else "") + step
        ends.append(len(text))
    ids, positions = prompter.step_positions_raw(line.prompt, text, ends)
    group = line.prompt if isinstance(line.prompt, str) else json.dumps(line.prompt)
    labels = line.signed().labels if -1 in line.labels else line.labels
    yield StepRow(group, ids, positions, value_targets(kind, labels))
