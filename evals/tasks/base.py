"""What a task is: how a problem of its kind is prompted, split into steps, continued from a prefix and judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from evals.errors import DataError
from evals.programs.checks import CheckResult, CodeTests, Outcome
from evals.records import Match, Path, Problem
from evals.rules import AnswerRule
from evals.split import Split


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer read from a text (None: none found) and whether it is right; `correct` follows the rule asked for.

    A program has an `outcome` instead of an answer; `weak` says that its tests could not be kept out of its reach, and
    `failure` in one line of printable characters why it failed.
    """

    answer: str | None
    correct: bool
    match: Match | None = None
    outcome: Outcome | None = None
    weak: bool = False
    failure: str | None = None


class Task(Protocol):
    """A kind of problem. Implementations hold no state and use no model."""

    name: str
    templates: Mapping[str, str]
    """Plain prompt templates by name; `{question}` is filled in. The first is the default."""
    max_tokens: int
    """New tokens a path may take unless the user says otherwise."""
    stop: tuple[str, ...]
    """Strings that end a completion; the stop string itself is not part of it."""

    def adapted(self, problem: Problem) -> Task:
        """The task as it is for this problem, which may say how it is to be cut or stopped.

        Raises:
            DataError: it says what cannot be.
        """

    def check(self, problem: Problem) -> None:
        """Raise DataError (`field: what is wrong`) if the problem lacks what this task needs."""

    def question(self, problem: Problem) -> str:
        """The text that stands for `{question}` in a template (choices or tests included)."""

    def gold_text(self, problem: Problem) -> str | None:
        """The gold solution written as a path would be, or None where the problem has none."""

    def split(self, text: str) -> Split:
        """Cut a text into its labelled steps; the answer line is not one."""

    def signature(self, text: str) -> str:
        """Two paths with the same signature are the same reasoning (the paper: the same sequence of equations)."""

    def false_equation(self, text: str) -> str | None:
        """The first annotated equation of the text that does not hold, or None."""


class AnswerReader(ABC):
    """What a task has, besides, whose answer stands in the text."""

    @abstractmethod
    def judge(self, problem: Problem, text: str, rule: AnswerRule = "robust") -> Verdict:
        """Read the answer of a whole path under a rule and compare it with the problem's; `math-verify`, which needs a
        process, is for `stages.runs.verdicts`."""

    @abstractmethod
    def check_rule(self, problem: Problem, rule: AnswerRule) -> None:
        """Raise DataError if no answer could ever be right under the rule."""


class ProgramTask(ABC):
    """What a task has, besides, whose problems are solved by a program: its verdict comes from a check."""

    @abstractmethod
    def program(self, problem: Problem, text: str) -> str:
        """The program that a text stands for: what is run, and what may be checked only once."""

    @abstractmethod
    def tests(self, problem: Problem) -> CodeTests:
        """What the problem's programs are checked against."""

    @abstractmethod
    def verdict(self, result: CheckResult) -> Verdict:
        """What a check says of its program."""

    @abstractmethod
    def cleaned(self, problem: Problem, text: str) -> str:
        """A raw sample without the prose, tokens and broken end around its program."""

    @abstractmethod
    def resumed(self, prefix: str, text: str) -> str:
        """A prefix and what was written after it, as if in one go."""


class Chooser(AnswerReader):
    """What a task has, besides, whose problems may be answered by comparing likelihoods instead of by writing."""

    @abstractmethod
    def continuations(self, problem: Problem) -> list[str]:
        """The texts to compare, one of which is the answer; empty where the problem is answered by writing."""


def split_of(task: Task, path: Path) -> Split:
    """The steps of a path as its stages count them: the task's own cut of the text, or the given one.

    Raises:
        DataError: `steps...`: the path's steps are not those of its text.
    """
    if path.split == "given":
        return given_split(path)
    split = task.split(path.text)
    if len(split.steps) != len(path.steps):
        raise DataError(f"steps: {len(path.steps)} steps, but the text has {len(split.steps)}")
    return split


def step_ends(task: Task, path: Path) -> list[int]:
    """Character offsets in the path's text just past each of its steps.

    Raises:
        DataError: `id: steps...`: a step does not stand in the text.
    """
    if path.split != "given":
        split = task.split(path.text)
        if split.steps == path.steps:
            return list(split.ends)
    try:
        return given_split(path).ends
    except DataError as error:
        raise DataError(f"{path.id}: {error.message}", error.advice) from error


def given_split(path: Path) -> Split:
    """The path's own steps, found in its text one after the other.

    Raises:
        DataError: `steps.N: ...`: one does not stand there.
    """
    ends, at = [], 0
    for j, step in enumerate(path.steps):
        start = path.text.find(step, at)
        if start < 0 or not step.strip():
            raise DataError(f"steps.{j}: {step[:60]!r} does not stand in the text after the step before it")
        at = start + len(step)
        ends.append(at)
    return Split(list(path.steps), ends)
