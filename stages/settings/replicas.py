"""How many processes share the work on the lines. Nothing here decides the data."""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UsageError
from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class ReplicaSettings:
    """Where the work on the lines is done; by default in this process.

    Raises:
        UsageError: a setting of replicas without any.
    """

    workers: int | None = setting(
        None, "Share the work among so many processes of this machine, each with its own model; the GPUs are divided "
        "among them.", low=1, panel=Panel.SCALE,
    )  # fmt: skip
    replica_cpus: int | None = setting(
        None, "Cores of each worker, and threads of its model; by default its share of this machine.", low=1,
        panel=Panel.SCALE,
    )  # fmt: skip
    replica_gpus: float | None = setting(
        None, "GPUs of each worker; with 0.5 two share one. By default what the engine takes, if there are any.",
        low=0.0, panel=Panel.SCALE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        for flag, value in (("--replica-cpus", self.replica_cpus), ("--replica-gpus", self.replica_gpus)):
            if value is not None and not self.wanted:
                raise UsageError(f"{flag} is for several processes", "Give --workers as well.")
        gpus = self.replica_gpus
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--replica-gpus {gpus:g} is no whole number", "Only a number below 1 shares a GPU.")

    @property
    def wanted(self) -> bool:
        """Whether the work is done in other processes."""
        return self.workers is not None

    @property
    def most(self) -> int:
        """How many processes there may be."""
        return self.workers or 1
