"""The section on accuracy: rates with intervals by round, paired tests, and several answers per problem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stages.page.blocks import Charts, Group, Section, Text
from stages.page.charts import Axis, Chart, Point, Series, Table, anchor

Row = Mapping[str, Any]
SURE = 0.05
"""The p-value below which a difference is called one."""
OTHER = 3
"""The rank of policies that are neither base nor sft nor of a round."""


def accuracy(policies: Sequence[Row], first_loop: str, against: str) -> Section:
    """The section.

    Args:
        policies: rows as `stages.report.report` gives them.
        first_loop: the name of the loop that policies without a prefix belong to.
        against: the policy that gains are measured against.
    """
    section = Section("accuracy", "Accuracy")
    traced = " Trace accuracy asks that every step be right, too." if any(row["trace"] for row in policies) else ""
    section.blocks.append(
        Text(
            f"The share of problems whose first answer is right, with its 95 % Wilson interval.{traced} Gains are "
            "paired: p is the exact two-sided McNemar test on the same problems; a difference with p below "
            f"{SURE} is called better or worse, any other is no clear difference."
        )
    )
    for split in dict.fromkeys(row["split"] for row in policies):
        rows = [row for row in policies if row["split"] == split]
        charts = [
            *_by_round(rows, split, first_loop),
            *(_drawn(row, split) for row in rows if "drawn" in row),
        ]
        section.blocks.append(Group(_split(split), [Charts(tuple(charts)), _rates(rows), _gains(rows, against)]))
    return section


SETS = {
    "gsm8k": "GSM8K", "mmlu_math": "MMLU, mathematics", "mbpp": "MBPP", "humaneval": "HumanEval", "chain": "chain",
    "functions": "functions", "math": "mathematics", "code": "code",
}  # fmt: skip
"""Names of the sets whose problems have no split, by task."""


def _split(name: str) -> str:
    known = {"ood": "Out of domain (split ood)", "test": "Test (split test)"}
    return known.get(name) or SETS.get(name) or f"Split {name}"


def percent(share: float) -> str:
    """A share as `41.6`."""
    return f"{100 * share:.1f}"


def interval(rate: Row) -> str:
    """The interval of a rate as `38.6 to 44.7`."""
    return f"{percent(rate['low'])} to {percent(rate['high'])}"


def p_value(p: float) -> str:
    """A p-value as the terminal's table writes it."""
    return f"{p:.2g}"


def verdict(gain: float, p: float) -> str:
    """What a paired test says."""
    if p >= SURE:
        return "no clear difference"
    return "better" if gain > 0 else "worse"


def _rates(rows: Sequence[Row]) -> Table:
    traced = any(row["trace"] for row in rows)
    columns = [
        "policy",
        "right",
        "n",
        "accuracy %",
        "95 % interval",
        *(["trace %", "trace interval"] if traced else []),
    ]
    left_out = any("unanswered" in row for row in rows)
    found = []
    for row in rows:
        cells: list[object] = [row["policy"], row["right"], row["n"], percent(row["rate"]), interval(row)]
        if traced:
            cells += [percent(row["trace"]["rate"]), interval(row["trace"])] if row["trace"] else [None, None]
        found.append((*cells, *([row.get("unanswered", 0)] if left_out else [])))
    return Table((*columns, *(["without an answer"] if left_out else [])), found, "Accuracy and its interval")


def _gains(rows: Sequence[Row], against: str) -> Table:
    columns = (
        "policy",
        f"gain over {against}, points",
        "p",
        f"against {against}",
        "round before",
        "gain, points",
        "p",
        "against the round before",
    )
    found: list[tuple[object, ...]] = []
    for row in rows:
        cells: list[object] = [row["policy"]]
        for gain, p, more in (("gain", "p", None), ("gain_before", "p_before", "before")):
            cells += [row.get(more)] if more else []
            told = gain in row
            cells += [f"{100 * row[gain]:+.1f}", p_value(row[p]), verdict(row[gain], row[p])] if told else [None] * 3
        found.append(tuple(cells))
    return Table(columns, found, f"Paired gains over {against} and over the round before")


def _by_round(rows: Sequence[Row], split: str, first_loop: str) -> list[Chart]:
    """Accuracy and trace accuracy over the rounds, a line for each loop; of a single loop, both in one chart."""
    loops: dict[str, dict[str, Row]] = {}
    for row in rows:
        loop, _, own = row["policy"].rpartition("/")
        loops.setdefault(loop or first_loop, {})[own] = row
    names = sorted({own for policies in loops.values() for own in policies}, key=order)
    # What else was evaluated is no point on the way from round to round.
    names = [name for name in names if order(name)[0] < OTHER] or names
    axis = Axis("policy", tuple(names))

    def line(name: str, policies: Mapping[str, Row], part: str | None) -> Series:
        points = []
        for x, own in enumerate(names):
            found = policies.get(own)
            rate = found if found is None or part is None else found[part]
            if rate:
                points.append(Point(x, 100 * rate["rate"], 100 * rate["low"], 100 * rate["high"]))
        return Series(name, tuple(points))

    traced = any(row["trace"] for row in rows)
    title = f"on {SETS.get(split, split)}"
    slug = anchor(split)
    note = "Bars are 95 % intervals."
    if len(loops) == 1:
        (policies,) = loops.values()
        series = [
            line("right answer", policies, None),
            *([line("right by right steps", policies, "trace")] if traced else []),
        ]
        return [
            Chart(f"accuracy-{slug}", f"Accuracy by round {title}", axis, Axis("problems, %"), tuple(series), note=note)
        ]
    charts = [
        Chart(
            f"accuracy-{slug}", f"Accuracy by round {title}", axis, Axis("right answer, %"),
            tuple(line(name, policies, None) for name, policies in loops.items()), note=note,
        )
    ]  # fmt: skip
    if traced:
        charts.append(
            Chart(
                f"trace-{slug}", f"Trace accuracy by round {title}", axis, Axis("right by right steps, %"),
                tuple(line(name, policies, "trace") for name, policies in loops.items()), note=note,
            )
        )  # fmt: skip
    return charts


def order(name: str) -> tuple[int, int, str]:
    """Sorts a loop's policies: base, sft, the rounds by number, then what else was evaluated (`OTHER`)."""
    number = re.fullmatch(r"round(\d+)", name)
    rank = {"base": 0, "sft": 1}.get(name, 2 if number else OTHER)
    return rank, int(number[1]) if number else 0, name


def _drawn(row: Row, split: str) -> Chart:
    """pass@k and maj@k of a policy that gave several answers per problem."""
    named = {
        "oracle": "pass@k: any of k answers is right",
        "majority": "maj@k: the most frequent of k answers is right",
    }
    series = tuple(
        Series(
            said,
            tuple(
                Point(n, 100 * found["rate"], 100 * found["low"], 100 * found["high"])
                for n, found in enumerate(one.get(pick) for one in row["drawn"]["rows"])
                if found
            ),
        )
        for pick, said in named.items()
    )
    ks = tuple(str(one["n"]) for one in row["drawn"]["rows"])
    return Chart(
        f"draws-{anchor(row['policy'])}-{anchor(split)}",
        f"Several answers of {row['policy']} on {split}",
        Axis("k answers", ks),
        Axis("problems, %"),
        tuple(one for one in series if one.points),
        note=f"Of {row['drawn']['problems']:,} problems; mean over all choices of k among the answers, ties by lot. "
        "Bars are 95 % intervals.",
    )
