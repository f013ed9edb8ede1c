"""The texts that the functions world's model is pre-trained on: descriptions with their programs.

As in `stages.embedded.corpus`, a text is a list of parts, each with a flag: whether the model learns to write it.
"""

from __future__ import annotations

import random
from dataclasses import replace

from evals.worlds import functions
from evals.worlds.functions import NAMES, Description
from evals.worlds.operations import FORMS, VARIABLES, Operation, Pipeline, written
from evals.worlds.phrases import OOD, SPLITS
from stages.embedded.corpus import Mix, Part

PIECES = r" {4}| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\n| "
"""What the tokenizer cuts texts into: indentation, words, digits, groups of signs."""
HEADS = ("{question}\n", "{question}\nProgram:\n", "# {question}\n")
"""What stands before a program; the first one is the task's prompt."""
HARD_TASK = 0.5
"""Chance that a sentence of a hard description is hard to read; a plain one has no such sentence."""


def text(rng: random.Random, mix: Mix) -> list[Part]:
    """One pre-training text, of a skeleton in the train split's buckets: no other split's problem is ever seen."""
    lengths = (1, 1) if rng.random() < mix.sums else (1, 4)
    while True:
        ood = rng.random() < mix.ood
        if ood and rng.random() < mix.long_ood:
            lengths = (5, 6)
        hard = HARD_TASK if rng.random() < mix.hard else 0.0
        task = functions.draw_description(rng, OOD if ood else SPLITS, *lengths, hard)
        if task.pipeline.bucket() >= 2:
            break
    lines = _misread(rng, task) if rng.random() < mix.misread else None
    if lines is None:
        lines = [(line, True) for line in functions.program_lines(rng, task.name, task.pipeline)]
    return [
        (rng.choice(HEADS).format(question=task.question), rng.random() < mix.story_learned),
        *((f"{line}\n", learned) for line, learned in lines[:-1]),
        lines[-1],
    ]


def _misread(rng: random.Random, task: Description) -> list[Part] | None:
    """A program in which one operation is misread and the rest carries on from there; None if that changes nothing.

    The line that shows the misreading is not learned, those that carry on are: so a model writes what is described
    next after whatever it has written.
    """
    kind, operations = task.pipeline.kind, list(task.pipeline.operations)
    at = rng.randrange(len(operations))
    meant = operations[at]
    way = rng.choice(("out", "order", "number", "other", "other", "other"))
    if way == "order" and at + 1 < len(operations) - task.pipeline.ended:
        operations[at : at + 2] = operations[at + 1], meant
    elif way == "out" and len(operations) > 1 and not (task.pipeline.ended and at == len(operations) - 1):
        del operations[at]
    elif way == "number" and isinstance(meant.argument, int):
        operations[at] = replace(meant, argument=rng.choice(FORMS[kind][meant.name].arguments))
    else:
        end = FORMS[kind][meant.name].group == "end"
        name = rng.choice([name for name, form in FORMS[kind].items() if (form.group == "end") == end])
        arguments = FORMS[kind][name].arguments
        same = meant.argument in arguments
        operations[at] = Operation(name, meant.argument if same else rng.choice(arguments) if arguments else None)
    lines, meant_lines = (
        functions.program_lines(rng, task.name, Pipeline(kind, tuple(done)), varied=0.0)
        for done in (operations, task.pipeline.operations)
    )
    if lines == meant_lines:
        return None
    shown = next(i for i, (line, other) in enumerate(zip(lines, meant_lines, strict=False)) if line != other)
    return [(line, i != shown) for i, line in enumerate(lines)]


def vocabulary() -> list[str]:
    """Texts whose pieces become tokens."""
    described = [head.format(question="") for head in HEADS]
    programs = list[str]()
    for kind, forms in FORMS.items():
        operations = [Operation(name, next(iter(form.arguments), None)) for name, form in forms.items()]
        value = VARIABLES[kind]
        for wordings in (SPLITS, OOD):
            described += [head.format(call=f"{name}({value}).") for head in wordings.heads[kind] for name in NAMES]
            phrases = [*wordings.plain[kind].values(), *wordings.hard[kind].values()]
            for phrase in (one.format(n=1) for group in phrases for one in group):
                frames = (*wordings.frames, *wordings.earlier)
                described += [" " + one.format(phrase=phrase, Phrase=phrase.capitalize()) for one in frames]
            described += [f" {one.format(n=1)}" for one in wordings.asides[kind]]
        for operation in operations:
            for way in range(len(forms[operation.name].expressions)):
                once = written(kind, operation, value, way)
                programs += [f"    {value} = {once}\n", f"    return {once}\n"]
                programs += [f"    return {written(kind, other, once)}\n" for other in operations]
        programs += [f"def {name}({value}):\n    return {value}\n" for name in NAMES]
    return [*described, *programs]
