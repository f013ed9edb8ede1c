"""MMLU's mathematics as its authors publish it: one CSV per subject and split; a row is question, four choices, letter.

    Find the degree ...,0,4,2,6,B  ->  {"id": "mmlu/test/abstract_algebra/0", "task": "mmlu_math", "answer": "B", ...}

The paper's MMLU_Math is 354 free-form numeric items whose list is not published, so subjects and mode are settings.
In number mode, items whose right choice is not a number are left out and counted. A few items have choices that a
spreadsheet damaged upstream (`7-Mar` for 3/7). With letters they are kept, as in published figures; as numbers they are
left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from evals.errors import DataError
from evals.reading import letters, numbers
from evals.records import Problem, Shot
from evals.tasks.mmlu import Mode, asked

SUBJECTS = ("abstract_algebra", "college_mathematics", "elementary_mathematics", "high_school_mathematics")
"""848 test items; high_school_statistics (216) is only included if it is named."""
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
        dev: rows of the dev split; the first five become worked examples if letters are asked for.
        counts: gets, by reason, the number of rows left out in this mode, and of damaged ones that are kept.

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
    """A subject's n-th row as a problem, or None if the mode leaves it out; see `problems`.

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
    """The worked examples for a subject's problems; none if a number is asked for.

    Raises:
        DataError: `subject row N of dev: what is wrong`.
    """
    if mode == "number":
        return []
    made = []
    for n, row in enumerate(dev[:SHOTS]):
        try:
            made.append(shot(row, subject, n))
        except DataError as error:
            raise error.at(f"{subject} dev row {n}") from error
    return made


def free_number(choice: str) -> str | None:
    """The number in a choice, without its unit; None if the choice is anything but one number."""
    found = _NUMERIC.fullmatch(choice.strip())
    value = numbers.number(found["number"]) if found else None
    return None if value is None else numbers.written(value)


def _checked(row: Sequence[str]) -> Sequence[str]:
    if len(row) != len(letters.LETTERS) + 2:
        raise DataError(f"row: {len(row)} fields instead of question, four choices and a letter")
    if len(row[-1]) != 1 or row[-1] not in letters.LETTERS:
        raise DataError(f"letter: {row[-1]!r} is none of A to D", "Is this the official MMLU file?")
    if not row[0].strip():
        raise DataError("question: empty", "Is this the official MMLU file?")
    return row


def shot(row: Sequence[str], subject: str, n: int) -> Shot:
    """The n-th row of a subject's dev split as a worked example.

    Raises:
        DataError: `field: what is wrong`.
    """
    question, *choices, letter = _checked(row)
    return Shot(id=f"mmlu/dev/{subject}/{n}", question=asked(question, choices), answer=letter)
