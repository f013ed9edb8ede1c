"""How torch's threads wait for each other is set before torch is imported, unless the user has said how."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.sipf_cli.commands import environment

SHOW = (
    "import os, sys\n"
    "from sipf_cli import main\n"
    "main.app = lambda **_: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)\n"
    "main.main()\n"
)


@pytest.mark.parametrize(
    ("given", "seen"),
    [({}, "20000 False"), ({"GOMP_SPINCOUNT": "7"}, "7 False"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None False")],
)
def test_threads_that_wait_leave_their_core_to_others_soon(given: dict[str, str], seen: str) -> None:
    inherited = environment(**given)
    if "GOMP_SPINCOUNT" not in given:
        inherited.pop("GOMP_SPINCOUNT", None)
    done = subprocess.run([sys.executable, "-c", SHOW], env=inherited, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == seen
