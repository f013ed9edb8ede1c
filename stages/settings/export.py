"""In which form lines are written for other tools.

PairFormSettings(form="ms-swift")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evals.errors import UsageError
from stages.settings.declare import setting
from stages.settings.labels import LABELS, LabelKind

_TEMPLATE = "Prompt template: auto (the task's first; for ms-swift chat), chat, or one of the task's."


@dataclass(frozen=True)
class StepwiseSettings:
    """How labelled paths are written.

    Raises:
        UsageError: an unknown kind of labels, or one that the form cannot hold.
    """

    labels: str = setting("hard", f"Kind of labels: {LABELS}")
    template: str = setting("auto", "Prompt template of trl: auto (the task's first), chat, or one of the task's.")
    form: Literal["trl", "openrlhf", "math-shepherd", "openr", "rlhflow", "prm800k"] = setting(
        "trl", "Form of a line: trl is prompt, completions and labels; the others hold the bare question."
    )

    def __post_init__(self) -> None:
        kind = LabelKind.parse(self.labels)
        if kind.name in ("soft", "advantage") and self.form not in ("trl", "openrlhf"):
            raise UsageError(f"--form {self.form} holds + and -, and no shares", "Take --form trl or openrlhf.")


@dataclass(frozen=True)
class PairFormSettings:
    """How preference pairs are written. `template` says how the prompt of a pair of a problem is built anew."""

    form: Literal["trl", "openrlhf", "ms-swift"] = setting(
        "trl", "Form of a line: trl and openrlhf have prompt, chosen and rejected; ms-swift has messages."
    )
    template: str = setting("auto", _TEMPLATE)


@dataclass(frozen=True)
class SftFormSettings:
    """How solutions and demonstrations are written."""

    form: Literal["trl", "openrlhf", "ms-swift"] = setting(
        "trl", "Form of a line: prompt and completion or messages (trl), input and output (openrlhf), messages."
    )
    template: str = setting("auto", _TEMPLATE)
