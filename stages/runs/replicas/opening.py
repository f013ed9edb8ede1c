"""From settings to a pool of replicas: how many there are, and what each of them gets of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable

from evals.errors import UsageError
from stages.files.interrupts import StopFlag
from stages.runs.opened import OpenedResources, Resource
from stages.runs.replicas.links import Fleet
from stages.runs.replicas.pool import Pool
from stages.runs.stage import Stage
from stages.settings.replicas import ReplicaSettings


def open_pool(
    stage: Stage,
    settings: ReplicaSettings,
    flag: StopFlag,
    left: Callable[[], int | None],
    warn: Callable[[str], None],
) -> Pool:
    """The pool that does the stage's work; nothing is started yet.

    Raises:
        UsageError: there are not enough GPUs, or ray is not installed.
    """
    theirs = stage.for_replica()
    moved = [id(resource) for resource in theirs.resources()]
    kept = [resource for resource in stage.resources() if id(resource) not in moved]
    fleet: Fleet
    if settings.ray is None:
        fleet = _workers(theirs, settings)
    else:
        fleet, cluster = _actors(theirs, settings, settings.ray)
        kept.insert(0, cluster)
    return Pool(stage, fleet, OpenedResources(kept, flag), left, warn)


def _workers(stage: Stage, settings: ReplicaSettings) -> Fleet:
    from stages.runs.replicas.local import LocalFleet, devices_for, visible_devices

    assert settings.workers is not None, "workers are wanted"
    cores = settings.replica_cpus or max(1, _cores() // settings.workers)
    stage = stage.pinned(cores)
    takes = stage.gpus()
    visible = visible_devices() if takes or settings.replica_gpus else []
    if settings.replica_gpus == 0 and takes and visible:
        raise UsageError("without a GPU the model runs on the CPU", "Say so: --device cpu.")
    each = settings.replica_gpus if settings.replica_gpus is not None else takes if visible else 0
    devices = devices_for(settings.workers, each, visible) if each else None
    return LocalFleet(stage, settings.workers, cores, devices)


def _actors(stage: Stage, settings: ReplicaSettings, address: str) -> tuple[Fleet, Resource]:
    from stages.runs.replicas.on_ray import Cluster, RayFleet, check_ray

    check_ray()
    cpus = settings.replica_cpus or 1
    stage = stage.pinned(cpus)
    gpus = stage.gpus() if settings.replica_gpus is None else settings.replica_gpus
    cluster = Cluster(address, settings.replicas, cpus, gpus)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return RayFleet(stage, cluster, int(threads) if threads.isdecimal() else cpus), cluster


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
