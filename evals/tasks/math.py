"""Math problems whose answer is a number (or a short text) and whose solution is one step a line.

Natalia sold 48/2 = <<48/2=24>>24 clips in May.        step 0
Natalia sold 48+24 = <<48+24=72>>72 clips.             step 1
The answer is 72                                       the answer line: no step, neither labelled nor scored
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from evals import thoughts
from evals.errors import DataError
from evals.reading import answers, equations, marks, turns
from evals.records import Problem
from evals.rules import AnswerRule
from evals.split import Split
from evals.tasks.base import AnswerReader, Verdict

PAPER = (
    "Solve the problem step by step, one step a line. Close with a line that says: The answer is, and the result.\n"
    "\n### Question:\n{question}\n\n### Answer:\n"
)
"""The paper's form: an instruction line, the question and the answer under headings of their own."""
PLAIN = "Question: {question}\nAnswer:\n"


def _templates() -> Mapping[str, str]:
    return {"paper": PAPER, "plain": PLAIN}


@dataclass(frozen=True)
class MathTask(AnswerReader):
    """A task of `evals.tasks.base.Task` for numeric answers.

    Every template ends with a newline, so that a path starts a line of its own just as a rollout does that goes on
    from a step.
    """

    name: str
    templates: Mapping[str, str] = field(default_factory=_templates)
    max_tokens: int = 512
    stop: tuple[str, ...] = ("Question:", "\nQ:", "### Question")

    def adapted(self, problem: Problem) -> MathTask:
        """The same for every problem."""
        return self

    def check(self, problem: Problem) -> None:
        """Raise DataError if the problem has no answer to compare with."""
        if problem.answer is None:
            raise DataError("answer: missing", "Every math problem needs its right answer as a string.")
        if not problem.answer.strip():
            raise DataError("answer: empty", "Every math problem needs its right answer as a string.")

    def question(self, problem: Problem) -> str:
        return problem.question

    def gold_text(self, problem: Problem) -> str | None:
        """The solution's lines and `The answer is N`, or None where solution or answer is missing."""
        if not problem.solution or problem.answer is None:
            return None
        return "\n".join([*problem.solution, f"The answer is {problem.answer}"])

    def split(self, text: str) -> Split:
        """The lines up to the answer line, blank ones and a bare `Answer:` heading left out.

        What follows the answer line, or a new question, belongs to no step, nor does a prompt that the text repeats.
        The lines between `<think>` and `</think>` are steps, whatever they say of the answer.
        """
        return _split(text)

    def judge(self, problem: Problem, text: str, rule: AnswerRule = "robust") -> Verdict:
        """Read the answer under a rule, which decides `correct`; the others stand beside it in `match`."""
        self.check(problem)
        answer, match = answers.match(problem.answer or "", text, rule, problem.question)
        return Verdict(answer, match.under(rule), match)

    def check_rule(self, problem: Problem, rule: AnswerRule) -> None:
        """Raise DataError if the right answer is no number and the rule compares numbers."""
        if rule == "paper" and answers.paper_number(problem.answer or "") is None:
            raise DataError(
                f"answer: {problem.answer!r} is no plain number, and --answer-rule paper compares numbers",
                "Take --answer-rule robust.",
            )

    def signature(self, text: str) -> str:
        return equations.equation_signature(text)

    def false_equation(self, text: str) -> str | None:
        return equations.first_false(turns.reply(text))


@lru_cache(maxsize=512)
def _split(text: str) -> Split:
    """See `MathTask.split`. The last texts are remembered: a line's paths are cut when it is checked and again, a few
    lines later, when it is worked on."""
    lines = _lines(text, *turns.reply_span(text))
    steps, ends = [], []
    tagged, thinks = thoughts.may_have(text), bool(thoughts.spans(text))
    for i, (line, end) in enumerate(lines):
        if tagged and thoughts.is_tag(line):
            continue
        below = lines[i + 1][0] if i + 1 < len(lines) else None
        said = thoughts.outside(text, text.rfind("\n", 0, end) + 1, end).strip() if thinks else line
        if said and below is not None and marks.is_bare_marker(said) and not marks.is_bare_answer(below):
            continue
        if said and marks.ends_steps(said, is_last=below is None):
            break
        steps.append(line)
        ends.append(end)
    return Split(steps, ends)


def _lines(text: str, start: int, end: int) -> list[tuple[str, int]]:
    """The lines of `text[start:end]` with something on them, stripped, each with the offset just past its last
    character before `\\r\\n`."""
    lines = []
    for raw in text[start:end].split("\n"):
        line = raw.strip()
        if line:
            lines.append((line, start + len(raw.removesuffix("\r"))))
        start += len(raw) + 1
    return lines


GSM8K = MathTask("gsm8k")
MATH = MathTask("math")
"""A user's own math file."""
