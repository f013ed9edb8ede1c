"""The lines of a file that one of several runs takes: line number modulo the number of runs.

Shard.parse("1/4").holds(5)     # True: lines 1, 5, 9, ... counted from 0
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from evals.errors import UsageError

_ADVICE = "Write it as i/n with i from 0 to n-1 (--shard 0/4 to --shard 3/4), or slurm or slurm/n inside an array job."


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
        """Read `i/n`; `slurm` for this task's place in its array; `slurm/n` for this task's index of n.

        Slurm tells a task that is submitted again alone (`--array=2`) nothing of the array it was once part of. Only
        `slurm/n` gives it the shard it had.

        Raises:
            UsageError: not of that form, no such shard, or an array without a regular step, or of one task.
        """
        variables = os.environ if environment is None else environment
        match = re.fullmatch(r"(slurm|\d{1,9})\s*(?:/\s*(\d{1,9}))?", text.strip().lower())
        if match is None or (match[2] is None and match[1] != "slurm"):
            raise UsageError(f"--shard {text!r} cannot be read", _ADVICE)
        if match[1] != "slurm":
            return cls(int(match[1]), int(match[2]))
        return cls._in_array(variables) if match[2] is None else cls(_task(variables, "ID"), int(match[2]))

    @classmethod
    def _in_array(cls, environment: Mapping[str, str]) -> Self:
        def number(name: str, default: int | None = None) -> int:
            return _task(environment, name, default)

        task, first, count, step = number("ID"), number("MIN"), number("COUNT"), number("STEP", 1)
        last = number("MAX", first + (count - 1) * max(step, 1))
        if step < 1 or last != first + (count - 1) * step or (task - first) % step or not first <= task <= last:
            raise UsageError(
                f"--shard slurm cannot tell which of {count} shards task {task} is: the array is not evenly spaced",
                "Submit it as a range (--array=0-3 or --array=0-9:3), or name the shard: --shard 0/4.",
            )
        if count == 1:
            raise UsageError(
                f"--shard slurm cannot tell which shard task {task} is: its array has no other task",
                f"If it is part of an earlier array, name its shard (--shard {task}/N where that began at 0); "
                "--shard slurm/N needs no renaming. To take all lines, leave --shard out.",
            )
        return cls((task - first) // step, count)


def _task(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    """The number in one of the array job's variables."""
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


def refuse_other_counts(output: str, shard: Shard) -> None:
    """Refuse a shard whose output stands among those of a run with another number of shards.

    So it does where part of an array is submitted again: of `--array=2-3` Slurm says only that there are two tasks.

    Args:
        output: the output's name, with `{shard}` where the shard's number goes.

    Raises:
        UsageError: there is such an output, complete or unfinished.
    """
    before, _, after = output.partition("{shard}")
    for ending in (".manifest.json", ".part"):
        for path in sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}{ending}")):
            count = _count_in(path)
            if count not in (None, shard.count):
                raise UsageError(
                    f"{path.removesuffix(ending)} is one of {count} shards, and this is one of {shard.count}",
                    f"Name the shard it is of those (--shard I/{count}; in an array job --shard slurm/{count}), "
                    f"choose another -o, or delete them or start over with --overwrite.",
                )


def _count_in(path: str) -> int | None:
    """The number of shards that a manifest, or the first line of a journal, names."""
    try:
        with open(path, encoding="utf-8") as file:
            said = json.loads(file.read() if path.endswith(".json") else file.readline())
    except (OSError, ValueError):
        return None  # whoever writes that very file says what is wrong with it
    shard = said.get("shard") if isinstance(said, dict) else None
    count = shard.get("count") if isinstance(shard, dict) else None
    return count if isinstance(count, int) else None
