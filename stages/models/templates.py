"""Which template a problem is prompted with, and what the template is told.

    prompter = make_prompter(tokenizer, task.templates, "auto", recorded=card.get("template"))
    chat_arguments(("enable_thinking=false",), card)    # {"enable_thinking": False}

"auto" is what the model's folder recorded, else the tokenizer's chat template, else the task's first one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import DataError, UsageError
from evals.records import Problem, parse_json
from evals.tasks import task_of
from evals.tasks.prompts import CHAT, SLOT
from stages.models.naming import CARD
from stages.models.prompts import CHAT_ARGS, Prompter
from stages.settings.model import ModelSettings

_DECIDED = {"conversation", "messages", "tokenize", "add_generation_prompt", "continue_final_message", "chat_template"}


@dataclass(frozen=True)
class Prompters:
    """The prompters of one tokenizer, by task and template.

    Args:
        tokenizer: a transformers tokenizer.
        template: as for `make_prompter`; a problem that is prompted in a way of its own may name another.
        recorded: `Prompter.recorded` as kept by the model's folder.
        chat_args: as `chat_arguments` makes them.
    """

    tokenizer: Any
    template: str = ModelSettings.template
    recorded: str | None = None
    chat_args: Mapping[str, Any] = field(default_factory=dict)
    _known: dict[tuple[str, str], Prompter] = field(default_factory=dict, repr=False)

    def of(self, problem: Problem) -> Prompter:
        """What builds the problem's prompt."""
        template = (problem.prompting and problem.prompting.template) or self.template
        key = problem.task, template
        if key not in self._known:
            templates = task_of(problem).templates
            self._known[key] = make_prompter(self.tokenizer, templates, template, self.recorded, self.chat_args)
        return self._known[key]


def make_prompter(
    tokenizer: Any,
    task_templates: Mapping[str, str],
    template: str = ModelSettings.template,
    recorded: str | None = None,
    chat_args: Mapping[str, Any] | None = None,
) -> Prompter:
    """Choose the template.

    Args:
        tokenizer: a transformers tokenizer.
        task_templates: the task's plain templates by name; the first is its default.
        template: "auto" (what the model folder recorded, else chat if the tokenizer has a chat template, else the
            task's first), "chat", a name out of `task_templates`, or the path of a text file with `{question}` in it.
        recorded: `Prompter.recorded` as kept by the model's folder.
        chat_args: what the chat template is told besides the messages.

    Raises:
        UsageError: no such template, no `{question}` in it, or chat for a tokenizer without chat template.
    """
    if template == "auto":
        if recorded is not None:
            template = recorded
        elif tokenizer.chat_template:
            template = CHAT
        else:
            template = next(iter(task_templates))
    if template == CHAT:
        if not tokenizer.chat_template:
            raise UsageError("the model has no chat template", f"Choose --template out of {', '.join(task_templates)}.")
        return Prompter(tokenizer, CHAT, None, chat_args or {})
    if template in task_templates:
        name, text = template, task_templates[template]
    elif SLOT in template:
        names = [name for name, text in task_templates.items() if text == template]
        name, text = names[0] if names else "recorded", template
    elif template == recorded:  # a model's folder does not choose files to read
        raise UsageError(f"the model's {CARD} names no known template ({template[:100]!r})", "Give --template.")
    else:
        name, text = Path(template).name, _template_file(template, task_templates)
    return Prompter(tokenizer, name, text, chat_args or {})  # the messages of a pair go through the chat template


def chat_arguments(typed: Sequence[str], card: Mapping[str, Any]) -> dict[str, Any]:
    """What the chat template is told: what the model's card recorded, and over it what was typed.

    Args:
        typed: `name=value`; a value that is JSON (true, 3, "3") is that, anything else text.
        card: the model's `sipf.json`.

    Raises:
        UsageError: not of that form, a name twice, or one that the prompt itself decides.
    """
    found: dict[str, Any] = {}
    for text in typed:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()) or name in found or name in _DECIDED:
            raise UsageError(
                f"--chat-arg {text!r} is no name=value, names one twice, or what the prompt itself decides",
                "For example --chat-arg enable_thinking=false.",
            )
        found[name] = _json_or_text(value)
    return {**card.get(CHAT_ARGS, {}), **found}


def exported_prompt(problem: Problem, template: str) -> str | list[dict[str, str]]:
    """The prompt in the field's pair format: text for a plain template, messages for "chat".

    `sipf orpo` builds the prompt from task and question again, for the model that it trains; this field is for others.
    """
    kind = task_of(problem)
    question = kind.question(problem)
    if template == "chat":
        return [{"role": "user", "content": question}]
    name = next(iter(kind.templates)) if template == "auto" else template
    if name not in kind.templates:
        raise DataError(
            f"task {problem.task} has no template {name!r}", f"It has {', '.join(kind.templates)} and chat."
        )
    return kind.templates[name].replace("{question}", question)


def _json_or_text(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def _template_file(path: str, task_templates: Mapping[str, str]) -> str:
    if not os.path.isfile(path):
        known = ", ".join([CHAT, *task_templates])
        raise UsageError(f"no template {path!r}", f"Give one of {known}, or a text file with {SLOT} in it.")
    try:
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"the template {path} is not UTF-8 text", "Save it as UTF-8.") from error
    if SLOT not in text:
        raise UsageError(f"the template {path} does not say where the question goes", f"Write {SLOT} in it.")
    return text
