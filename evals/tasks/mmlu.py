"""MMLU's mathematics: multiple choice, answered by likelihood, by a letter, or as a free number.

    {"id": "mmlu/test/abstract_algebra/0", "task": "mmlu_math", "subject": "abstract_algebra", "mode": "letter",
     "question": "Find the degree ...", "choices": ["0", "4", "2", "6"], "answer": "B", "shots": [...]}

The paper's MMLU_Math is 354 free-form numeric items whose list is not published, so subjects and mode are settings.
Modes: `loglikelihood` (the likeliest of " A" to " D" after five dev items, as lm-evaluation-harness measures it),
`letter` (a letter is written) and `number` (the question alone; `answer` is the right choice's number, and items whose
right choice is no number are left out and counted). A few items have choices that a spreadsheet damaged upstream
(`7-Mar` for 3/7); they are kept with letters, as published figures keep them, and left out as numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from evals.errors import DataError
from evals.reading import letters, numbers
from evals.records import Problem, Shot
from evals.tasks.base import Split, Verdict
from evals.tasks.math import PAPER, PLAIN, MathTask

Mode = Literal["loglikelihood", "letter", "number"]
SUBJECTS = ("abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_mathematics")
"""848 test items; high_school_statistics (216) is not among them unless it is named."""
SHOTS = 5
_DAMAGED = re.compile(
    r"[0-9]{1,2}-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-[0-9]{2}|[0-9]{1,2}:0[0-9]"
)
_NUMERIC = re.compile(
    r"(?:about[ ]|(?:[a-z]|\u03b8)[ ]{0,2}=[ ]{0,3})?"
    r"(?P<number>[-\u2212]?[$\u00a3\u20ac]?[ ]?(?:[0-9][0-9., ]*(?:/[0-9]+)?|\.[0-9]+|\\[dt]?frac\{[0-9]+\}\{[0-9]+\}))"
    r"(?:[ ]?(?:%|\u00b0[CF]?)|[ ](?!repeating)[A-Za-z./-]+(?:[ ][A-Za-z]+){0,3}\.?)?[ ]?\.?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MmluTask:
    """A task of `evals.tasks.base.Task`. As a number it is a math problem; with letters the choices are asked along."""

    name: str = "mmlu_math"
    templates: dict[str, str] = field(default_factory=lambda: {"paper": PAPER, "plain": PLAIN})
    max_tokens: int = 512
    stop: tuple[str, ...] = ("Question:", "\nQ:", "### Question")
    math: MathTask = field(default_factory=lambda: MathTask("mmlu_math"))

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

    def judge(self, problem: Problem, text: str) -> Verdict:
        """Read the letter, or the number; the robust rule decides."""
        if mode_of(problem) == "number":
            return self.math.judge(problem, text)
        self.check(problem)
        letter, match = letters.match(problem.answer or "", text, problem.choices or [])
        return Verdict(letter, match.robust, match)

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
    if mode not in get_args(Mode):
        raise DataError(f"mode: must be one of {', '.join(get_args(Mode))}", "Make the lines with sipf data mmlu.")
    return mode  # type: ignore[no-any-return]  # one of the literals, as just checked


def asked(question: str, choices: Sequence[str]) -> str:
    """A question with its choices, `A. ...` to `D. ...`, a line each."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters.LETTERS, choices, strict=True)]
    return "\n".join([question.strip(), *lines])


def problems(
    rows: Iterable[Sequence[str]],
    subject: str,
    split: str,
    mode: Mode,
    dev: Sequence[Sequence[str]],
    counts: Counter[str],
) -> Iterator[Problem]:
    """The rows of a subject (question, four choices, letter) as problems `mmlu/<split>/<subject>/<row>`.

    Args:
        dev: rows of the dev split; the first five become worked examples where letters are asked for.
        counts: gets, by reason, the rows that have no place in the mode, and the damaged ones that are kept.

    Raises:
        DataError: `subject row N: what is wrong`.
    """
    shots = shots_of(dev, subject, mode)
    for n, row in enumerate(rows):
        try:
            made = problem_of(row, n, subject, split, mode, shots, counts)
        except DataError as error:
            raise error.at(f"{subject} row {n}") from error
        if made is not None:
            yield made


def problem_of(
    row: Sequence[str], n: int, subject: str, split: str, mode: Mode, shots: Sequence[Shot], counts: Counter[str]
) -> Problem | None:
    """A subject's n-th row as a problem, or None if it has no place in the mode; see `problems`.

    Raises:
        DataError: what is wrong with the row.
    """
    question, *choices, letter = _checked(row)
    right = choices[letters.LETTERS.index(letter)]
    damaged = any(_DAMAGED.fullmatch(choice.strip()) for choice in choices)
    fields: dict[str, Any] = {
        "id": f"mmlu/{split}/{subject}/{n}", "task": "mmlu_math", "question": question, "subject": subject,
        "mode": mode, "choices": choices, "answer": letter,
    }  # fmt: skip
    if mode == "number":
        value = None if damaged else free_number(right)
        if value is None:
            counts["left out: damaged by a spreadsheet" if damaged else "left out: right choice is no number"] += 1
            return None
        fields |= {"answer": value, "letter": letter}
    elif damaged:
        counts["kept though damaged by a spreadsheet"] += 1
    if shots:
        fields["shots"] = list(shots)
    return Problem.model_validate(fields)


def shots_of(dev: Sequence[Sequence[str]], subject: str, mode: Mode) -> list[Shot]:
    """The worked examples that go with a subject's problems; none where a number is asked for.

    Raises:
        DataError: `subject row N of dev: what is wrong`.
    """
    return [] if mode == "number" else [_shot(row, subject, n) for n, row in enumerate(dev[:SHOTS])]


def free_number(choice: str) -> str | None:
    """The number that a choice is, its unit left out; None if it is more or something else than one number."""
    found = _NUMERIC.fullmatch(choice.strip())
    value = numbers.number(found["number"]) if found else None
    return None if value is None else numbers.written(value)


def _checked(row: Sequence[str]) -> Sequence[str]:
    if len(row) != len(letters.LETTERS) + 2:
        raise DataError(f"{len(row)} fields instead of question, four choices and a letter")
    if len(row[-1]) != 1 or row[-1] not in letters.LETTERS:
        raise DataError(f"{row[-1]!r} is no letter A to D", "Is this the official MMLU file?")
    if not row[0].strip():
        raise DataError("the question is empty", "Is this the official MMLU file?")
    return row


def _shot(row: Sequence[str], subject: str, n: int) -> Shot:
    try:
        question, *choices, letter = _checked(row)
    except DataError as error:
        raise error.at(f"{subject} dev row {n}") from error
    return Shot(id=f"mmlu/dev/{subject}/{n}", question=asked(question, choices), answer=letter)


MMLU = MmluTask()
