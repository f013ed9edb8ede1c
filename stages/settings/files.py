"""How a run over lines treats its input and output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evals.errors import UsageError
from stages.files.shards import Shard
from stages.settings.declare import Panel, setting
from stages.settings.tracking import TrackingSettings


def check_calibrate(calibrate: int | None, dry_run: bool) -> None:
    """Refuse a calibration that is no dry run.

    Raises:
        UsageError: it is none.
    """
    if calibrate is not None and not dry_run:
        raise UsageError("--calibrate goes with --dry-run", "Add --dry-run; without --calibrate the run itself begins.")


@dataclass(frozen=True)
class OutputSettings:
    """Settings of every command that reads lines and writes lines."""

    strict: bool = setting(False, "Stop at the first bad line instead of skipping it.", panel=Panel.FILES)
    overwrite: bool = setting(False, "Start over, replacing the output and any unfinished run.", panel=Panel.FILES)
    manifest: Path | None = setting(
        None, "File to write the manifest to as well; if lines go to stdout, the only place for it.", panel=Panel.FILES
    )


@dataclass(frozen=True)
class PlannedSettings(OutputSettings):
    """The same, for commands that can show in advance what they would do."""

    dry_run: bool = setting(False, "Show what would be done and what it would cost, then stop.", panel=Panel.FILES)


@dataclass(frozen=True)
class FileSettings(TrackingSettings, PlannedSettings):
    """The same, for the stages that can be stopped, resumed and split into shards."""

    shard: Shard | None = setting(
        None, "Process only lines I, I+N, I+2N, ... (I from 0); in an array job 'slurm', or 'slurm/N'.",
        metavar="I/N", parse=Shard.parse, panel=Panel.FILES,
    )  # fmt: skip
    skip_failed: bool = setting(False, "Finish without the problems that failed.", panel=Panel.FILES)
    calibrate: int | None = setting(
        None, "With --dry-run: run at least this many problems, chosen by chance, write nothing, and estimate tokens, "
        "seconds and memory of the whole run.", low=2, panel=Panel.FILES,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_calibrate(self.calibrate, self.dry_run)
