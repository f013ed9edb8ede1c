"""The `scripted` engine: canned answers, so that the whole command line runs without a model (or torch).

    --engine scripted --script gold:0.4           answers like a model that is right 40 % of the time
    --engine scripted --script answers.jsonl      {"id": "gsm8k/train/0", "completions": ["...", "..."]}; id "*": others

With `gold:p` every draw from a prefix that agrees with the gold solution is right with probability p, by its seed; a
draw from a prefix that has left it is always wrong. So which steps must be labelled right is known beforehand. For
code problems the wrong ones are broken, failing and hostile programs (stages/engines/scripted/programs.py).

With `--script-delay` an answer takes a while and no CPU time, as a model's on a GPU does; so many are written at a time
as the engine has rows.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evals.errors import DataError, ModelError, UsageError
from evals.reading.letters import LETTERS
from evals.records import Problem
from evals.tasks import task_of
from evals.tasks.base import ProgramTask
from stages.engines.base import Completion, Draw, Request, Usage
from stages.engines.scripted.programs import write_program
from stages.files.reading import BadLines
from stages.files.records import Place, RecordReader

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LETTER = re.compile(rf"(?<=The answer is )[{LETTERS}]$")
_ANNOTATED = re.compile(r"<<([^<>=]+)=(\d+)>>(\d*)")

ROWS = 64
"""Answers that are written at a time where each takes a while."""

Script = Callable[[Request, Draw], str]


class ScriptedEngine:
    """Answers from a script. `tokens` counts words.

    Args:
        delay: seconds that each answer takes.
        rows: answers that are written at a time, if they take any; None: `ROWS`.
    """

    def __init__(self, script: str, delay: float = 0.0, rows: int | None = None) -> None:
        self.usage = Usage()
        self._write = _gold_policy(script) if script.startswith("gold:") else _from_file(script)
        self._delay, self._rows = delay, rows or ROWS
        self._free = asyncio.Semaphore(self._rows)
        self._under_way = self._streams = 0

    def hungry(self) -> bool:
        """While no answer waits for a row; always, if an answer takes no time."""
        return not self._delay or self._streams < self._rows

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        self._streams += 1
        try:
            if self._delay and request.eager:  # all are wanted, so they are written side by side
                await asyncio.gather(*(self._wait() for _ in request.draws))
            for draw in request.draws:
                if self._delay and not request.eager:
                    await self._wait()
                yield self._completion(request, draw)
        finally:
            self._streams -= 1

    async def _wait(self) -> None:
        """As long as an answer takes, once there is a row for it."""
        async with self._free:
            self._under_way += 1
            try:
                await asyncio.sleep(self._delay)
            finally:
                self._under_way -= 1

    def _completion(self, request: Request, draw: Draw) -> Completion:
        text = self._write(request, draw)
        places = [place for place in (text.find(stop) for stop in request.stop) if place >= 0]
        text = text[: min(places)] if places else text
        tokens = len(text.split())
        self.usage.completions += 1
        self.usage.tokens += tokens
        return Completion(text, tokens, "stop", draw.seed)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """A script knows no likelihoods."""
        raise ModelError("the scripted engine has no log-likelihoods", "Use --engine hf.")

    def rows(self) -> int:
        """Answers that are being written."""
        return self._under_way

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`."""
        return asdict(self.usage)

    async def close(self) -> None:
        """Nothing is held."""


def _from_file(name: str) -> Script:
    """Completions by problem id; a draw takes the one its seed falls on."""
    if not Path(name).is_file():
        raise UsageError(f"there is no script {name!r}", "Give gold:SHARE or a JSONL file of id and completions.")
    known = dict(BadLines(strict=True).good(RecordReader(name, _answers)))

    def write(request: Request, draw: Draw) -> str:
        completions = known.get(request.problem.id) or known.get("*")
        if completions is None:
            raise DataError(f"{name}: no completions for problem {request.problem.id!r}", 'Add a line with id "*".')
        return completions[draw.seed % len(completions)]

    return write


def _answers(row: Mapping[str, Any], _: Place) -> tuple[str, list[str]]:
    """A script line's problem id and completions."""
    identity, completions = row.get("id"), row.get("completions")
    advice = 'A line is {"id": ..., "completions": ["...", ...]}.'
    if not isinstance(identity, str):
        raise DataError("id: a string is needed", advice)
    if not isinstance(completions, list) or not completions or not all(isinstance(text, str) for text in completions):
        raise DataError("completions: a list of strings is needed", advice)
    return identity, completions


def _gold_policy(script: str) -> Script:
    try:
        share = float(script.removeprefix("gold:"))
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"{script!r}: the share of right answers must be between 0 and 1", "For example gold:0.4.")

    rng = random.Random()  # making one for every draw takes twice as long

    def write(request: Request, draw: Draw) -> str:
        if isinstance(task_of(request.problem), ProgramTask):
            return write_program(request.problem, request.prefix, share, draw.seed)
        rng.seed(draw.seed)
        gold = _gold_lines(request.problem)
        written = request.prefix.splitlines()
        rest = gold[len(written) :]
        if written == gold[: len(written)] and rng.random() < share:
            return "\n".join(rest)
        return "\n".join(_spoil(rng, rest or gold[-1:]))

    return write


def _gold_lines(problem: Problem) -> list[str]:
    text = task_of(problem).gold_text(problem)
    if text is None:
        raise DataError(f"{problem.id}: solution: missing, and gold:SHARE writes from it", "Use a script file instead.")
    return text.splitlines()


def _spoil(rng: random.Random, lines: list[str]) -> list[str]:
    """The lines with a wrong answer, and from some line on with a wrong step. Most wrong equations hold (of other
    numbers than the problem's), some do not, as with a real model."""
    first = rng.randrange(len(lines))
    shift = rng.randint(1, 9)
    holds = rng.random() < 0.75
    spoiled = [*lines[:first], *(_shifted(line, shift, holds) for line in lines[first:-1])]
    return [*spoiled, _last_number(lines[-1], shift)]


def _shifted(line: str, shift: int, holds: bool) -> str:
    if _ANNOTATED.search(line) is None:
        return _last_number(line, shift)

    def wrong(found: re.Match[str]) -> str:
        result = int(found[2]) + shift
        left = f"{found[1]}+{shift}" if holds else found[1]
        return f"<<{left}={result}>>{result if found[3] else ''}"

    return _ANNOTATED.sub(wrong, line)


def _last_number(line: str, shift: int) -> str:
    found = list(_NUMBER.finditer(line))
    letter = _LETTER.search(line)
    if letter is not None:
        return line[: letter.start()] + LETTERS[(LETTERS.index(letter[0]) + 1 + shift % 3) % len(LETTERS)]
    if not found:
        return f"{line} {shift}"
    start, end = found[-1].span()
    return f"{line[:start]}{float(found[-1][0]) + shift:g}{line[end:]}"
