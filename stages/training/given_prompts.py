"""Lines that bring their own prompt along: as text, which is trained on as it is, or as messages, of which the model's
chat template makes a text.

    lines, run, prompter = prompted(run, located(pairs), kind_of_pair, problem_in, bad)

A model is asked in one way later on, so all lines of a run have to be prompted in one way: the first line that brings a
prompt along decides, and a line of the other kind is a bad line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, TypeVar

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.tasks.prompts import CHAT
from stages.files.reading import BadLines
from stages.models.prompts import Prompter
from stages.settings.training import TrainSettings
from stages.training.run import TrainingRun

T = TypeVar("T")
Kind = Literal["problem", "text", "messages"]
"""What a line is prompted by: its problem, whose task knows how to ask; its own text; or its own messages."""
ONE_KIND = "Train on one kind of prompt at a time: the model is asked in one way later on."


def kind_of_prompt(prompt: Any) -> Kind:
    """The kind of a line with this prompt."""
    return "text" if isinstance(prompt, str) else "messages"


def prompted(
    run: TrainingRun,
    lines: Iterable[tuple[str, T]],
    kind_of: Callable[[T], Kind],
    problem_in: Callable[[T], Problem | None],
    bad: BadLines,
    texts: str = TrainSettings.template,
) -> tuple[list[tuple[str, T]], TrainingRun, Prompter]:
    """The lines that can be prompted in one way, the run with the template that this is, and what prompts them.

    Args:
        lines: each with its place in words.
        bad: receives the others.
        texts: the template if all lines are texts and none was asked for.

    Raises:
        DataError: messages, and a model without a chat template.
        UsageError: messages, and another template was asked for.
    """
    kept, first = _of_one_kind(lines, kind_of, bad)
    if first is not None and first[1] == "messages":
        run = _by_chat(run, first[0])
    elif run.options.template == TrainSettings.template and all(kind_of(line) == "text" for _, line in kept):
        run = replace(run, options=replace(run.options, template=texts))
    prompter = run.prompter(problem_in(line) for _, line in kept)
    if prompter.text is None and any(kind_of(line) == "problem" for _, line in kept):
        kept = _without_texts(kept, kind_of, bad)
    return kept, run, prompter


def _of_one_kind(
    lines: Iterable[tuple[str, T]], kind_of: Callable[[T], Kind], bad: BadLines
) -> tuple[list[tuple[str, T]], tuple[str, Kind] | None]:
    """The lines like the first one that brings a prompt along, and that line's place and kind."""
    kept: list[tuple[str, T]] = []
    first: tuple[str, Kind] | None = None
    for place, line in lines:
        kind = kind_of(line)
        if kind != "problem":
            first = first or (place, kind)
            if kind != first[1]:
                bad.add(DataError(f"{place}: prompt: is {kind}, and that of {first[0]} is {first[1]}", ONE_KIND))
                continue
        kept.append((place, line))
    return kept, first


def _by_chat(run: TrainingRun, place: str) -> TrainingRun:
    if run.options.template not in (TrainSettings.template, CHAT):
        raise UsageError(f"{place} has messages, which only a chat template can prompt with", "Leave --template out.")
    if not run.tokenizer.chat_template:
        raise DataError(
            f"{place}: prompt: a list of messages, and the model has no chat template", "Give the prompt as text."
        )
    return replace(run, options=replace(run.options, template=CHAT))


def _without_texts(lines: list[tuple[str, T]], kind_of: Callable[[T], Kind], bad: BadLines) -> list[tuple[str, T]]:
    """The lines whose text would not be learnt as it is while the problems beside it go through the chat template."""
    kept = []
    for place, line in lines:
        if kind_of(line) == "text":
            what = "is text, and the problems beside it go through the chat template"
            bad.add(DataError(f"{place}: prompt: {what}", ONE_KIND))
        else:
            kept.append((place, line))
    return kept
