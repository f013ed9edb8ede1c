"""No hostile program passes, outstays its limits or leaves a trace: in each sandbox, as root and as nobody, and in a
container that allows no further one."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from evals.sandbox import landlock
from tests.evals.sandbox.hostile import CASES
from tests.evals.sandbox.siege import LIMITS, QUICK

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534
USERS = {"root": 0, "nobody": NOBODY} if os.getuid() == 0 else {"user": os.getuid()}
WAYS = [f"{layer}, {user}" for layer in ("bubblewrap", "landlock") for user in USERS]
CONTAINED = f"auto, {next(iter(USERS))}"
"""In a user namespace that allows no further one, as most containers do."""
ONE_USER = {"is root"}
"""Where a container has no other user, a program is root in name, without a capability."""
CONTAINER = ["bwrap", "--unshare-user", "--disable-userns", "--dev-bind", "/", "/", "--"]


def unavailable(why: str) -> None:
    """Both sandboxes belong to what CI shows; elsewhere their absence is a reason to skip."""
    if os.environ.get("CI"):
        pytest.fail(f"{why}, and CI must have it")
    pytest.skip(why)


@functools.cache
def siege(way: str) -> dict[str, Any]:
    """What `siege.py` reports for one sandbox and user."""
    layer, user = way.split(", ")
    if layer != "landlock" and shutil.which("bwrap") is None:
        return {"missing": "bubblewrap is not installed (apt-get install bubblewrap)"}
    if layer != "bubblewrap" and not landlock.abi():
        return {"missing": "this kernel has no landlock"}
    with tempfile.TemporaryDirectory() as place:  # a folder that every user may read
        os.chmod(place, 0o755)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "evals", f"{place}/evals", ignore=ignored)
        shutil.copytree(ROOT / "tests/evals/sandbox", f"{place}/tests/evals/sandbox", ignore=ignored)
        uid = USERS[user]
        python = interpreter(uid)
        if python is None:
            return {"missing": "no Python that another user may run was found"}
        command = [python, "-B", f"{place}/tests/evals/sandbox/siege.py", layer, str(uid), place]
        command = [*CONTAINER, *command, "quick"] if way == CONTAINED else command
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def interpreter(uid: int) -> str | None:
    """A Python of at least 3.11 that this user may run: this one, or the system's."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        real = os.path.realpath(candidate)
        script = "import sys; sys.exit(sys.version_info < (3, 11))"
        try:
            user = {"user": uid, "group": uid, "extra_groups": []} if uid != os.getuid() else {}
            if subprocess.run([real, "-c", script], capture_output=True, cwd="/", **user).returncode == 0:  # type: ignore[call-overload]  # keywords by user
                return real
        except OSError:
            continue
    return None


@pytest.fixture(params=[*WAYS, CONTAINED])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The report of one sandbox and user."""
    found = siege(request.param)
    if "missing" in found:
        unavailable(found["missing"])
    return found


def test_no_hostile_program_passes_and_each_ends_as_it_must(report: dict[str, Any]) -> None:
    contained = report is siege(CONTAINED)
    assert report["results"].keys() == (QUICK if contained else CASES).keys()
    assert not any("passed" in case.outcomes for case in CASES.values())
    wrong = {name: told for name, told in report["results"].items() if told["outcome"] not in CASES[name].outcomes}
    assert wrong.keys() <= (ONE_USER if contained else set()), wrong


def test_every_hostile_program_ends_in_time(report: dict[str, Any]) -> None:
    late = {name: told for name, told in report["results"].items() if told["wall_s"] > LIMITS.wall_s + 0.5}
    assert not late


def test_no_process_is_left_behind(report: dict[str, Any]) -> None:
    assert report["left"] == []


def test_no_byte_is_changed_and_no_file_is_new(report: dict[str, Any]) -> None:
    assert not report["changed"]
    assert report["new files"] == []


def test_nobody_was_called(report: dict[str, Any]) -> None:
    assert report["called"] == []


def test_no_descriptor_is_left_open(report: dict[str, Any]) -> None:
    assert report["descriptors"] <= 0


def test_a_container_gets_the_sandbox_that_works_in_it() -> None:
    found = siege(CONTAINED)
    if "missing" in found:
        unavailable(found["missing"])
    assert found["layer"] == "landlock"


def test_nothing_drifts_over_200_hostile_programs(report: dict[str, Any]) -> None:
    before, after = report["drift"]["before"], report["drift"]["after"]
    assert after["children"] == before["children"]
    assert after["warm"] == before["warm"]
    assert after["descriptors"] == before["descriptors"]
    assert after["peak MiB"] - before["peak MiB"] < 2
    assert after["warm MiB"] - before["warm MiB"] < 4


def test_an_honest_program_still_passes_after_all_of_them(report: dict[str, Any]) -> None:
    assert report["honest"] == "passed"
