"""From settings to a pool of replicas: how many there are, and what each of them gets of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable

from evals.errors import UsageError
from stages.files.interrupts import StopFlag
from stages.runs.opened import OpenedResources
from stages.runs.replicas.pool import Fleet, Pool
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
        UsageError: there are not enough GPUs.
    """
    theirs = stage.for_replica()
    moved = [id(resource) for resource in theirs.resources()]
    kept = [resource for resource in stage.resources() if id(resource) not in moved]
    return Pool(stage, _fleet(theirs, settings), OpenedResources(kept, flag), left, warn)


def _fleet(stage: Stage, settings: ReplicaSettings) -> Fleet:
    from stages.runs.replicas.local import LocalFleet, devices_for, visible_devices

    assert settings.workers is not None, "replicas are wanted"
    threads = settings.replica_cpus or max(1, _cores() // settings.workers)
    each, visible = settings.replica_gpus, visible_devices() if stage.gpus() else []
    if visible and each == 0:
        raise UsageError("without a GPU the model runs on the CPU", "Say so: --device cpu.")
    if each is None:
        each = stage.gpus() if visible else 0
    devices = devices_for(settings.workers, each, visible) if each else None
    return LocalFleet(stage, settings.workers, threads, devices)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
