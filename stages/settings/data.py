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
_SPLIT = "Split to write; part of the problems' ids."


@dataclass(frozen=True)
class RowSettings:
    """Settings of every command that makes problems from rows."""

    n: int | None = setting(
        None, "Number of problems to write, from the first on; by default all.", flags=("-n",), low=1
    )
    strict: bool = setting(False, "Stop at the first bad line instead of skipping it.", panel=Panel.FILES)
    overwrite: bool = setting(False, "Start over, replacing the output.", panel=Panel.FILES)


@dataclass(frozen=True)
class WorldSettings:
    """Which problems of an embedded world are generated."""

    split: Literal["train", "validation", "test", "ood"] = setting(
        MISSING, "Split to write; splits never share a problem."
    )
    n: int = setting(MISSING, "Number of problems to write.", flags=("-n",), low=1)
    seed: int = setting(0, "Seed of every random choice.", low=0)


@dataclass(frozen=True)
class Gsm8kSettings:
    """Which part of GSM8K, and how its solutions are written."""

    split: Literal["train", "test"] = setting(MISSING, _SPLIT)
    path: str = setting(HUB, "The split's official .jsonl, or 'hub' for the dataset hub.", metavar="FILE")
    annotations: Literal["keep", "strip"] = setting(
        "keep", "Keep or strip the calculator annotations, <<48/2=24>>, in solutions."
    )  # fmt: skip


@dataclass(frozen=True)
class MbppSettings:
    """Which part of MBPP."""

    split: Literal["prompt", "test", "validation", "train"] = setting(
        MISSING, "Split to write: task ids 1-10, 11-510, 511-600 or 601-974."
    )
    path: str = setting(HUB, "The official file, or 'hub' for the dataset hub.", metavar="FILE")
    sanitized: bool = setting(False, "Write the hand-checked part, which has its own file.", flags=("--sanitized",))


@dataclass(frozen=True)
class MmluSettings:
    """Which part of MMLU, and how it is asked. `subjects` None: four of mathematics."""

    split: Literal["dev", "val", "test"] = setting(MISSING, _SPLIT)
    path: str = setting(HUB, "Folder with dev/, val/ and test/, or 'hub' for the hub.", metavar="DIR")
    subjects: str | None = setting(None, "Subjects, by MMLU's names; by default four of mathematics.", metavar="A,B")
    mode: Literal["loglikelihood", "letter", "number"] = setting(
        "loglikelihood", "Answer by likeliest letter, by written letter, or by the right choice's number."
    )

    def names(self, usual: tuple[str, ...]) -> tuple[str, ...]:
        """The subjects in the order given; `usual` if none is given."""
        if not self.subjects:
            return usual
        return tuple(name.strip() for name in self.subjects.split(",") if name.strip())


@dataclass(frozen=True)
class FileSource:
    """The user's own file."""

    path: str = setting(MISSING, "File to read: lines of JSON, one JSON list, a table, or - for stdin.", metavar="FILE")


@dataclass(frozen=True)
class HumanEvalSource:
    """HumanEval's file. `path` None: the package's own."""

    path: str | None = setting(None, "File of HumanEval problems; by default the package's own.", metavar="FILE")


@dataclass(frozen=True)
class ProcessBenchSource:
    """ProcessBench's file."""

    path: str = setting(MISSING, "Official ProcessBench file, .json or .jsonl.", metavar="FILE")


@dataclass(frozen=True)
class MathShepherdSource:
    """Math-Shepherd's file."""

    path: str = setting(MISSING, "A .jsonl file with input, label and task.", metavar="FILE")


@dataclass(frozen=True)
class StepLabelSource:
    """A file of step labels."""

    path: str = setting(MISSING, "File of step labels in a published form.", metavar="FILE")


@dataclass(frozen=True)
class CuttingSettings:
    """How programs are cut into steps. `chunk` None: 2 lines, or a block.

    Raises:
        UsageError: the two contradict each other.
    """

    steps: Literal["lines", "blocks"] = setting(
        "lines", "What a step is for all stages: a line, or a statement with its body."
    )  # fmt: skip
    chunk: int | None = setting(None, "Lines to roll out and label together; by default 2.", low=1)

    def __post_init__(self) -> None:
        if self.steps == "blocks" and self.chunk is not None:
            raise UsageError("--chunk counts lines", "Give it with --steps lines.")

    def rule(self) -> StepRule:
        """The rule in the tasks' form."""
        if self.steps == "blocks":
            return StepRule("blocks", 1)
        return StepRule() if self.chunk is None else StepRule("lines", self.chunk)
