"""The line that every stage reads and writes: one problem, and what the stages have added to it so far.

    {"id": "chain/test/17", "task": "chain", "question": "...", "answer": "72", "solution": ["40+32=72"],
     "paths": [{"id": "chain/test/17#0", "source": "sample", "round": 0, "text": "40+32=72\nThe answer is 72",
                "steps": ["40+32=72"], "answer": "72", "correct": true, "finish": "stop", "tokens": 14, "seed": 991,
                "labels": [{"k": 8, "delta": 0, "draws": 2, "hits": 1, "settled": true, "rollouts": [...]}],
                "scores": {"prm": {"steps": [0.98], "mean": 0.98, "min": 0.98, "product": 0.98, "last": 0.98}}}]}

Keys that are not named here are kept and written back unchanged. A field is only written if it was read or set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from evals.errors import DataError
from evals.programs.checks import Outcome
from evals.rules import Aggregate, AnswerRule


class Record(BaseModel):
    """Base of every record: strict types, unknown keys kept."""

    model_config = ConfigDict(extra="allow", strict=True, validate_default=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The record that a parsed line holds.

        Raises:
            DataError: `field: what is wrong`; the reader of the line adds its place.
        """
        try:
            return cls.model_validate(row)
        except ValidationError as error:
            raise DataError(first_fault(error)) from error

    @classmethod
    def from_line(cls, line: bytes) -> Self | None:
        """The record in a line of JSON, without a row in between: two thirds of the time.

        It is what `from_row(parse_json(line))` gives, if the line has no NaN, infinity or number too large for a double
        in it. None for a line that is not such a record, or not JSON: ask those two what is wrong.
        """
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None

    def to_json(self) -> str:
        """One line of JSON without the newline; only fields that were read or set are written."""
        return self.model_dump_json(exclude_unset=True)


class Rollout(Record):
    """One completion drawn from a step prefix, and its verdict; for a program also an `outcome`."""

    answer: str | None = None
    correct: bool
    outcome: Outcome | None = None
    weak: bool | None = None
    seed: int
    tokens: int = 0
    text: str | None = None
    finish: Literal["stop", "length"] | None = None
    """Written only for a rollout that was cut off: "length"."""


Inference = Literal["trusted", "before-live", "after-dead", "early-stop"]
"""Why a step has a hard label that its own draws do not settle: its path's answer is right; a later step of its path is
right; an earlier one is wrong; or drawing stopped early because a right rollout had become improbable."""
LIVE: frozenset[str] = frozenset({"trusted", "before-live"})
"""The inferences that call a step right."""


class StepLabel(Record):
    """What the simulator found out about one step.

    It rests on `draws` rollouts, of which `hits` were right; `k` were allowed. `settled` says that these draws decide
    the hard label (more than `delta` of `k` hits). A gold step is right without any draw. A label that came from
    elsewhere is `given`: only the verdict is known, not the draws. A strategy that does not draw for every step says in
    `inferred` why it still calls the step right or wrong. `value` is what `relabel --want` made of the rollouts of this
    step and of those before it (progress or advantage, in [0, 1]): the step is then right from one half on, and
    undecided where the value is null.
    """

    k: int = Field(ge=1)
    delta: int = Field(default=0, ge=0)
    draws: int = Field(ge=0)
    hits: int = Field(ge=0)
    settled: bool
    gold: bool = False
    inferred: Inference | None = None
    given: bool | None = None
    value: float | None = Field(default=None, ge=0, le=1)
    rollouts: list[Rollout] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.settled and self.inferred is not None:
            raise ValueError(f"inferred ({self.inferred}) and settled by its draws")
        if self.hits > self.draws:
            raise ValueError(f"hits ({self.hits}) is more than draws ({self.draws})")
        if self.draws > self.k:
            raise ValueError(f"draws ({self.draws}) is more than k ({self.k})")
        return self

    @property
    def hard(self) -> bool | None:
        """True if the step is right, False if not, None if nothing decides: its value if it has one, else its draws."""
        if "value" not in self.model_fields_set:
            return self.by_draws
        return None if self.value is None else self.value >= 0.5

    @property
    def by_draws(self) -> bool | None:
        """The verdict of the step's draws, or of an inference from those of other steps, whatever its value."""
        if self.gold:
            return True
        if self.given is not None:
            return self.given
        if self.inferred is not None:
            return self.inferred in LIVE
        return self.hits > self.delta if self.settled else None

    @property
    def soft(self) -> float | None:
        """Share of draws that were right; None unless all `k` were made, as it would be biased."""
        if self.gold:
            return 1.0
        return self.hits / self.k if self.draws == self.k else None

    @property
    def kind(self) -> str:
        """Where the label comes from: "gold", "given", "drawn", an `Inference`, or "undecided"."""
        if self.given is not None:
            return "given"
        return "gold" if self.gold else self.inferred or ("drawn" if self.settled else "undecided")


class StepScores(Record):
    """Scores in [0, 1], one per step, and the four aggregates of a path.

    Without `by` they are a reward model's probabilities that a step is right; with it they come from a model's
    likelihood of the steps, or from the ratio of two models' (`stages.scorers.likelihood`). `aggregate` names the one
    that fits what computed them; scores without it are ranked by their mean.
    """

    steps: list[float]
    mean: float
    min: float
    product: float
    last: float
    by: Literal["likelihood", "ratio"] | None = None
    aggregate: Aggregate | None = None

    def chosen(self, aggregate: str) -> str:
        """The aggregate of that name; "auto" is the one that fits, or the mean."""
        return (self.aggregate or "mean") if aggregate == "auto" else aggregate


class Match(Record):
    """Whether the path's answer is right under each answer rule; `paper` and `math_verify` are there only where they
    decided."""

    strict: bool
    flexible: bool
    robust: bool
    paper: bool | None = None
    math_verify: bool | None = None

    def under(self, rule: AnswerRule) -> bool:
        """Whether it is right under this rule."""
        return bool(getattr(self, rule.replace("-", "_")))


class Path(Record):
    """One reasoning path. `text` is exactly what was written; `steps` are its labelled lines, answer line excluded.

    `source` says how it came about: drawn, drawn with the answer in sight, the gold solution, a tree search's rollout,
    a simulator's right rollout, or an evaluation. `outcome` says how the check of a program ended, and `failure` in one
    line why it did not pass; `weak` is present, and true, if the program could reach its tests.
    `times` is how many draws of all rounds were this path, as `sample` tells paths apart (`Task.signature`).

    With `split` "given" the steps came with the path: they follow one another in `text`, and the task does not cut it
    again. `first_error` is a person's verdict: the first wrong step, counted from 0, or -1.
    """

    id: str
    source: Literal["sample", "rationalised", "gold", "tree", "rollout", "eval"] = "sample"
    round: int = Field(default=0, ge=0)
    text: str
    steps: list[str] = Field(default_factory=list)
    split: Literal["task", "given"] = "task"
    first_error: int | None = Field(default=None, ge=-1)
    answer: str | None = None
    correct: bool | None = None
    match: Match | None = None
    outcome: Outcome | None = None
    failure: str | None = None
    weak: bool | None = None
    finish: Literal["stop", "length"] | None = None
    tokens: int | None = None
    seed: int | None = None
    times: int | None = Field(default=None, ge=0)
    labels: list[StepLabel] | None = None
    scores: dict[str, StepScores] | None = None

    @property
    def unscored(self) -> dict[str, str] | None:
        """Why `score` gave the path no scores, by their name; kept among the line's other keys."""
        found: dict[str, str] | None = (self.model_extra or {}).get("unscored")
        return found

    @property
    def loglikelihoods(self) -> dict[str, float] | None:
        """For a path that was chosen, not written: the log-likelihood (nats) of every choice, by letter."""
        found: dict[str, float] | None = (self.model_extra or {}).get("loglikelihoods")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        m = len(self.steps)
        if self.labels is not None and len(self.labels) != m:
            raise ValueError(f"{len(self.labels)} labels for {m} steps")
        for name, scores in (self.scores or {}).items():
            if len(scores.steps) != m:
                raise ValueError(f"scores.{name}: {len(scores.steps)} scores for {m} steps")
        if self.first_error is not None and self.first_error >= m:
            raise ValueError(f"first_error ({self.first_error}) is beyond the last of {m} steps")
        return self


class TreeState(Record):
    """A state of a search tree: a prefix, its parent's number (None: the root), its rollouts (`hits` of `draws` right)
    and how often a rollout from it was chosen."""

    prefix: str
    parent: int | None
    draws: int
    hits: int
    visits: int


class TreeSearch(Record):
    """One search: the state and path whose rollout was chosen, the value that chose it, and the first wrong step found
    in it (-1: none; None: the budget ended the search)."""

    state: int
    path: str
    value: float
    first_error: int | None


class SearchTree(Record):
    """What `simulate --strategy mcts` writes on the line: its states in the order they were made, and its searches."""

    states: list[TreeState]
    searches: list[TreeSearch]


class Shot(Record):
    """One worked example of a few-shot prompt: the question as the template takes it, and the answer to write."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompting:
    """How one run prompts a problem; never part of the line.

    Args:
        template: as for `stages.models.templates.make_prompter`; None: the one the engine would choose.
        header: text before everything else.
        shots: worked examples before the question, rendered by the same template (chat: as turns).
        stop: strings that end a completion; None: the task's.
    """

    template: str | None = None
    header: str = ""
    shots: tuple[Shot, ...] = ()
    stop: tuple[str, ...] | None = None


class Problem(Record):
    """One problem and everything the stages have found out about it. `shots` are worked examples that its data set
    provides (MMLU's dev items); only a prompt that asks for examples shows them. `root` is the label of the bare
    question, which stands before the first step of every path."""

    id: str = Field(min_length=1)
    task: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str | None = None
    solution: list[str] | None = None
    choices: list[str] | None = None
    tests: dict[str, Any] | None = None
    shots: list[Shot] | None = None
    paths: list[Path] = Field(default_factory=list)
    root: StepLabel | None = None
    tree: SearchTree | None = None
    _prompting: Prompting | None = PrivateAttr(default=None)
    _prepared: Any = PrivateAttr(default=None)

    @property
    def drawn(self) -> int:
        """Draws that `sample` has made for the problem in all rounds: the smallest number its next path may have."""
        found = (self.model_extra or {}).get("drawn")
        return found if isinstance(found, int) else 0

    @drawn.setter
    def drawn(self, count: int) -> None:
        assert self.__pydantic_extra__ is not None, "records keep further keys"
        self.__pydantic_extra__["drawn"] = count

    @property
    def prompting(self) -> Prompting | None:
        """How this run prompts the problem; None: the engine decides. Set by a stage, never written."""
        return self._prompting

    @prompting.setter
    def prompting(self, prompting: Prompting | None) -> None:
        self._prompting = prompting

    @property
    def prepared(self) -> Any:
        """What a stage has found out when it checked the line, and need not find out again; never written."""
        return self._prepared

    @prepared.setter
    def prepared(self, found: Any) -> None:
        self._prepared = found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [path.id for path in self.paths]
        if len(set(ids)) != len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise ValueError(f"paths: the id {twice!r} appears twice")
        return self


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str | bytes) -> Any:
    """Parse one JSON value; NaN and infinities are refused, as JSON does not have them."""
    return json.loads(text, parse_constant=_no_constant)


def first_fault(error: ValidationError) -> str:
    """The first fault of a record as `field.path: what is wrong`."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    what = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
