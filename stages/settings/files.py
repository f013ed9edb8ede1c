"""How a run over lines treats its input and output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.files.shards import Shard
from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class OutputSettings:
    """What every command that writes lines from lines can be told."""

    strict: bool = setting(False, "Stop at the first bad line instead of skipping it.", panel=Panel.FILES)
    overwrite: bool = setting(False, "Start over, replacing the output and what is half done.", panel=Panel.FILES)
    manifest: Path | None = setting(
        None, "Write the manifest here too; the only place for it when lines go to stdout.", panel=Panel.FILES
    )


@dataclass(frozen=True)
class PlannedSettings(OutputSettings):
    """The same, for commands that can say beforehand what they would do."""

    dry_run: bool = setting(False, "Say what would be done and what it would cost, then stop.", panel=Panel.FILES)


@dataclass(frozen=True)
class FileSettings(PlannedSettings):
    """The same, for the stages that can be stopped, resumed and shared out."""

    shard: Shard | None = setting(
        None, "Do lines I, I+N, I+2N, ... only (I from 0); 'slurm' reads the array job's variables.", metavar="I/N",
        parse=Shard.parse, panel=Panel.FILES,
    )  # fmt: skip
    skip_failed: bool = setting(False, "Finish without the problems that failed.", panel=Panel.FILES)
