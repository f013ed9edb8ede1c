"""How a run over lines treats its input and output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.files.shards import Shard
from stages.settings.declare import Panel, setting
from stages.settings.tracking import TrackingSettings


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
