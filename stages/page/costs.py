"""The section on costs: what each stage took, what labels cost against brute force, what became pairs, and what was
dropped and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.counts import Count, brute_force
from stages.page.blocks import Block, Charts, Group, Section, Text
from stages.page.charts import Axis, Chart, Point, Series, Table, anchor
from stages.page.made import Made
from stages.strategies.cost import EVERY, UNIQUE, against_brute, cost_report

DROPPED = re.compile(
    r"dropped|left out|left un|\bwithout\b|bad lines|failed|unfinished|could not|cannot|cut off|undecided|not tried|"
    r"short of|stopped by|no labels|no decided step|no solution|too long|no steps|inside the next|weak"
)
"""The names of counts that say what is missing; all others count what was done."""
WITHOUT = "problems without a pair: "
LEFT = "pairs left out: "


def costs(loops: Mapping[str, Sequence[Made]], rounds: Sequence[Mapping[str, Any]]) -> Section:
    """The section.

    Args:
        loops: the outputs of each loop, by its name.
        rounds: rows as `stages.report.report` gives them.
    """
    section = Section("costs", "Costs, pairs and what was dropped")
    if rounds:
        section.blocks.append(
            Text("What is made in folder r0 (round 0) trains the policy round1, what is made in r1 trains round2.")
        )
    charts = []
    for name, made in loops.items():
        charts += [*_label_cost(name, made), *_yield(name, made)]
    if charts:
        section.blocks.append(Charts(tuple(charts)))
    if rounds:
        section.blocks.append(_rounds(rounds))
    for name, made in loops.items():
        blocks = [_time(made), *_labels(made), *_pairs(made), _missing(made)]
        section.blocks += [Group(f"Loop {name}", blocks)] if len(loops) > 1 else blocks
    return section


def known_figures(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what at least one of the rounds has; without a reward model, nothing of it."""
    return [name for name in rounds[0] if any(row[name] is not None for row in rounds)]


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> Table:
    """The terminal's table: a column for each round, a row for what any of them has."""
    names = [name for name in known_figures(rounds) if name not in ("loop", "round")]
    several = len({row["loop"] for row in rounds}) > 1
    columns = ("", *(f"{row['loop']} r{row['round']}" if several else f"r{row['round']}" for row in rounds))
    return Table(columns, [(name, *(row[name] for row in rounds)) for name in names], "What each round took and made")


def round_of(name: str) -> str:
    """The round's folder that an output is in: "r0" of r0/labels.jsonl."""
    return name.partition("/")[0]


def _of(made: Iterable[Made], file: str) -> list[Made]:
    """The outputs of that name, one per round."""
    return [one for one in made if one.name.endswith(f"/{file}") and one.name.startswith("r")]


def _label_cost(loop: str, made: Sequence[Made]) -> list[Chart]:
    found = [one for one in _of(made, "labels.jsonl") if Count.ROLLOUTS in one.counts]
    if not found:
        return []
    drawn = {
        "rollouts made": str(Count.ROLLOUTS),
        "brute force, each prefix once": brute_force("rollouts", UNIQUE),
        "brute force, every step": brute_force("rollouts", EVERY),
    }
    return [
        Chart(
            f"rollouts-{anchor(loop)}",
            f"Rollouts for labels, {loop}",
            Axis("round", tuple(round_of(one.name) for one in found)),
            Axis("rollouts"),
            tuple(
                Series(said, tuple(Point(x, one.counts[name]) for x, one in enumerate(found) if name in one.counts))
                for said, name in drawn.items()
            ),
            "bars",
            "Brute force rolls out each step of the paths that have a label K times.",
        )
    ]


def _yield(loop: str, made: Sequence[Made]) -> list[Chart]:
    found = _of(made, "pairs.jsonl")
    reasons: dict[str, dict[str, int]] = {}
    for one in found:
        for rule, told in _rules(one).items():
            for name, n in told.get("counts", {}).items():
                if name.startswith(WITHOUT):
                    reasons.setdefault(f"{rule}: {name.removeprefix(WITHOUT)}", {})[round_of(one.name)] = n
    if not reasons:
        return []
    rounds = [round_of(one.name) for one in found]
    names = sorted(reasons, key=lambda name: -sum(reasons[name].values()))
    series = tuple(
        Series(place, tuple(Point(x, reasons[name][place]) for x, name in enumerate(names) if place in reasons[name]))
        for place in rounds
    )
    chart = Chart(
        f"no-pair-{anchor(loop)}", f"Why problems have no pair, {loop}", Axis("rule and reason", tuple(names)),
        Axis("problems"), series, "bars",
    )  # fmt: skip
    return [chart, *_sweep(loop, found)]


def _sweep(loop: str, found: Sequence[Made]) -> list[Chart]:
    """The pairs that other gaps would have made, for the rules that ask for a gap."""
    series = tuple(
        Series(
            f"{round_of(one.name)}, {rule}",
            tuple(Point(float(eta), made["pairs"]) for eta, made in told["sweep"].items()),
        )
        for one in found
        for rule, told in _rules(one).items()
        if told.get("sweep")
    )
    if not series:
        return []
    eta = Axis("smallest gap between the scores of a pair (eta)", low=0.0)
    return [Chart(f"yield-{anchor(loop)}", f"Pairs by smallest gap, {loop}", eta, Axis("pairs", low=0.0), series)]


def _rules(one: Made) -> Mapping[str, Mapping[str, Any]]:
    pairs = one.manifest.get("pairs")
    found = pairs.get("rules") if isinstance(pairs, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _time(made: Sequence[Made]) -> Table:
    rows = [
        (one.name, one.stage, one.seconds, one.tokens, one.tokens / one.seconds if one.tokens and one.seconds else None)
        for one in made
        if one.seconds is not None
    ]
    total = sum(one.seconds or 0.0 for one in made)
    rows.append(("all", "", total, sum(one.tokens or 0 for one in made), None))
    return Table(("output", "command", "seconds", "tokens generated", "tokens per second"), rows, "Time and tokens")


def _labels(made: Sequence[Made]) -> list[Block]:
    rows: list[tuple[object, ...]] = []
    for one in _of(made, "labels.jsonl"):
        cost = cost_report(one.counts)
        shares = [cost.get(against_brute(what, kind)) for what in ("rollouts", "tokens") for kind in (UNIQUE, EVERY)]
        counts = one.counts
        rows.append(
            (
                one.name, counts.get(Count.PROBLEMS_LABELLED), counts.get(Count.STEPS_LABELLED),
                counts.get("right steps"), counts.get(Count.ROLLOUTS), counts.get(Count.ROLLOUT_TOKENS), one.seconds,
                *(None if share is None else f"{100 * share:.1f} %" for share in shares),
            )
        )  # fmt: skip
    columns = (
        "labels", "problems", "steps", "right steps", "rollouts", "tokens", "seconds", "rollouts, of brute by prefix",
        "rollouts, of brute by step", "tokens, of brute by prefix", "tokens, of brute by step",
    )  # fmt: skip
    return (
        [Table(columns, rows, "What labels cost; brute force rolls out each distinct prefix, or each step")]
        if rows
        else []
    )


def _pairs(made: Sequence[Made]) -> list[Block]:
    """The counts of each rule, a column per round."""
    found = _of(made, "pairs.jsonl")
    counted = [{rule: told.get("counts", {}) for rule, told in _rules(one).items()} for one in found]
    names = dict.fromkeys((rule, name) for rules in counted for rule, counts in rules.items() for name in counts)
    rows = [(rule, *(rules.get(rule, {}).get(name) for rules in counted), name) for rule, name in names]
    columns = ("rule", *(round_of(one.name) for one in found), "what")
    return [Table(columns, rows, "Pairs by rule and reason")] if rows else []


def _missing(made: Sequence[Made]) -> Block:
    """What is not in each output, and why."""
    rows = [
        (one.name, one.stage, n, name)
        for one in made
        for name, n in _all_counts(one).items()
        if n and DROPPED.search(name)
    ]
    if not rows:
        return Text("No stage dropped anything.")
    return Table(("output", "command", "number", "what and why"), rows, "What was dropped or left out, by stage")


def _all_counts(one: Made) -> dict[str, int]:
    """The counts of an output; those of a pairs manifest that its rules explain stand there by rule."""
    found = dict(one.counts)
    for rule, told in _rules(one).items():
        found |= {f"{rule}: {name}": n for name, n in told.get("counts", {}).items()}
    return found
