"""Which problems the data commands write, and from where.

Gsm8kSettings(split="train", path="train.jsonl", annotations="strip")
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import Literal

from evals.errors import UsageError
from evals.programs.steps import StepRule
from stages.settings.declare import Panel, setting

HUB = "hub"
"""In the place of a file's name: the dataset hub."""
_SPLIT = "Which split the problems are; part of their ids."


@dataclass(frozen=True)
class RowSettings:
    """What every command can be told that makes problems of rows."""

    n: int | None = setting(None, "Problems to write, from the first on; all unless given.", flags=("-n",), low=1)
    strict: bool = setting(False, "Stop at the first bad line instead of skipping it.", panel=Panel.FILES)
    overwrite: bool = setting(False, "Start over, replacing the output.", panel=Panel.FILES)


@dataclass(frozen=True)
class ChainSettings:
    """Which problems of the chain world are generated."""

    split: Literal["train", "validation", "test", "ood"] = setting(MISSING, "Splits never share a problem.")
    n: int = setting(MISSING, "Problems to write.", flags=("-n",), low=1)
    seed: int = setting(0, "Seed of every random choice.", low=0)


@dataclass(frozen=True)
class Gsm8kSettings:
    """Which part of GSM8K, and how its solutions are written."""

    split: Literal["train", "test"] = setting(MISSING, _SPLIT)
    path: str = setting(HUB, "The split's official .jsonl, or 'hub' for the dataset hub.", metavar="FILE")
    annotations: Literal["keep", "strip"] = setting(
        "keep", "Keep or strip the calculator's <<48/2=24>> in solutions."
    )  # fmt: skip


@dataclass(frozen=True)
class MbppSettings:
    """Which part of MBPP."""

    split: Literal["prompt", "test", "validation", "train"] = setting(
        MISSING, "Task ids 1-10, 11-510, 511-600 or 601-974."
    )
    path: str = setting(HUB, "The official file, or 'hub' for the dataset hub.", metavar="FILE")
    sanitized: bool = setting(False, "The hand-checked part, from its own file.", flags=("--sanitized",))


@dataclass(frozen=True)
class MmluSettings:
    """Which part of MMLU, and how it is asked. `subjects` None: four of mathematics."""

    split: Literal["dev", "val", "test"] = setting(MISSING, _SPLIT)
    path: str = setting(HUB, "Folder with dev/, val/ and test/, or 'hub' for the hub.", metavar="DIR")
    subjects: str | None = setting(None, "MMLU's subjects; four of mathematics unless given.", metavar="A,B")
    mode: Literal["loglikelihood", "letter", "number"] = setting(
        "loglikelihood", "Likeliest letter, a written letter, or the right choice's number."
    )

    def names(self, usual: tuple[str, ...]) -> tuple[str, ...]:
        """The subjects, in the order given; `usual` are those that are taken unless any is."""
        if not self.subjects:
            return usual
        return tuple(name.strip() for name in self.subjects.split(",") if name.strip())


@dataclass(frozen=True)
class FileSource:
    """A file of one's own."""

    path: str = setting(MISSING, "File to read: .jsonl, .jsonl.gz, or - for stdin.", metavar="FILE")


@dataclass(frozen=True)
class HumanEvalSource:
    """HumanEval's file. `path` None: the package's own."""

    path: str | None = setting(None, "A file in the same form; the package's own unless given.", metavar="FILE")


@dataclass(frozen=True)
class ProcessBenchSource:
    """ProcessBench's file."""

    path: str = setting(MISSING, "An official file, .json or .jsonl.", metavar="FILE")


@dataclass(frozen=True)
class MathShepherdSource:
    """Math-Shepherd's file."""

    path: str = setting(MISSING, "A .jsonl of input, label and task.", metavar="FILE")


@dataclass(frozen=True)
class CuttingSettings:
    """How programs are cut into steps. `chunk` None: 2 lines, or a block.

    Raises:
        UsageError: the two contradict each other.
    """

    steps: Literal["lines", "blocks"] = setting(
        "lines", "A step is a line, or a statement with its body; all stages heed it."
    )  # fmt: skip
    chunk: int | None = setting(None, "Lines that are rolled out and labelled together; 2 unless given.", low=1)

    def __post_init__(self) -> None:
        if self.steps == "blocks" and self.chunk is not None:
            raise UsageError("--chunk counts lines", "Give it with --steps lines.")

    def rule(self) -> StepRule:
        """The same for the tasks."""
        if self.steps == "blocks":
            return StepRule("blocks", 1)
        return StepRule() if self.chunk is None else StepRule("lines", self.chunk)
