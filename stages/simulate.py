"""simulate: label the steps of sampled paths by rolling their prefixes out (step 2 of the loop).

    path.steps = ["40+32=72", ...]  ->  path.labels = [{"k": 8, "delta": 0, "draws": 1, "hits": 1, ...}, ...]

The strategies (stages/strategies/) decide how; this module chooses the problems, adds the gold paths and compares the
cost with brute force. The simulator need not be the model that sampled the paths: a prefix is text, and the simulator's
own prompter puts it after the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from evals.errors import DataError
from evals.records import Path, Problem, StepLabel
from evals.tasks import check_paths, task_of
from stages.counts import Count, Tally
from stages.engines.base import Engine
from stages.runs.stage import Stage
from stages.runs.verdicts import Verdicts, write_verdict
from stages.seeds import in_share
from stages.settings.simulate import SimulateSettings
from stages.strategies import strategy
from stages.strategies.audit import audit, audit_report
from stages.strategies.cost import EVERY, RIGHT_STEPS, against_brute, cost_report, count_labels, label_kinds
from stages.strategies.forks import keep_forks, roll_root
from stages.strategies.harvest import harvest
from stages.strategies.prefixes import Simulator, prefixes, to_label
from stages.strategies.run_budget import RunBudget, most_draws

OUTSIDE_SHARE = "problems outside the share"
WRONG_ANSWER = "paths left unlabelled: answer not right"
OVER_BUDGET = "problems left unlabelled: run budget"


@dataclass(frozen=True)
class Simulation(Stage):
    """Labels one problem per call; many calls may run at once."""

    engine: Engine
    settings: SimulateSettings
    run_budget: RunBudget | None = None
    """Which problems the run's budget covers; None: all."""
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)
    name: ClassVar[str] = "simulate"

    def check(self, problem: Problem) -> None:
        """Refuse paths that cannot be labelled; reserves the problem's draws from the run's budget."""
        check_paths(problem, self.settings.answer_rule)
        check_scores(problem, self.settings)
        if self.run_budget is not None:
            self.run_budget.check(problem)

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Steps, prefixes and the maximum number of rollouts, or why the problem would be left unlabelled."""
        settings = self.settings
        if not in_share(problem.id, settings.share, settings.seed):
            return {OUTSIDE_SHARE: 1}
        if self.run_budget is not None and not self.run_budget.covers(problem):
            return {OVER_BUDGET: 1}
        new = to_label(problem, settings)
        distinct = len(prefixes(task_of(problem), new).places)
        distinct += settings.root and problem.root is None
        steps = {"steps": sum(len(path.steps) for path in new), "prefixes": distinct}
        if settings.strategy == "mcts" and settings.budget is None:
            return steps  # its own rollouts are searched, so their number is not known beforehand
        return {**steps, "rollouts, at most": most_draws(problem, settings)}

    def size(self, problem: Problem) -> float:
        """The distinct prefixes to be rolled out; what is rolled out of each is the strategy's to say."""
        return float(self.estimate(problem).get("prefixes", 0))

    def live(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The share of right steps among the labelled ones, and the rollouts against brute force over every prefix."""
        labelled, cost = counts.get(Count.STEPS_LABELLED, 0), cost_report(counts)
        brute = cost.get(against_brute("rollouts", EVERY))
        shown = {"steps right": counts.get(RIGHT_STEPS, 0) / labelled} if labelled else {}
        return {**shown, **({} if brute is None else {"of brute force": brute})}

    def report(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """The cost against brute force, the kinds of labels, and what the audit found."""
        audited = audit_report(counts)
        report = {"cost": cost_report(counts), "labels": label_kinds(counts)}
        return {**report, **({"audit": audited} if audited else {})}

    def begin(self, problem: Problem, tally: Tally) -> list[Problem] | None:
        """Leave the problem alone if it is outside the share or the run's budget."""
        if not in_share(problem.id, self.settings.share, self.settings.seed):
            tally.count(OUTSIDE_SHARE)
            return [problem]
        if self.run_budget is not None and not self.run_budget.covers(problem):
            tally.count(OVER_BUDGET)
            return [problem]
        return None

    def for_replica(self) -> Simulation:
        """See `Stage.for_replica`."""
        return replace(self, run_budget=None)

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Label the problem's unlabelled paths, if it belongs to the share and the budget covers it."""
        settings = self.settings
        if (left_alone := self.begin(problem, tally)) is not None:
            return left_alone
        new = to_label(problem, settings)
        before = len(problem.paths)
        if settings.only_right:
            tally.count(WRONG_ANSWER, sum(path.labels is None for path in problem.paths) - len(new))
        simulator = Simulator(self.engine, task_of(problem), settings, tally, verdicts=self.verdicts)
        await strategy(settings.strategy)(simulator, problem)
        tally.count(Count.PROBLEMS_LABELLED)
        labelled = [*new, *problem.paths[before:]]
        count_labels(prefixes(simulator.task, labelled), settings.k, tally)
        if settings.root and problem.root is None:
            problem.root = await roll_root(simulator, problem)
        if settings.keep_forks:
            keep_forks(simulator, problem, labelled)
        if settings.harvest:
            harvest(simulator, problem)
        if settings.audit and in_share(problem.id, settings.audit, settings.seed, "audit/"):
            await audit(simulator, problem, new)
        if settings.gold:
            await self._add_gold(problem, tally)
        return [problem]

    async def _add_gold(self, problem: Problem, tally: Tally) -> None:
        """Add the gold solution as a path whose steps are all right, unless it is a program that fails its tests."""
        task = task_of(problem)
        text = task.gold_text(problem)
        if text is None:
            tally.count("problems without a gold solution")
            return
        identity = f"{problem.id}#gold"
        if any(path.id == identity for path in problem.paths):
            return
        # By the robust rule always: a gold solution is right, however it words its answer.
        verdict = await self.verdicts.of(task, problem, text)
        if verdict.outcome is not None and not verdict.correct:
            tally.count(f"gold solutions left out: {verdict.outcome}")
            return
        steps = task.split(text).steps
        label = StepLabel(k=self.settings.k, delta=self.settings.delta, draws=0, hits=0, settled=True, gold=True)
        path = Path(id=identity, source="gold", text=text, steps=steps)
        write_verdict(verdict, path)
        path.labels = [label.model_copy() for _ in steps]
        problem.paths = [*problem.paths, path]
        tally.count("gold paths")


def check_scores(problem: Problem, settings: SimulateSettings) -> None:
    """Refuse paths without the scores that `prm-guided` uses.

    Raises:
        DataError: `paths.N.scores.NAME: missing`.
    """
    if settings.strategy != "prm-guided":
        return
    for number, path in enumerate(problem.paths):
        wanted = path.labels is None and path.steps and not path.correct and not settings.only_right
        if wanted and settings.name not in (path.scores or {}):
            raise DataError(
                f"paths.{number}.scores.{settings.name}: missing, and prm-guided needs it",
                "Score the paths first: sipf score --name ...",
            )
