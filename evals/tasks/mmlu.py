"""MMLU's mathematics: multiple choice, answered by likelihood, by a letter, or as a free number.

    {"id": "mmlu/test/abstract_algebra/0", "task": "mmlu_math", "subject": "abstract_algebra", "mode": "letter",
     "question": "Find the degree ...", "choices": ["0", "4", "2", "6"], "answer": "B", "shots": [...]}

Modes: `loglikelihood` (the likeliest of " A" to " D" after five dev items, as lm-evaluation-harness measures it),
`letter` (a letter is written) and `number` (the question alone; `answer` is the right choice's number).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from evals.errors import DataError
from evals.reading import letters
from evals.records import Problem
from evals.rules import AnswerRule
from evals.split import Split
from evals.tasks.base import Chooser, Verdict
from evals.tasks.math import PAPER, PLAIN, MathTask

Mode = Literal["loglikelihood", "letter", "number"]


@dataclass(frozen=True)
class MmluTask(Chooser):
    """A task of `evals.tasks.base.Task`. As a number it is a math problem; with letters the choices are asked along."""

    name: str = "mmlu_math"
    templates: dict[str, str] = field(default_factory=lambda: {"paper": PAPER, "plain": PLAIN})
    max_tokens: int = 512
    stop: tuple[str, ...] = ("Question:", "\nQ:", "### Question")
    math: MathTask = field(default_factory=lambda: MathTask("mmlu_math"))

    def adapted(self, problem: Problem) -> MmluTask:
        """The same for every problem."""
        return self

    def check(self, problem: Problem) -> None:
        """Raise DataError if mode, choices or answer do not fit together."""
        mode = mode_of(problem)
        if mode == "number":
            self.math.check(problem)
        elif problem.choices is None or len(problem.choices) != len(letters.LETTERS):
            raise DataError("choices: must be four texts", "Make the lines with sipf data mmlu.")
        elif problem.answer is None or problem.answer not in letters.LETTERS or len(problem.answer) != 1:
            raise DataError("answer: must be a letter A to D", "Make the lines with sipf data mmlu.")

    def question(self, problem: Problem) -> str:
        """The question, with the four choices under it where a letter is asked for."""
        if mode_of(problem) == "number":
            return problem.question
        return asked(problem.question, problem.choices or [])

    def standard(self, problem: Problem) -> str:
        """Letters are asked for after worked examples, unless another prompt is named."""
        return "auto" if mode_of(problem) == "number" else "lm-eval"

    def continuations(self, problem: Problem) -> list[str]:
        """The four answers whose likelihoods are compared; none where the answer is written."""
        return [f" {letter}" for letter in letters.LETTERS] if mode_of(problem) == "loglikelihood" else []

    def gold_text(self, problem: Problem) -> str | None:
        """`The answer is B` (or the number): MMLU has no solutions."""
        return None if problem.answer is None else f"The answer is {problem.answer}"

    def split(self, text: str) -> Split:
        """The lines before the answer line; a line that is a letter and nothing else is an answer line, too."""
        split = self.math.split(text)
        end = next((j for j, step in enumerate(split.steps) if letters.is_bare(step)), len(split.steps))
        return Split(split.steps[:end], split.ends[:end])

    def judge(self, problem: Problem, text: str, rule: AnswerRule = "robust") -> Verdict:
        """Read the letter, or the number, under a rule, which decides `correct`."""
        if mode_of(problem) == "number":
            return self.math.judge(problem, text, rule)
        self.check(problem)
        letter, match = letters.match(problem.answer or "", text, problem.choices or [], rule, problem.question)
        return Verdict(letter, match.under(rule), match)

    def check_rule(self, problem: Problem, rule: AnswerRule) -> None:
        """Raise DataError if the right answer is no number and the rule compares numbers, or a letter and the rule
        compares mathematics."""
        if mode_of(problem) == "number":
            self.math.check_rule(problem, rule)
        elif rule == "math-verify":
            raise DataError("mode: --answer-rule math-verify reads no letters", "Take --answer-rule robust.")

    def signature(self, text: str) -> str:
        return self.math.signature(text)

    def false_equation(self, text: str) -> str | None:
        return self.math.false_equation(text)


def mode_of(problem: Problem) -> Mode:
    """The line's mode.

    Raises:
        DataError: it has none that is known.
    """
    mode: Any = (problem.model_extra or {}).get("mode")
    modes: tuple[Mode, ...] = get_args(Mode)
    if mode not in modes:
        raise DataError(f"mode: must be one of {', '.join(modes)}", "Make the lines with sipf data mmlu.")
    return modes[modes.index(mode)]


def asked(question: str, choices: Sequence[str]) -> str:
    """A question with its choices, `A. ...` to `D. ...`, a line each."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters.LETTERS, choices, strict=True)]
    return "\n".join([question.strip(), *lines])


MMLU = MmluTask()
