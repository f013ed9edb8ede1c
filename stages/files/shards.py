"""The lines of a file that one of several runs takes: line number modulo the number of runs.

Shard.parse("1/4").holds(5)     # True: lines 1, 5, 9, ... counted from 0
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from evals.errors import UsageError

_ADVICE = "Write it as i/n with i from 0 to n-1 (--shard 0/4 to --shard 3/4), or slurm inside an array job."


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count`."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(f"there is no shard {self.index} of {self.count}", _ADVICE)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, line_number0: int) -> bool:
        """Whether the line (counted from 0) belongs to this shard."""
        return line_number0 % self.count == self.index

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] | None = None) -> Self:
        """Read `i/n`, or `slurm` for this task's index in its array job.

        Raises:
            UsageError: not of that form, no such shard, or an array without a regular step.
        """
        if text.strip().lower() == "slurm":
            return cls._from_slurm(os.environ if environment is None else environment)
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        if match is None:
            raise UsageError(f"--shard {text!r} cannot be read", _ADVICE)
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _from_slurm(cls, environment: Mapping[str, str]) -> Self:
        def number(name: str, default: int | None = None) -> int:
            text = environment.get(f"SLURM_ARRAY_TASK_{name}")
            if text is None and default is not None:
                return default
            if text is None or not text.isdecimal():
                found = "not set" if text is None else repr(text)
                raise UsageError(
                    f"--shard slurm needs SLURM_ARRAY_TASK_{name}, which is {found}",
                    "Submit the command with sbatch --array=0-3, or name the shard: --shard 0/4.",
                )
            return int(text)

        task, first, count, step = number("ID"), number("MIN"), number("COUNT"), number("STEP", 1)
        last = number("MAX", first + (count - 1) * max(step, 1))
        if step < 1 or last != first + (count - 1) * step or (task - first) % step or not first <= task <= last:
            raise UsageError(
                f"--shard slurm cannot tell which of {count} shards task {task} is: the array is not evenly spaced",
                "Submit it as a range (--array=0-3 or --array=0-9:3), or name the shard: --shard 0/4.",
            )
        return cls((task - first) // step, count)
