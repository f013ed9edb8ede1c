"""`sipf data`: where problems come from."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import Annotated, Literal

import typer

from sipf_cli import imports
from sipf_cli.app import COMMANDS, new_app
from sipf_cli.bad_lines import skipping_bad_lines
from sipf_cli.data_code import app as code_app
from sipf_cli.options import Config, Debug, Json, Output, Overwrite, Seed, Strict
from sipf_cli.problems import File, First, write

app = new_app(help=COMMANDS["data"])


class ChainSplit(StrEnum):
    train = "train"
    validation = "validation"
    test = "test"
    ood = "ood"


class Gsm8kSplit(StrEnum):
    train = "train"
    test = "test"


@app.command()
def chain(
    output: Output,
    split: Annotated[ChainSplit, typer.Option("--split", help="Splits never share a problem.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Problems to write.")],
    seed: Seed = 0,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Generate problems of the chain world: word problems solved by a chain of arithmetic steps.

    The same seed gives the same problems, and fewer of them are the first of more. The out-of-domain split (ood) has
    more steps than any other, in other words.

    \b
    Example:
      sipf data chain --split test -n 100 --seed 1 -o test.jsonl
    """
    from evals.worlds import chain as world

    options = {"task": "chain", "split": split.value, "n": n, "seed": seed}
    write(world.problems(split.value, n, seed), output, options, overwrite=overwrite, json=json)


@app.command()
def gsm8k(
    output: Output,
    split: Annotated[Gsm8kSplit, typer.Option("--split", help="Which split the problems are; part of their ids.")],
    path: Annotated[
        str, typer.Option("--path", metavar="FILE", help="The split's official .jsonl, or 'hub' for the dataset hub.")
    ] = "hub",
    annotations: Annotated[
        Literal["keep", "strip"],
        typer.Option("--annotations", help="Keep or strip the calculator's <<48/2=24>> in solutions."),
    ] = "keep",
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write GSM8K problems, their gold solutions split into steps.

    \b
    Example:
      sipf data gsm8k --path train.jsonl --split train -n 50 -o problems.jsonl
    """
    from stages.data import HUB, gsm8k_problems

    bad = skipping_bad_lines(strict=strict)
    options = {"task": "gsm8k", "split": split.value, "annotations": annotations, "n": n, "hub": path == HUB}
    problems = islice(gsm8k_problems(path, split.value, annotations, bad), n)
    write(problems, output, options, None if path == HUB else path, overwrite=overwrite, json=json, bad=bad)


@app.command()
def math(
    output: Output,
    path: File,
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the problems of a math file of your own.

    Its lines are JSON objects with a question and an answer; id and solution may be there, other keys are kept.

    \b
    Example:
      echo '{"question": "Two and three?", "answer": 5}' > mine.jsonl
      sipf data math --path mine.jsonl -o problems.jsonl
    """
    from stages.data import math_problems

    bad = skipping_bad_lines(strict=strict)
    problems = islice(math_problems(path, bad), n)
    write(problems, output, {"task": "math", "n": n}, path, overwrite=overwrite, json=json, bad=bad)


app.add_typer(code_app)
app.command()(imports.mmlu)
app.command()(imports.processbench)
app.command("math-shepherd")(imports.math_shepherd)
