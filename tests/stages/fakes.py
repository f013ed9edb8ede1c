"""Engines for tests that say beforehand what is written, and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from evals.records import Problem
from stages.counts import Tally
from stages.engines.base import Completion, Draw, Request, Usage
from stages.runs.verdicts import Verdicts


class Written:
    """Writes what a function of request and draw says; `asked` and `handed` keep the requests and the draws taken."""

    def __init__(self, write: Callable[[Request, Draw], str | tuple[str, str]]) -> None:
        self.write, self.usage = write, Usage()
        self.asked: list[Request] = []
        self.handed: Counter[tuple[str, int]] = Counter()
        """(prefix, seed) of every draw that was taken."""
        self.temperatures: dict[int, float] = {}

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        self.asked.append(request)
        for draw in request.draws:
            await asyncio.sleep(0)
            made = self.write(request, draw)
            text, finish = (made, "stop") if isinstance(made, str) else made
            self.handed[request.prefix, draw.seed] += 1
            self.temperatures[draw.seed] = draw.temperature
            self.usage.completions += 1
            yield Completion(text, len(text.split()), finish, draw.seed)  # type: ignore[arg-type]  # a plain str

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def hungry(self) -> bool:
        return True

    def spent(self) -> dict[str, int]:
        return {"completions": self.usage.completions}

    async def close(self) -> None:
        pass


class InOrder(Written):
    """Writes the given texts one after the other; a tuple is (text, finish)."""

    def __init__(self, *texts: str | tuple[str, str]) -> None:
        left = iter(texts)
        super().__init__(lambda request, draw: next(left))


def work(stage: Callable[[Problem, Tally], Any], problem: Problem) -> tuple[Problem, Counter[str]]:
    """One problem through a stage: the line that comes out, and the counts."""
    tally = Tally()

    async def go() -> Any:
        try:
            return await stage(problem, tally)
        finally:
            if isinstance(verdicts := getattr(stage, "verdicts", None), Verdicts):
                await verdicts.close()

    (result,) = asyncio.run(go())
    return result, tally.counts


def chain_problem(**fields: Any) -> Problem:
    """40 - 15 = 25, 25 * 3 = 75, 75 + 1 = 76."""
    return Problem.model_validate(
        {
            "id": "c", "task": "chain", "question": "Mia has 40 pens. She loses 15. ...", "answer": "76",
            "solution": ["40-15=25", "25*3=75", "75+1=76"], **fields,
        }
    )  # fmt: skip


def path(number: int, *steps: str, answer: str = "76", correct: bool = False, **fields: Any) -> dict[str, Any]:
    """A sampled path of problem "c" as JSON."""
    text = "\n".join([*steps, f"The answer is {answer}"])
    return {"id": f"c#{number}", "text": text, "steps": list(steps), "answer": answer, "correct": correct, **fields}
