"""What people are shown of paths and pairs, in the terminal (`sipf show`) and on the page of `sipf report` alike.

    view = PathView.of(path, pass_score=0.5)
    view.steps[1]           # Step(text="38/2=18", right=False, label="0/8", scores={"prm": 0.2}, passed={"prm": False})
    view.first_error        # 1
    branches("", "a\\nb\\nc", "a\\nx")        # Branches(shared=["a"], chosen=["b", "c"], rejected=["x"])

Nothing is drawn here; colours, marks and columns are the business of whoever shows it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from evals.records import Path, StepLabel, StepScores

_HIDDEN = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufffe\uffff")
"""Characters that turn the direction of the text around them, line ends that are no newline, and what XML forbids."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is shown: its label (`right` is None where nothing decides it) and its scores, by their name.

    `passed` says for each score that can be compared with a `pass_score` whether it reaches it.
    """

    text: str
    right: bool | None
    label: str
    scores: dict[str, float]
    passed: dict[str, bool]

    @property
    def disagree(self) -> bool:
        """Whether the label and a score say different things."""
        return any(map(self.odd, self.passed))

    def odd(self, name: str) -> bool:
        """Whether the label and the score of that name say different things."""
        return self.right is not None and self.passed.get(name, self.right) != self.right


@dataclass(frozen=True, slots=True)
class PathView:
    """A path with what its labels and scores say of it.

    `verdicts` are those of the labels, or of the scores where there are no labels; `first_error` is the first wrong
    step by a person's mark, else by these verdicts, or None.
    """

    path: Path
    steps: list[Step]
    verdicts: list[bool | None]
    first_error: int | None

    @classmethod
    def of(cls, path: Path, pass_score: float) -> Self:
        """The view of a path; a step that scores less than `pass_score` (in [0, 1]) is wrong by that score."""
        passed = {name: found for name, scores in (path.scores or {}).items() if (found := passes(scores, pass_score))}
        steps = [
            Step(
                text,
                None if path.labels is None else path.labels[i].hard,
                "" if path.labels is None else label_text(path.labels[i]),
                {name: scores.steps[i] for name, scores in (path.scores or {}).items()},
                {name: found[i] for name, found in passed.items()},
            )
            for i, text in enumerate(path.steps)
        ]
        verdicts = [step.right if path.labels is not None else _last(step.passed) for step in steps]
        first = next((i for i, verdict in enumerate(verdicts) if verdict is False), None)
        if path.first_error is not None:
            first = path.first_error if path.first_error >= 0 else None
        return cls(path, steps, verdicts, first)

    @property
    def wrong_step(self) -> bool:
        """Whether the answer is right although a step is wrong."""
        return bool(self.path.correct) and self.first_error is not None

    @property
    def disagree(self) -> list[int]:
        """The steps, from 0, of which label and score say different things."""
        return [i for i, step in enumerate(self.steps) if step.disagree]


def _last(passed: dict[str, bool]) -> bool | None:
    """The verdict of the scores that were written last."""
    return next(reversed(passed.values()), None)


def passes(scores: StepScores, pass_score: float) -> list[bool] | None:
    """For each step whether its score says that it is right; None for likelihoods, of which no value says so."""
    return None if scores.by == "likelihood" else [score >= pass_score for score in scores.steps]


def label_text(label: StepLabel) -> str:
    """What a label rests on: hits of draws, and where its verdict comes from if not from these.

    "0/8", "gold", "before-live", "0/3 early-stop", "2/8 value 0.25", "0/1 undecided"
    """
    parts = [f"{label.hits}/{label.draws}"] if label.draws else []
    if "value" in label.model_fields_set:
        parts.append("no value" if label.value is None else f"value {label.value:.2f}")
    elif label.kind != "drawn":
        parts.append(label.kind)
    return " ".join(parts)


def facts(path: Path) -> list[str]:
    """Where a path comes from, how often it was drawn, how long it is and how it ended."""
    told = [path.source if path.source == "gold" else f"{path.source}, round {path.round}"]
    if path.times is not None:
        told.append("drawn once" if path.times == 1 else f"drawn {path.times} times")
    if path.tokens is not None:
        told.append(many(path.tokens, "token"))
    if path.finish is not None:
        told.append("cut off (length)" if path.finish == "length" else f"finish {path.finish}")
    return told


def notes(view: PathView) -> Iterator[str]:
    """What is odd about a path, and what a person, its check and its scorers had to say."""
    path = view.path
    if view.wrong_step:
        yield "right answer by a wrong step"
    if view.disagree:
        places = ", ".join(str(step + 1) for step in view.disagree)
        yield f"label and score disagree (!) at step{'s' if len(view.disagree) > 1 else ''} {places}"
    if path.first_error is not None:
        place = f"first wrong step {path.first_error + 1}" if path.first_error >= 0 else "no wrong step"
        yield f"marked by a person: {place}"
    if path.weak:
        yield "weak: the program could reach its tests"
    if path.failure:
        yield f"failure: {path.failure}"
    yield from (f"not scored by {name}: {why}" for name, why in (path.unscored or {}).items())
    if path.loglikelihoods:
        values = ", ".join(f"{letter} {value:.2f}" for letter, value in path.loglikelihoods.items())
        yield f"log-likelihoods: {values}"


def reason_text(row: Mapping[str, Any], problem: str) -> str:
    """A line of `OUT.reasons.jsonl` in words, the problem's id left out."""
    by = f" by {row['rule']}" if row.get("rule") else ""
    if "path" in row and row["reason"] == "gold":
        return "no pair is made of the gold solution (sipf pairs --gold)"
    if "path" in row:
        return f"path {short(str(row['path']), problem)} left out{by}: {row['reason']}"
    if "pairs" in row:
        told = f"more than --{row['reason']}" if row["reason"] in ("most", "max-per-problem") else row["reason"]
        return f"{many(int(row['pairs']), 'pair')} left out{by}: {told}"
    return f"no pair{by}: {row['reason']}"


def short(identity: str, problem: str) -> str:
    """The id of a path or a pair without that of its problem (`#3`)."""
    return identity.removeprefix(problem) or identity


def many(count: int, one: str, several: str = "") -> str:
    """A number and what it counts: "1 path", "2,000 paths"."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


class Piece(NamedTuple):
    """A part of a path's text: a step, given by its number from 0, or what stands between and after them."""

    step: int | None
    text: str


def pieces(path: Path) -> list[Piece]:
    """The path's text in its order, cut into its steps and the rest (an answer line, for example), blank parts left
    out. A step that does not stand in the text where it should is shown all the same."""
    found: list[Piece] = []
    at = 0
    for i, step in enumerate(path.steps):
        start = path.text.find(step, at)
        if start >= 0:
            found += _rest(path.text[at:start])
            at = start + len(step)
        found.append(Piece(i, step))
    return found + _rest(path.text[at:])


def _rest(text: str) -> list[Piece]:
    return [Piece(None, text.strip("\r\n"))] if text.strip() else []


class Branches(NamedTuple):
    """A pair by lines: what both sides begin with, and how each goes on."""

    shared: list[str]
    chosen: list[str]
    rejected: list[str]


def branches(prefix: str, chosen: str, rejected: str) -> Branches:
    """The two sides of a pair, which both continue `prefix`, from the first line in which they differ."""
    sides = [(prefix + side).splitlines() for side in (chosen, rejected)]
    same = 0
    for a, b in zip(*sides, strict=False):
        if a != b:
            break
        same += 1
    return Branches(sides[0][:same], sides[0][same:], sides[1][same:])


def visible(text: str) -> str:
    """The text with its control characters, and those that turn the direction of writing, spelled out (`\\x1b`), so
    that they are seen and do nothing, and so that it can stand in a file of SVG. Newlines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(_spelled(letter) for letter in text)


def _spelled(letter: str) -> str:
    if letter in "\n\t" or not (letter in _HIDDEN or unicodedata.category(letter) in ("Cc", "Cs")):
        return letter
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"
