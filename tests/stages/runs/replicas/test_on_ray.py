"""The connection to a Ray cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest

from evals.errors import Interrupted, ModelError
from stages.runs.replicas.on_ray import Cluster

ray = pytest.importorskip("ray", reason="the package ray is not installed")


def test_a_cluster_that_does_not_come_up_is_an_expected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: Any, **__: Any) -> None:
        raise Exception("The current node timed out during startup.\nAnd more.")  # as ray does

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(
        ModelError, match=r"Ray cannot be started here \(The current node timed out during startup\.\)$"
    ):
        Cluster("local", 2, 1, 0).open()


def test_sigterm_while_ray_starts_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: Any, **__: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as ray does
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        Cluster("local", 2, 1, 0).open()
    assert signal.getsignal(signal.SIGTERM) == before
