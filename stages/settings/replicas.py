"""How many processes, here or on a cluster, share the work on the lines. Nothing here decides the data."""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UsageError
from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class ReplicaSettings:
    """Where the work on the lines is done; by default in this process.

    Raises:
        UsageError: both kinds of replicas, or a setting of replicas without any.
    """

    workers: int | None = setting(
        None, "Share the work among so many processes of this machine, each with its own model; the GPUs are divided "
        "among them.", low=1, panel=Panel.SCALE,
    )  # fmt: skip
    ray: str | None = setting(
        None, "Share the work among actors of a Ray cluster: its address, auto for the one this machine belongs to, or "
        "local to start one here.", metavar="ADDRESS", panel=Panel.SCALE,
    )  # fmt: skip
    replicas: int | None = setting(
        None, "--ray: number of actors, each with its own model; by default as many as the cluster has room for.",
        low=1, panel=Panel.SCALE,
    )  # fmt: skip
    replica_cpus: int | None = setting(
        None, "Cores of each worker or actor: threads of its model, programs it checks at once. By default a worker's "
        "share of this machine, and 1 for an actor.", low=1, panel=Panel.SCALE,
    )  # fmt: skip
    replica_gpus: float | None = setting(
        None, "GPUs of each worker or actor; with 0.5 two share one. By default what the engine takes, if there are "
        "any.", low=0.0, panel=Panel.SCALE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.workers is not None and self.ray is not None:
            raise UsageError("--workers are processes of this machine, --ray has actors", "Give one of the two.")
        if self.replicas is not None and self.ray is None:
            raise UsageError("--replicas are actors of a Ray cluster", "Give --ray, or --workers instead.")
        for flag, value in (("--replica-cpus", self.replica_cpus), ("--replica-gpus", self.replica_gpus)):
            if value is not None and not self.wanted:
                raise UsageError(f"{flag} is for several processes", "Give --workers or --ray as well.")
        gpus = self.replica_gpus
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--replica-gpus {gpus:g} is no whole number", "Only a number below 1 shares a GPU.")

    @property
    def wanted(self) -> bool:
        """Whether the work is done in other processes."""
        return self.workers is not None or self.ray is not None

    @property
    def most(self) -> int:
        """How many processes there may be; a cluster may have room for 64."""
        return self.workers or self.replicas or 64
