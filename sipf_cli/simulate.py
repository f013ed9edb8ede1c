"""`sipf simulate`: labels for every step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sipf_cli import options as o
from sipf_cli.app import new_app
from sipf_cli.console import Table
from sipf_cli.groups import CheckOptions, ConsoleOptions, EngineOptions, LineOptions, expanded

if TYPE_CHECKING:
    from evals.records import Problem

app = new_app()

AUDIT_COSTS = ("audit: problems", "audit: rollouts", "audit: rollout tokens")
"""What of the audit stands among the counts; the rest is in a table of its own."""


class StrategyName(StrEnum):
    exact = "exact"
    brute = "brute"
    first_error = "first-error"
    binary = "binary"
    mcts = "mcts"
    prm_guided = "prm-guided"


@dataclass(frozen=True)
class TreeOptions:
    """The constants of `--strategy mcts`, OmegaPRM's published ones unless given."""

    tree_alpha: Annotated[float, typer.Option("--tree-alpha", min=0.0, max=1.0, help="mcts: base of 1 - MC.")] = 0.5
    tree_beta: Annotated[float, typer.Option("--tree-beta", min=0.0, max=1.0, help="mcts: base of length.")] = 0.9
    tree_length: Annotated[int, typer.Option("--tree-length", min=1, help="mcts: words that length counts in.")] = 500
    c_puct: Annotated[float, typer.Option("--c-puct", min=0.0, help="mcts: weight of exploration.")] = 0.125
    searches: Annotated[int, typer.Option("--searches", min=0, help="mcts: searches a problem, at most.")] = 100


@app.command()
@expanded
def simulate(
    lines: o.Input,
    output: o.Output,
    engine: EngineOptions,
    checks: CheckOptions,
    line: LineOptions,
    console: ConsoleOptions,
    tree: TreeOptions,
    strategy: Annotated[
        StrategyName, typer.Option("--strategy", help="How steps are labelled; see above.")
    ] = StrategyName.exact,
    k: Annotated[int, typer.Option("--k", min=1, help="Rollouts a step, at most.")] = 8,
    delta: Annotated[int, typer.Option("--delta", min=0, help="A step is right if more rollouts than this are.")] = 0,
    temperature: Annotated[
        str, typer.Option("--temperature", metavar="T|LOW:HIGH", help="One temperature, or a range to draw from.")
    ] = "1.0",
    top_p: o.TopP = 1.0,
    max_tokens: o.MaxTokens = None,
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="Share of the problems to label.")] = 1.0,
    gold: Annotated[bool, typer.Option("--gold/--no-gold", help="Add the gold solution as an all-right path.")] = True,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Keep the rollouts' texts too.")] = False,
    trust_correct: Annotated[
        bool, typer.Option("--trust-correct", help="Take the steps of paths with a right answer for right, undrawn.")
    ] = False,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", metavar="C", help="Give dead-looking steps up when this sure (0 to 1)."),
    ] = None,
    prior: Annotated[
        str, typer.Option("--prior", metavar="RIGHT:WRONG", help="Draws that --confidence starts from.")
    ] = "0.5:1",
    budget: Annotated[int | None, typer.Option("--budget", min=1, help="Rollouts a problem, at most.")] = None,
    run_budget: Annotated[
        int | None, typer.Option("--run-budget", min=1, help="Rollouts in all, at most, reserved in input order.")
    ] = None,
    audit: Annotated[
        float, typer.Option("--audit", min=0.0, max=1.0, help="Share of problems labelled by brute force as well.")
    ] = 0.0,
    name: Annotated[
        str, typer.Option("--name", help="Scores that prm-guided goes by (see sipf score --name).")
    ] = "prm",
    walk_on: Annotated[bool, typer.Option("--walk-on", help="prm-guided goes on where the scores misled it.")] = False,
    seed: o.Seed = 0,
) -> None:
    """Label every step of the paths: right if a rollout from its prefix still reaches the answer.

    Steps that are labelled already are left as they are. The strategies:

    \b
      brute        all K rollouts of every step: hard and soft labels
      exact        the same hard labels, each drawn until it is decided
      first-error  paths are walked from the left to the first wrong step; the rest is wrong
      binary       OmegaPRM's binary search for the first wrong step
      mcts         OmegaPRM's tree: its rollouts are searched, too, and become paths
      prm-guided   a reward model's scores guess the first wrong step; rollouts around it

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 4 -o labels.jsonl
    """
    from evals.tasks import task_of
    from sipf_cli.running import plan, run_with_engine, show
    from stages.engines.opening import describe_engine
    from stages.runs.verdicts import Verdicts
    from stages.simulate import Simulation, check_paths, check_scores, cost_report, in_share, label_kinds
    from stages.strategies.audit import audit_report
    from stages.strategies.prefixes import prefixes
    from stages.strategies.run_budget import RunBudget, most_draws
    from stages.strategies.settings import SimulateSettings, TreeSettings

    low, high = o.temperature_range(temperature)
    settings = SimulateSettings(
        strategy=strategy.value,
        k=k,
        delta=delta,
        temperature_low=low,
        temperature_high=high,
        top_p=top_p,
        max_tokens=max_tokens,
        share=share,
        gold=gold,
        keep_text=keep_text,
        trust_correct=trust_correct,
        budget=budget,
        run_budget=run_budget,
        confidence=confidence,
        prior=_prior(prior),
        audit=audit,
        name=name,
        walk_on=walk_on,
        tree=TreeSettings(tree.tree_alpha, tree.tree_beta, tree.tree_length, tree.c_puct, tree.searches),
        seed=seed,
    )
    reserved = RunBudget(settings)
    verdicts = Verdicts(checks.settings())
    facts = describe_engine(engine.settings()) | verdicts.facts()
    run = line.run("simulate", lines, output, asdict(settings), facts)

    def cost(problem: Problem) -> dict[str, int]:
        if not in_share(problem.id, share, seed):
            return {"problems outside the share": 1}
        if not reserved.covers(problem):
            return {"problems left unlabelled: run budget": 1}
        new = [path for path in problem.paths if path.labels is None]
        distinct = len(prefixes(task_of(problem), new).places)
        steps = {"steps": sum(len(path.steps) for path in new), "prefixes": distinct}
        if settings.strategy == "mcts" and settings.budget is None:
            return steps  # its own rollouts are searched, so how many there are is not to be known
        return {**steps, "rollouts, at most": most_draws(problem, settings)}

    def check(problem: Problem) -> None:
        check_paths(problem)
        check_scores(problem, settings)
        reserved.check(problem)

    if line.dry_run:
        plan(run, cost, json=console.json, check=check)
        return
    summary = run_with_engine(
        run, engine.settings(), lambda e: Simulation(e, settings, reserved, verdicts=verdicts), check, verdicts
    )
    cost_of_it, found = cost_report(summary.counts), audit_report(summary.counts)
    tables = [Table(("", ""), list(cost_of_it.items()), title="Cost, as a share of brute force")]
    if found:
        rows = [(what, rate["rate"], rate["low"], rate["high"], rate["n"]) for what, rate in found.items()]
        tables.append(Table(("", "%", "from", "to", "n"), rows, title="Audit against brute force (95 % intervals)"))
    more = {"cost": cost_of_it, "labels": label_kinds(summary.counts), **({"audit": found} if found else {})}
    told = [name for name in summary.counts if name.startswith("audit: ") and name not in AUDIT_COSTS]
    show(summary, run.output, json=console.json, more=more, tables=tables, told=told)


def _prior(text: str) -> tuple[float, float]:
    """`RIGHT:WRONG` as two numbers (exit 2 if it is not)."""
    right, _, wrong = text.partition(":")
    try:
        return float(right), float(wrong)
    except ValueError:
        raise typer.BadParameter(f"--prior {text!r} is not RIGHT:WRONG, two numbers above 0.") from None
