"""The page of claims: what the paper says, what the arms of reproduce.sh show, and how sure that is.

    python claims.py runs/reproduce -o claims.md [--code runs/reproduce-code] [--second OTHER] [--kept docs/claims]

The figures go to a folder beside the page (`claims/` for `claims.md`), and with them every first answer's verdict
(`arms.jsonl`; `second.jsonl`, `long.jsonl`, `code.jsonl`). `--kept` takes such a folder: its arms stand beside those of
the run, which replace arms of the same name and seed. Seeds that have not finished an arm are left out of its rows and
counted. Arms that have no more than one round stand in a table of that round.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arm_results import Arm, Difference, Result, arms_of, difference
from arm_runs import ArmRun, found_runs, keep_runs, kept_runs

from evals.errors import SipfError
from evals.metrics import wilson
from stages.page.charts import Axis, Chart, Point, Series
from stages.page.drawing import file_of

TITLES = {
    "sft": "SFT (M0)",
    "sipf": "**SIPF**, best rule (`consistent --pass-share 0.8`)",
    "sipf-paper": "SIPF, the paper's rule (`threshold`)",
    "sipf-widest": "SIPF, rule `widest`",
    "orm": "as SIPF, an outcome reward model",
    "siof": "SIOF: outcome feedback",
    "rft": "RFT",
    "star": "STaR",
    "prft": "pRFT",
    "srf": "SRF: DPO on outcome pairs",
    "rpo": "RPO",
    "without-or": "SIPF without the odds-ratio term",
    "without-both": "without process feedback and odds-ratio term",
    "labels": "labels alone (`labels`), no reward model",
    "fork": "fork pairs by labels, no reward model",
    "frequent": "rule `frequent`",
    "teacher": "SIPF, teacher simulates and is the reward model's base",
    "teacher-simulator": "SIPF, teacher simulates",
    "teacher-labels": "labels alone, by the teacher",
    "teacher-likelihood": "the teacher's likelihood of the steps",
    "distilled": "SFT on the teacher's right answers",
    "continue": "SIPF, each round continues from the last",
    "siof-continue": "SIOF, each round continues from the last",
    "siof-tokens": "SIOF",
    "rft-tokens": "RFT",
    "srf-tokens": "SRF",
}
SERIES = {
    "beta": "SIPF, beta",
    "k": "SIPF, K",
    "share": "SIPF, share of problems labelled",
    "shuffled": "SIPF by the paper's rule, share of pairs by shuffled scores",
}
KEPT, KEPT_CODE, KEPT_LONG, KEPT_SECOND = "arms.jsonl", "code.jsonl", "long.jsonl", "second.jsonl"
"""The verdicts of every arm, beside the figures."""
HELPED = ("teacher", "teacher-simulator", "teacher-labels", "teacher-likelihood", "distilled")
NOT_SIPF = ("labels", "fork", "frequent")


def percent(value: float) -> str:
    """`43.6`, or nothing."""
    return "" if math.isnan(value) else f"{100 * value:.1f}"


def title(name: str) -> str:
    """An arm's name for people."""
    head, _, value = name.rpartition("-")
    return TITLES.get(name) or (f"{SERIES[head]} {value}" if head in SERIES else name)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def _tokens(arm: Arm) -> str:
    drawn, rolled = arm.cost("tokens drawn") / 1e6, arm.cost("tokens rolled out") / 1e6
    return f"{drawn + rolled:.2f}" if not math.isnan(rolled) else f"{drawn:.2f}"


def accuracy_rows(arms: Mapping[str, Arm], names: Sequence[str]) -> list[list[str]]:
    """A row an arm: its accuracy by round and seed, gain over SFT, trace accuracy, out of domain, and what it cost."""
    sft, rows = arms["sft"], []
    rounds = range(1, arms["sipf"].rounds + 1)
    for name in names:
        arm = arms.get(name)
        if arm is None:
            continue
        test, pairs = arm.at("test"), arm.last("pairs")
        low, high = wilson(sum(test.right.values()), len(test.right))
        rows.append(
            [
                title(name),
                *(percent(arm.at("test", number).rate()) if number <= arm.rounds else "" for number in rounds),
                f"{percent(test.rate())} ({percent(low)} to {percent(high)})",
                ", ".join(percent(test.of_seed(seed)) for seed in arm.seeds),
                "" if name == "sft" else _gain(difference(test.right, sft.at("test").right)),
                percent(test.rate(sound=True)),
                percent(arm.at("ood").rate()),
                "" if math.isnan(pairs) else f"{pairs:,.0f}",
                _tokens(arm) if arm.costs else "",
            ]
        )
    return rows


def _gain(found: Difference) -> str:
    return f"{100 * found.gain:+.1f} (p {found.p:.2g})"


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, and which two results show whether it holds."""

    text: str
    paper: str
    better: tuple[str, int | None]
    """Arm and round; None: the last."""
    than: tuple[str, int | None]
    split: str = "test"
    sound: bool = False


def claims(rounds: int) -> list[Claim]:
    """The paper's claims about a run of so many rounds."""
    last, sft = None, ("sft", 0)
    sipf, paper = ("sipf", last), ("sipf-paper", last)
    return [
        Claim("SIPF is above SFT", "+12.4", sipf, sft),
        Claim("the same by the paper's rule", "+12.4", paper, sft),
        Claim("SIPF is above SFT out of domain", "+5.1", sipf, sft, split="ood"),
        Claim("SIPF is above SIOF, at equal pairs", "yes", sipf, ("siof", last)),
        Claim("SIPF is above SIOF, at equal tokens", "", sipf, ("siof-tokens", last)),
        Claim("SIPF by the paper's rule is above SIOF, at equal pairs", "yes", paper, ("siof", last)),
        Claim("SIPF is above SIOF in trace accuracy, at equal pairs", "", sipf, ("siof", last), sound=True),
        Claim("SIPF is above RFT, at equal pairs", "yes", sipf, ("rft", last)),
        Claim("SIPF is above RFT, at equal tokens", "", sipf, ("rft-tokens", last)),
        Claim("SIPF is above SRF, at equal pairs", "yes", sipf, ("srf", last)),
        Claim("SIPF is above SRF, at equal tokens", "", sipf, ("srf-tokens", last)),
        Claim("SIPF is above STaR", "yes", sipf, ("star", last)),
        Claim("SFT is above SRF: DPO lowers the chosen path's probability", "yes", sft, ("srf", last)),
        Claim(f"SIPF still rises in round {rounds}", "yes", sipf, ("sipf", rounds - 1)),
        Claim(f"SIOF falls in round {rounds}", "yes", ("siof", rounds - 1), ("siof", last)),
        Claim(f"RFT falls in round {rounds}", "yes", ("rft", rounds - 1), ("rft", last)),
        Claim("without process feedback is worse", "yes", sipf, ("siof", last)),
        Claim("without the odds-ratio term is worse", "yes", sipf, ("without-or", last)),
        Claim("without both is worse", "yes", sipf, ("without-both", last)),
        Claim("a process reward model is better than an outcome reward model", "yes", sipf, ("orm", last)),
        Claim("beta 0.1 is better than 0.01", "yes", sipf, ("beta-0.01", last)),
        Claim("beta 0.1 is better than 1.0", "yes", sipf, ("beta-1.0", last)),
        Claim("a restart from M0 is better than going on", "yes", sipf, ("continue", last)),
        Claim("open: a stronger simulator helps", "?", ("teacher-simulator", last), sipf),
        Claim("open: a stronger simulator and reward model help", "?", ("teacher", last), sipf),
        Claim("open: with a teacher, process feedback beats imitating it", "?", ("teacher", last), ("distilled", last)),
        Claim("labels without a reward model are above SIOF, at equal pairs", "", ("labels", last), ("siof", last)),
        Claim("the same at equal tokens", "", ("labels", last), ("siof-tokens", last)),
        Claim("open: K = 32 is better than K = 2", "?", ("k-32", last), ("k-2", last)),
        Claim("open: K = 8 is better than K = 2", "?", sipf, ("k-2", last)),
        Claim("open: labels of more problems help", "?", ("share-0.3", last), ("share-0.1", last)),
        Claim("open: a better reward model helps (true above shuffled scores)", "?", paper, ("shuffled-1.0", last)),
    ]


CODE_CLAIMS = (
    Claim("SIPF is above SFT on code", "+4.0", ("sipf", None), ("sft", 0)),
    Claim("SIPF is above SIOF on code, at equal pairs", "yes", ("sipf", None), ("siof", None)),
)
ELSEWHERE = ("open: a simulator and a reward model of 7B", "open: a simulator weaker than the policy")
"""Open questions of the paper that no arm asks."""


def claim_rows(
    arms: Mapping[str, Arm],
    code: Mapping[str, Arm] | None,
    second: Mapping[str, Arm] | None = None,
    first: Mapping[str, Arm] | None = None,
) -> list[list[str]]:
    """A row a claim; those whose arms were not run are left out.

    Args:
        second, first: where arms are compared that `arms` has not; see `page`.
    """
    rows = []
    every = [(arms, one) for one in claims(arms["sipf"].rounds)]
    every += [(code, one) for one in CODE_CLAIMS if code is not None]
    for given, asked in every:
        where, claim = given, asked
        if given is arms and not _has(arms, claim):
            for others, when in ((second, "second run"), (first, "after the first round")):
                if others is not None and _has(others, claim):
                    where, claim = others, replace(claim, text=f"{claim.text} ({when})")
                    break
        sides = []
        for name, number in (claim.better, claim.than):
            result = where[name].at(claim.split, number) if name in where else Result()
            sides.append(result.sound if claim.sound else result.right)
        if not all(sides):
            continue
        found = difference(sides[0], sides[1])
        seeds = ", ".join(f"{100 * gain:+.1f}" for gain in found.by_seed.values())
        interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        verdict = found.verdict()
        cells = [claim.text, claim.paper, f"{100 * found.gain:+.1f}", interval, seeds, f"{found.p:.2g}"]
        rows.append([*cells, f"**{verdict}**" if verdict != "not shown" else verdict])
    return rows


def _has(arms: Mapping[str, Arm], claim: Claim) -> bool:
    return {claim.better[0], claim.than[0]} <= set(arms)


def model_rows(arms: Mapping[str, Arm]) -> list[list[str]]:
    """A row an arm with labels: what they cost, the reward model's held-out figures, and the final accuracy."""
    rows = []
    for name, arm in arms.items():
        settings = next((cost["settings"] for cost in arm.costs.values() if cost["settings"]), None)
        if settings is None:
            continue
        shown = [str(settings.get(key, "")) for key in ("strategy", "share", "k", "delta")]
        shown.insert(1, "right ones" if settings.get("only_right") else "all")
        figures = [arm.last(key) for key in ("PRM AUC", "PRM pair accuracy", "PRM first error")]
        rows.append(
            [title(name), *shown, f"{arm.cost('rollouts'):,.0f}", f"{arm.cost('tokens rolled out') / 1e6:.2f}"]
            + ["" if math.isnan(figure) else f"{figure:.3f}" for figure in figures]
            + [percent(arm.at("test").rate())]
        )
    return rows


FIGURES = ("labels", "sipf", "sipf-paper", "siof", "rft", "srf", "teacher")
"""The arms that the charts show."""


def figures(arms: Mapping[str, Arm]) -> Iterator[Chart]:
    """Accuracy by round, on the test problems and out of domain, over all seeds; round 0 is SFT."""
    rounds = Axis("round", names=("SFT", *map(str, range(1, arms["sipf"].rounds + 1))))
    for split, where in (("test", "on test problems"), ("ood", "out of domain")):
        series = []
        for name in FIGURES:
            if name not in arms:
                continue
            results = [(0, arms["sft"].at(split)), *((i, arms[name].at(split, i)) for i in range(1, len(rounds.names)))]
            points = tuple(_point(i, result) for i, result in results if result.right)
            series.append(Series(name, points))
        if any(one.points for one in series):
            yield Chart(f"accuracy-{split}", f"Accuracy {where}", rounds, Axis("right, %"), tuple(series))


def _point(x: int, result: Result) -> Point:
    low, high = wilson(sum(result.right.values()), len(result.right))
    return Point(x, 100 * result.rate(), 100 * low, 100 * high)


INTRODUCTION = """# Claims

Written by `examples/reproduce.sh` (`make reproduce`); do not edit.

{rounds} rounds, seeds {seeds}, {problems:,} test problems a seed, greedy answers, figures in percent. Every policy
answered the test problems once, and no setting was chosen by them: those were chosen on validation problems. (Earlier
runs of this recipe used the same test problems; [results](results.md) tells of them.) Rates are over all seeds
together, with 95 % Wilson intervals, which leave out that another training seed moves an arm by about a point. p is
that of an exact McNemar test over (seed, problem). A claim holds if p is below 0.05 and the sign is the same in every
seed. SIPF always means pairs chosen with a reward model's scores, with the policy itself as simulator and as the base
of the reward model.
"""
EQUAL_PAIRS = """## At equal pairs

Every arm trains on at most as many pairs as `labels` makes, those by fine-tuning on as many paths. `trace`: right
answers by right steps.
"""
EQUAL_TOKENS = """## At equal tokens

These arms draw so many paths that they generate as many tokens as `labels` with its rollouts, and train on all pairs
that these give. DPO's learning rate was chosen for as many pairs as the first table's first round has; on several times
as many it is too high.
"""
HELP = """## With a teacher

A teacher is help from outside: none of these rows is self-fed. Its tokens count as generated ones.
"""
LONG = """## More rounds

The same arms for more rounds, in a separate run.
"""
CODE = """## Code

The embedded world of programs, with the settings of the word problems.
"""
SECOND = """## A second run

Another run of the same recipe. What the first one has no arm for is compared within this one.
"""
FIRST = """## After the first round

These arms were run for one round, beside that round of SIPF: the same M0, the same first paths and, where the arm does
not change them, the same labels and scores.
"""
LABELS = """## Labels and reward model

Rollouts and tokens are those of all rounds. The reward model's figures are those of the last round, on problems held
out of its training, against Monte Carlo labels.
"""
COST_HEAD = (
    "last round (95 %)",
    "by seed",
    "over SFT",
    "trace",
    "out of domain",
    "pairs, last round",
    "million tokens",
)
MODEL_HEAD = ("arm", "strategy", "paths", "share", "K", "delta", "rollouts", "million tokens")
QUALITY_HEAD = ("AUC", "right above wrong", "first error", "final accuracy")


def page(
    arms: Mapping[str, Arm],
    code: Mapping[str, Arm] | None = None,
    charts: Sequence[tuple[str, Chart]] = (),
    *,
    second: Mapping[str, Arm] | None = None,
    first: Mapping[str, Arm] | None = None,
    long: Mapping[str, Arm] | None = None,
    earlier: Sequence[str] = (),
) -> str:
    """The whole page, in markdown.

    Args:
        charts: each with the address of its file.
        second: another run's arms.
        first: that run's arms, or without one this run's, after one round; also those that have no more.
        long: arms that went on for more rounds.
        earlier: the arms that an earlier run made.
    """
    sipf, sft = arms["sipf"], arms["sft"]
    equal = [name for name in arms if not name.endswith("-tokens") and name not in (*HELPED, *NOT_SIPF, "sft")]
    equal.sort(key=lambda name: (list(TITLES).index(name) if name in TITLES else len(TITLES), name))
    tokens = [name for name in arms if name.endswith("-tokens")]
    head = ["arm", *(f"round {i}" for i in range(1, sipf.rounds + 1)), *COST_HEAD]
    problems = len(sft.at("test").right) // len(sft.seeds)
    parts = [
        INTRODUCTION.format(rounds=sipf.rounds, seeds=", ".join(sft.seeds), problems=problems),
        "## What the paper claims\n",
        table(("claim", "paper", "points", "95 %", "by seed", "p", ""), claim_rows(arms, code, second, first)),
        EQUAL_PAIRS,
        *(f"![{chart.title} by round]({file})\n" for file, chart in charts),
        table(head, accuracy_rows(arms, ["sft", *equal])),
        EQUAL_TOKENS,
        table(head, accuracy_rows(arms, ["sipf", "labels", *tokens])),
    ]
    if any(name in arms for name in NOT_SIPF):
        parts += ["## Without a reward model\n", table(head, accuracy_rows(arms, ["sipf", *NOT_SIPF]))]
    if any(name in arms for name in HELPED):
        parts += [HELP, table(head, accuracy_rows(arms, ["sipf", *HELPED]))]
    parts += [LABELS, table((*MODEL_HEAD, *QUALITY_HEAD), model_rows(arms))]
    if second is not None:
        parts += [SECOND, table(head, accuracy_rows(second, ["sft", *(name for name in second if name != "sft")]))]
    short = sorted(set(first or ()) - set(arms) - set(second or ()))
    if first is not None and short:
        shown = list(dict.fromkeys(["sft", "sipf", *(["sipf-paper"] if "sipf-paper" in first else []), *short]))
        parts += [FIRST, table(["arm", "round 1", *COST_HEAD], accuracy_rows(first, shown))]
        parts.append(table((*MODEL_HEAD, *QUALITY_HEAD), model_rows({name: first[name] for name in shown})))
    for heading, others in ((LONG, long), (CODE, code)):
        if others is not None:
            head = ["arm", *(f"round {i}" for i in range(1, others["sipf"].rounds + 1)), *COST_HEAD]
            parts += [heading, table(head, accuracy_rows(others, ["sft", *(name for name in others if name != "sft")]))]
    asked = [(arms, claim) for claim in claims(sipf.rounds)] + [(code or {}, claim) for claim in CODE_CLAIMS]
    told = [claim for where, claim in asked if any(_has(one or {}, claim) for one in (where, second, first))]
    absent = [claim.text for _, claim in asked if claim not in told]
    parts.append(f"## Not tried here\n\nNo arm was run for: {'; '.join([*absent, *ELSEWHERE])}.\n")
    partial = [
        f"{title(name)} ({len(arm.seeds)} seeds)" for name, arm in arms.items() if len(arm.seeds) < len(sft.seeds)
    ]
    if partial:
        parts.append(f"Not finished for every seed: {', '.join(partial)}.\n")
    if earlier:
        names = ", ".join(title(name) + " at equal tokens" * name.endswith("-tokens") for name in earlier)
        parts.append(
            f"Arms of an earlier run: {names}. Where the machine or the toolkit was another one, its M0 and its first"
            " paths may differ in some texts, so a comparison with them is one of two runs.\n"
        )
    return "\n".join(parts)


def _runs(run: Path | None, kept: Path | None) -> tuple[list[ArmRun], list[ArmRun]]:
    """The arms of a run, and those that were kept and that the run does not have."""
    runs = found_runs(run) if run else []
    have = {(one.arm, one.seed) for one in runs}
    earlier = kept_runs(kept) if kept and kept.exists() else []
    return runs, [one for one in earlier if (one.arm, one.seed) not in have]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="by default the page is that of --kept again")
    parser.add_argument("--second", type=Path, help="another run, for arms that the first one has not")
    parser.add_argument("--code", type=Path, help="a run on a code task")
    parser.add_argument("--long", type=Path, help="a run of more rounds")
    parser.add_argument("--kept", type=Path, help="a folder with the arms of earlier runs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    output: Path = given.output
    beside = output.with_suffix("")
    try:
        runs, earlier = _runs(given.run, given.kept and given.kept / KEPT)
        code = [one for part in _runs(given.code, given.kept and given.kept / KEPT_CODE) for one in part]
        long = [one for part in _runs(given.long, given.kept and given.kept / KEPT_LONG) for one in part]
        second = [one for part in _runs(given.second, given.kept and given.kept / KEPT_SECOND) for one in part]
        for one in earlier if runs else ():
            one.earlier = True
        runs += earlier
        arms, first = arms_of(runs), arms_of(second or runs, 1)
        charts = [(beside / f"{chart.name}.svg", chart) for chart in figures(arms)]
        places = [(file.relative_to(output.parent).as_posix(), chart) for file, chart in charts]
        kept = sorted({one.arm for one in runs if one.earlier})
        beyond = {"second": second, "long": long}
        more: dict[str, Any] = {name: arms_of(of_these) if of_these else None for name, of_these in beyond.items()}
        text = page(arms, arms_of(code) if code else None, places, first=first, earlier=kept, **more)
    except SipfError as error:
        parser.exit(2, f"claims.py: {error}\n")
    beside.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    keep_runs(beside / KEPT, runs)
    for name, others in ((KEPT_CODE, code), (KEPT_LONG, long), (KEPT_SECOND, second)):
        if others:
            keep_runs(beside / name, others)
    for file, chart in charts:
        file.write_text(file_of(chart), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
