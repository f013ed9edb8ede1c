"""`sipf sample`: paths for every problem."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.checks import CheckSettings
from stages.settings.declare import Panel
from stages.settings.files import FileSettings
from stages.settings.model import EngineSettings
from stages.settings.replicas import ReplicaSettings
from stages.settings.sample import SampleSettings

app = new_app()

Pool = Annotated[
    Path | None,
    typer.Option(
        "--pool", exists=True, metavar="FILE", rich_help_panel=Panel.MAIN,
        help="File of lines from earlier rounds, whose paths are kept.",
    ),
]  # fmt: skip


@app.command()
def sample(
    lines: o.Input,
    output: o.Output,
    settings: SampleSettings,
    engine: EngineSettings,
    checks: CheckSettings,
    files: FileSettings,
    replicas: ReplicaSettings,
    console: o.PresetOptions,
    pool: Pool = None,
) -> None:
    """Draw reasoning paths for every problem and keep the distinct ones.

    Paths already on the lines are kept, and so are those of --pool; numbers and seeds continue after them.

    \b
    Example:
      sipf data chain --split train -n 4 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
    """
    from sipf_cli.running import execute
    from stages.engines.opening import OnDemandEngine
    from stages.joins.earlier_paths import EarlierPaths
    from stages.runs.verdicts import Verdicts
    from stages.sample import Sampler

    earlier = None if pool is None else EarlierPaths(pool)
    stage = Sampler(OnDemandEngine(engine), settings, earlier, verdicts=Verdicts(checks))
    execute(stage, lines, output, files, console, replicas=replicas)
