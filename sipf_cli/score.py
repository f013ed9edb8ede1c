"""`sipf score`: a model's view of every step."""

from __future__ import annotations

from sipf_cli import options as o
from sipf_cli.generated import new_app
from stages.settings.files import FileSettings
from stages.settings.model import ScorerSettings
from stages.settings.replicas import ReplicaSettings
from stages.settings.score import ScoreSettings

app = new_app()


@app.command()
def score(
    lines: o.Input,
    output: o.Output,
    model: o.Model,
    settings: ScoreSettings,
    scorer: ScorerSettings,
    files: FileSettings,
    replicas: ReplicaSettings,
    console: o.PresetOptions,
) -> None:
    """Score every step of every path: with a reward model, or by how likely any language model finds it.

    Each path also gets the mean, min, product and last of its step scores. All scores lie between 0 and 1.

    \b
      prm         a reward model's probability that the step is right
      likelihood  the probability of the step's text under --model: the policy, or a teacher
      ratio       that of --model against --reference: implicit process rewards

    \b
    Example:
      sipf data chain --split train -n 16 -o problems.jsonl
      sipf sample problems.jsonl --model chain-base -n 4 -o paths.jsonl
      sipf simulate paths.jsonl --model chain-base --k 2 -o labels.jsonl
      sipf train-prm labels.jsonl --model chain-base --epochs 1 --lr 5e-4 -o prm
      sipf score paths.jsonl --model prm -o scored.jsonl
      sipf score scored.jsonl --by likelihood --model chain-base -o both.jsonl
    """
    from sipf_cli.running import execute
    from stages.score import Scoring
    from stages.scorers.opening import OnDemandScorer

    execute(
        Scoring(OnDemandScorer(model, scorer, settings), settings), lines, output, files, console, replicas=replicas
    )
