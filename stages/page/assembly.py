"""Puts the page together: which sections it has, in which order, and what stands above and below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from stages.files.manifest import toolkit_version
from stages.page.accuracy import OTHER, accuracy, interval, order, p_value, percent, verdict
from stages.page.blocks import Section, Text
from stages.page.charts import Chart, Table
from stages.page.costs import costs
from stages.page.drawing import file_of
from stages.page.health import health
from stages.page.made import outputs, unfinished, when
from stages.page.problems import problem_section
from stages.page.provenance import provenance
from stages.page.render import page
from stages.page.reward import reward
from stages.page.training import training
from stages.settings.report import ReportSettings
from stages.shown import many

NO_BREAK = "\u00a0"
"""A space at which no line ends."""


@dataclass(frozen=True)
class Assembled:
    """The parts of a page."""

    title: str
    lead: str
    sections: list[Section]
    problems: Mapping[str, Any] | None
    foot: str

    @property
    def charts(self) -> list[Chart]:
        """Every chart, in its order."""
        return [chart for section in self.sections for chart in section.charts()]

    def html(self) -> str:
        """The page."""
        return page(self.title, self.lead, self.sections, self.foot, self.problems)

    def figures(self) -> Iterator[tuple[str, str]]:
        """Every chart's name and the content of its SVG file."""
        return ((chart.name, file_of(chart)) for chart in self.charts)


def assemble(folders: Mapping[str, Path], result: Mapping[str, Any], settings: ReportSettings) -> Assembled:
    """The page of some loops.

    Args:
        folders: the loops by their names, which differ.
        result: what `stages.report.report` found in them.

    Raises:
        DataError: a manifest or a line that cannot be read.
    """
    loops = {name: outputs(folder) for name, folder in folders.items()}
    first = next(iter(folders))
    sections = [
        _overview(folders, result, settings.against),
        accuracy(result["policies"], first, settings.against),
        health(folders),
        costs(loops, result["rounds"]),
        reward(folders, settings.seed),
        training(folders),
        provenance(loops),
    ]
    finished = [
        str(made.manifest["finished"]) for found in loops.values() for made in found if "finished" in made.manifest
    ]
    last = f" The newest file was finished at {when(max(finished))}." if finished else ""
    return Assembled(
        f"Report on {', '.join(folders)}",
        f"What sipf found in {', '.join(map(str, folders.values()))}.{last}",
        [section for section in sections if section is not None],
        problem_section(folders, most=settings.problems, seed=settings.seed) if settings.problems else None,
        f"Made by sipf {toolkit_version()} report. This file fetches nothing.",
    )


def _overview(folders: Mapping[str, Path], result: Mapping[str, Any], against: str) -> Section:
    """The last policy of each loop on each split, the best round, and what is not finished. One loop's policy is told
    in a sentence, those of several stand in a table."""
    section = Section("overview", "In short")
    rows = []
    for split, name in product(dict.fromkeys(row["split"] for row in result["policies"]), folders):
        own = [row for row in result["policies"] if row["split"] == split and _loop(row["policy"], folders) == name]
        rows += [row for row in own if _rank(row) < OTHER][-1:] or own[-1:]
    if len(folders) == 1:
        section.blocks += [Text(_sentence(row, against)) for row in rows]
    else:
        section.blocks.append(_last_policies(rows, against))
    section.blocks += [Text(_best(row)) for row in result["best"]]
    for name, folder in folders.items():
        section.blocks += [Text(f"{name}: {said}", notice=True) for said in unfinished(folder)]
    return section


def _loop(policy: str, folders: Mapping[str, Path]) -> str:
    return policy.rpartition("/")[0] or next(iter(folders))


def _rank(row: Mapping[str, Any]) -> int:
    return order(row["policy"].rpartition("/")[2])[0]


def _best(row: Mapping[str, Any]) -> str:
    """The best round that health.jsonl names, and what ended the loop."""
    name = f"round {row['round']}" if row["round"] else "SFT"
    said = f"{row['loop']}: of {many(row['rounds'], 'round')} the best model is that of {name} ({row['model']})"
    if not row["round"]:
        said = f"{row['loop']}: after {many(row['rounds'], 'round')} the best model is still {name} ({row['model']})"
    ended = f" The loop was ended by: {row['ended_by']}." if row["ended_by"] else ""
    return f"{said}, by the {row['chosen_on']} problems.{ended}"


def _last_policies(rows: Sequence[Mapping[str, Any]], against: str) -> Table:
    """What `_sentence` says, a row per policy and split."""
    traced = any(row["trace"] for row in rows)

    def change(row: Mapping[str, Any], gain: str, p: str) -> str | None:
        if gain not in row:
            return None
        return f"{100 * row[gain]:+.1f}, {verdict(row[gain], row[p])} (p{NO_BREAK}={NO_BREAK}{p_value(row[p])})"

    cells = []
    for row in rows:
        trace = percent(row["trace"]["rate"]) if row["trace"] else None
        rates = (f"{percent(row['rate'])} ({interval(row)})", *([trace] if traced else []))
        cells.append(
            (row["split"], row["policy"], *rates, change(row, "gain", "p"), change(row, "gain_before", "p_before"))
        )
    columns = (
        "split", "policy", "right % (95 %)", *(["by right steps %"] if traced else []), f"points against {against}",
        "points against the round before",
    )  # fmt: skip
    return Table(columns, cells, "The last policy of each loop")


def _sentence(row: Mapping[str, Any], against: str) -> str:
    said = f"{row['policy']} on {row['split']}: {percent(row['rate'])}{NO_BREAK}% right ({interval(row)}{NO_BREAK}%)"
    if row["trace"]:
        said += f", {percent(row['trace']['rate'])}{NO_BREAK}% by right steps"
    for gain, p, other in (("gain", "p", against), ("gain_before", "p_before", row.get("before"))):
        if gain in row:
            told = verdict(row[gain], row[p])
            said += f"; {100 * row[gain]:+.1f} points against {other} (p{NO_BREAK}={NO_BREAK}{p_value(row[p])}, {told})"
    return f"{said}."
