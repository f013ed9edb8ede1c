"""distilabel's Math-Shepherd completer on a local model; run by `labelling.py` in its own environment.

    python peer_distilabel.py MODEL LINES.json [--k 8]

LINES.json is a list of {"instruction", "golden_solution", "solutions"}. The peer is changed only where it otherwise
could not work with a base model of another format: its prompt (the task's plain one, not an instruction for a large
chat model) and how it splits a text into steps (at line ends instead of at "Step N:"). It asks for all N completions of
a prefix in a single text, which a small model cannot write, so it gets every solution K times with N = 1, and a step is
right if one of the K copies is tagged right. Prints {"steps", "seconds", "cpu", "right"}.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from typing import Any

from distilabel.models import TransformersLLM
from distilabel.steps.tasks import MathShepherdCompleter
from jinja2 import Template

# The completer puts a blank between the instruction and the steps; the prompt has a line end there, and one after them.
CHAT = "{{ messages[0]['content'].replace('Answer:\\n ', 'Answer:\\n') }}\n"


class LineCompleter(MathShepherdCompleter):
    """The completer for texts with one step per line."""

    def load(self) -> None:
        """Use the instruction itself as the prompt."""
        super().load()
        self._template = Template("{{ instruction }}")

    def _parse_output(self, output: str | None) -> list[Any]:
        return [None] if output is None else [[line.strip() for line in output.splitlines() if line.strip()]]


def main() -> None:
    """Label the lines and say how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("lines")
    parser.add_argument("--k", type=int, default=8)
    arguments = parser.parse_args()
    with open(arguments.lines, encoding="utf-8") as file:
        rows = json.load(file)
    llm = TransformersLLM(
        model=arguments.model, chat_template=CHAT, device="cpu",
        generation_kwargs={"max_new_tokens": 96, "temperature": 1.0, "repetition_penalty": 1.0},
    )  # fmt: skip
    completer = LineCompleter(name="completer", llm=llm, N=1, system_prompt=None)
    completer.load()
    own = [[len(solution) - 1 for solution in row["solutions"]] for row in rows]
    given = [{**row, "solutions": [copy.copy(s) for s in row["solutions"] for _ in range(arguments.k)]} for row in rows]
    began, cpu = time.perf_counter(), time.process_time()
    made = next(completer.process(given))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    right = 0
    for row in made:
        for start in range(0, len(row["solutions"]), arguments.k):
            copies = row["solutions"][start : start + arguments.k]
            right += sum(any(step.endswith(" +") for step in steps) for steps in zip(*copies, strict=True))
    print(json.dumps({"steps": sum(map(sum, own)), "seconds": seconds, "cpu": cpu, "right": right}))


if __name__ == "__main__":
    main()
