"""Which rule decides whether an answer is right."""

from __future__ import annotations

from dataclasses import dataclass

from evals.rules import AnswerRule
from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class AnswerSettings:
    """The rule that `correct`, labels and rewards follow, wherever an answer is read. Programs are run instead."""

    answer_rule: AnswerRule = setting(
        "robust",
        "How an answer is read and compared: robust; strict ('#### N') and flexible (the last number), as "
        "lm-evaluation-harness has them; paper ('The answer is N', equal as floats); math-verify (formulas, "
        "by SymPy; an extra package).",
        panel=Panel.MORE,
        source="arXiv 2412.08393: paper",
    )
