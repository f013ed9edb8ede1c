"""`sipf simulate`: labels for every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sipf_cli import options as o
from sipf_cli.console import Table
from sipf_cli.generated import new_app
from stages.settings.checks import CheckSettings
from stages.settings.files import FileSettings
from stages.settings.model import EngineSettings
from stages.settings.replicas import ReplicaSettings
from stages.settings.simulate import SimulateSettings

if TYPE_CHECKING:
    from stages.runs.record import LineRun, Summary

app = new_app()


@app.command()
def simulate(
    lines: o.Input,
    output: o.Output,
    settings: SimulateSettings,
    engine: EngineSettings,
    checks: CheckSettings,
    files: FileSettings,
    replicas: ReplicaSettings,
    console: o.PresetOptions,
) -> None:
    """Label every step of the paths: right if a rollout from its prefix still reaches the answer.

    Steps that are labelled already are left as they are. The strategies:

    \b
      brute        all K rollouts of every step: hard and soft labels
      exact        the same hard labels; each step is rolled out only until its label is decided
      first-error  each path is rolled out step by step up to its first wrong one; the rest is wrong
      binary       OmegaPRM's binary search for the first wrong step
      mcts         OmegaPRM's tree: its rollouts are searched too, and become paths
      prm-guided   a reward model's scores guess the first wrong step; rollouts check the guess

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 4 -o labels.jsonl
    """
    from sipf_cli.running import execute, show_summary
    from stages.engines.opening import OnDemandEngine
    from stages.runs.verdicts import Verdicts
    from stages.simulate import Simulation
    from stages.strategies.audit import in_report
    from stages.strategies.run_budget import RunBudget

    def show(summary: Summary, run: LineRun, report: Mapping[str, Any]) -> None:
        tables = [Table(("", ""), list(report["cost"].items()), title="Cost, as a share of brute force")]
        if "audit" in report:
            rows = [
                (what, rate["rate"], rate["low"], rate["high"], rate["n"]) for what, rate in report["audit"].items()
            ]
            tables.append(Table(("", "%", "from", "to", "n"), rows, title="Audit against brute force (95 % intervals)"))
        told = [name for name in summary.counts if in_report(name)]
        show_summary(summary, run, json=console.json, more=report, tables=tables, told=told)

    stage = Simulation(OnDemandEngine(engine), settings, RunBudget(settings), verdicts=Verdicts(checks))
    execute(stage, lines, output, files, console, show, replicas)
