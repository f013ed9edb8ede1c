"""`sipf data mmlu`, `data processbench` and `data math-shepherd`: published sets as lines."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from sipf_cli.bad_lines import skipping_bad_lines
from sipf_cli.options import Config, Debug, Json, Output, Overwrite, Strict
from sipf_cli.problems import First, write


class MmluSplit(StrEnum):
    dev = "dev"
    val = "val"
    test = "test"


class MmluMode(StrEnum):
    loglikelihood = "loglikelihood"
    letter = "letter"
    number = "number"


def mmlu(
    output: Output,
    split: Annotated[MmluSplit, typer.Option("--split", help="Which split the problems are; part of their ids.")],
    path: Annotated[
        str, typer.Option("--path", metavar="DIR", help="Folder with dev/, val/ and test/, or 'hub' for the hub.")
    ] = "hub",
    subjects: Annotated[
        str | None,
        typer.Option("--subjects", metavar="A,B", help="MMLU's subjects; four of mathematics unless given."),
    ] = None,
    mode: Annotated[
        MmluMode, typer.Option("--mode", help="Likeliest letter, a written letter, or the right choice's number.")
    ] = MmluMode.loglikelihood,
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write MMLU problems: multiple choice, or, with --mode number, free-form where the right choice is a number.

    Letters come with the subject's five dev items as worked examples. Items that a spreadsheet damaged upstream are
    kept, as published figures keep them, and counted; --mode number leaves them out.

    \b
    Example:
      mkdir -p mmlu/dev mmlu/test
      echo 'Two and three?,4,5,6,7,B' | tee mmlu/dev/abstract_algebra_dev.csv > mmlu/test/abstract_algebra_test.csv
      sipf data mmlu --path mmlu --split test --subjects abstract_algebra -o problems.jsonl
    """
    from evals.tasks.mmlu import SUBJECTS
    from stages.data import mmlu_problems

    bad = skipping_bad_lines(strict=strict)
    names = tuple(name.strip() for name in subjects.split(",") if name.strip()) if subjects else SUBJECTS
    counts = Counter[str]()
    problems, files = mmlu_problems(path, split.value, names, mode.value, counts, bad)
    options = {"task": "mmlu_math", "split": split.value, "subjects": names, "mode": mode.value, "n": n, **files}
    write(islice(problems, n), output, options, overwrite=overwrite, json=json, bad=bad, more=counts)


def processbench(
    output: Output,
    path: Annotated[str, typer.Option("--path", metavar="FILE", help="An official file, .json or .jsonl.")],
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write ProcessBench as problems with one path each, people's first wrong step beside it (for eval-prm).

    \b
    Example:
      echo '{"id": "x-0", "problem": "2+3?", "steps": ["It is 6"], "label": 0, "final_answer_correct": false}' > x.jsonl
      sipf data processbench --path x.jsonl -o processbench.jsonl
    """
    from stages.data import processbench_problems

    bad = skipping_bad_lines(strict=strict)
    problems = islice(processbench_problems(path, bad), n)
    write(problems, output, {"set": "processbench", "n": n}, path, overwrite=overwrite, json=json, bad=bad)


def math_shepherd(
    output: Output,
    path: Annotated[str, typer.Option("--path", metavar="FILE", help="A .jsonl of input, label and task.")],
    n: First = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write Math-Shepherd as problems with one labelled path each (for train-prm).

    \b
    Example:
      echo '{"task": "GSM8K", "input": "1+1? Step 1: 2 \u043a\u0438", "label": "1+1? Step 1: 2 +"}' > shepherd.jsonl
      sipf data math-shepherd --path shepherd.jsonl -o labels.jsonl
    """
    from stages.data import math_shepherd_problems

    bad = skipping_bad_lines(strict=strict)
    problems = islice(math_shepherd_problems(path, bad), n)
    write(problems, output, {"set": "math-shepherd", "n": n}, path, overwrite=overwrite, json=json, bad=bad)
