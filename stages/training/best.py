"""The weights with the lowest held-out loss so far, kept on the disk while training continues.

    OUT.part/best/step-20/               as the trainer saves a model
    OUT.part/best/step-20/best.json      {"step": 20, "held_out_loss": 1.12}, written last

A run that resumes from a checkpoint before that step still knows them: it comes to the same loss again, which is not
lower.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evals.errors import UsageError
from stages.files.manifest import sync_tree
from stages.files.outputs import save_manifest
from stages.training.processes import is_main_process, wait_for_all

_COMPLETE = "best.json"


@dataclass(frozen=True, slots=True)
class Best:
    """Which weights they are."""

    step: int
    held_out_loss: float


class BestWeights:
    """Keeps them; called in the same order by every process of a run.

    Args:
        folder: where they are kept; read now, so that a resumed run remembers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob(f"*/{_COMPLETE}")]
        # Two: killed between writing the better one and removing the other.
        self.best = min((Best(**one) for one in found), key=lambda best: best.held_out_loss, default=None)

    def consider(self, trainer: Any, step: int, loss: float) -> None:
        """Keep the trainer's weights if their loss is lower than any before; a loss that is no number never is."""
        if not math.isfinite(loss) or (self.best is not None and loss >= self.best.held_out_loss):
            return
        best = Best(step, loss)
        place = self._place(best)
        if is_main_process() and place.exists():
            shutil.rmtree(place)
        wait_for_all()
        trainer.save_model(str(place))
        if is_main_process():
            sync_tree(place)
            save_manifest([str(place / _COMPLETE)], asdict(best))
            for other in self._folder.iterdir():
                if other != place:
                    shutil.rmtree(other)
        self.best = best

    def load_into(self, trainer: Any) -> Best | None:
        """Give the trainer's model the best weights; None if no loss was a number, and nothing is changed."""
        if self.best is not None and self.best.step != trainer.state.global_step:
            trainer.state.best_model_checkpoint = str(self._place(self.best))
            trainer._load_best_model()
        return self.best

    def _place(self, best: Best) -> Path:
        return self._folder / f"step-{best.step}"


def torn(folder: Path) -> list[Path]:
    """What a kill has left of weights that were being kept."""
    return [place for place in folder.glob("*") if not (place / _COMPLETE).is_file()]


def check_can_keep_best(trainer: Any) -> None:
    """Refuse sharded training, whose weights are saved and loaded in ways of its own.

    Raises:
        UsageError: the trainer runs under FSDP or DeepSpeed.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise UsageError("--keep best does not work with FSDP or DeepSpeed", "Use --keep last.")
