"""What a section of the page consists of: texts, tables, charts, and groups of these. Data alone; templates show it.

Section("accuracy", "Accuracy", [Text("Greedy answers."), Table(("policy",), [("sft",)]), Charts((chart,))])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stages.page.charts import Chart, Table


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. A notice stands out: something is missing, or not as one would think."""

    text: str
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts side by side as far as there is room, each with its table below it."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks under a heading, or with `folded` behind one that opens them."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


Block = Text | Table | Charts | Group


@dataclass(slots=True)
class Section:
    """A part of the page with its own entry in the navigation."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def charts(self) -> Iterator[Chart]:
        """Every chart of the section, in its order."""
        return _charts(self.blocks)


def _charts(blocks: Sequence[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Charts):
            yield from block.charts
        elif isinstance(block, Group):
            yield from _charts(block.blocks)
