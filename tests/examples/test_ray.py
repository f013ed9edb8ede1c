"""`examples/ray/`: the cluster's file, checked by Ray, and the script that hands jobs in, with a stand-in for `ray`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, blocks, commands
from tests.sipf_cli.commands import SCRIPTED, environment, run
from tests.sipf_cli.warm import warm_program

RAY = Path(__file__).resolve().parents[2] / "examples" / "ray"
# What `ray job submit` does: the entrypoint becomes a line for a shell, whose end is told in a sentence.
STAND_IN = """
import json, os, subprocess, sys
options, words = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
assert options[:3] == ["job", "submit", "--address"] and options[4] == "--runtime-env-json" and len(options) == 6
with open(os.environ["HANDED_IN"], "a") as file:
    print(json.dumps([options[3], json.loads(options[5]), words]), file=file)
first = os.environ.get("INTERRUPTED")
if first and not os.path.exists(first):
    open(first, "w").close()
    code = 75
else:
    told = json.loads(options[5])["env_vars"]
    code = subprocess.run(subprocess.list2cmdline(words), shell=True, cwd="/", env={**os.environ, **told}).returncode
if code:
    print(f"Job 'raysubmit_1' failed\\nStatus message: Job entrypoint command failed with exit code {code}, last logs:")
sys.exit(bool(code))
"""
SIPF = """
import os, sys
words = sys.argv[1:]
at = words.index("--ray")
assert words[at:at + 4] == ["--ray", "auto", "--replicas", "4"]
os.execv(sys.executable, [*{program!r}, *words[:at]])
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with spaces in its name, and stand-ins beside it: `ray`, and `sipf` that leaves Ray's options out."""
    (tmp_path / "bin").mkdir()
    for name, text in (("ray", STAND_IN), ("sipf", SIPF.format(program=warm_program()))):
        (tmp_path / "bin" / name).write_text(f"#!{sys.executable}\n{text}")
        (tmp_path / "bin" / name).chmod(0o755)
    folder = tmp_path / "my problems"
    folder.mkdir()
    run(folder, "data", "chain", "--split", "train", "-n", 4, "-o", "problems.jsonl")
    return folder


def submit(place: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{place.parent / 'bin'}:{os.environ['PATH']}"
    env = environment(PATH=path, HANDED_IN=str(place.parent / "jobs"), **variables)
    line = ["bash", str(RAY / "submit.sh"), "4", *words]
    return subprocess.run(line, cwd=place, env=env, capture_output=True, text=True, timeout=120)


def handed_in(place: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (place.parent / "jobs").read_text().splitlines()]


def test_an_interrupted_job_is_handed_in_again_and_ends_as_the_command_does(place: Path) -> None:
    line = ("sample", "problems.jsonl", *SCRIPTED, "-n", "2", "-o", "it's paths.jsonl")
    done = submit(place, *line, INTERRUPTED=str(place.parent / "once"), DASHBOARD="http://head:8265")
    assert done.returncode == 0, done.stdout + done.stderr
    run(place, *line[:-1], "whole.jsonl")
    assert (place / "it's paths.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()
    jobs = handed_in(place)
    assert len(jobs) == 2
    assert jobs[0] == jobs[1]
    address, environment_of_it, words = jobs[0]
    assert address == "http://head:8265"
    assert environment_of_it["env_vars"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert words == ["eval", "$JOB"]
    assert done.stderr.count("submit.sh: interrupted") == 1


def test_a_job_that_fails_is_not_handed_in_again_and_its_exit_code_is_told(place: Path) -> None:
    done = submit(place, "sample", "none.jsonl", *SCRIPTED, "-o", "paths.jsonl")
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(handed_in(place)) == 1
    done = submit(place, "sample", "problems.jsonl", *SCRIPTED, "-o", "p.jsonl", RESTARTS="0", INTERRUPTED="once")
    assert done.returncode == 75


def test_the_job_on_the_page_runs(place: Path) -> None:
    page = next(page for page in PAGES if page.name == "clusters.md")
    typed = [one.typed for block in blocks(page) if block.note == "setup" for one in commands(block)]
    (line,) = [line for line in typed if "submit.sh" in line]
    done = submit(place, *shlex.split(line)[3:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place / "paths.jsonl.manifest.json").exists()


def test_the_cluster_is_of_machines_of_ones_own() -> None:
    told = yaml.safe_load((RAY / "cluster.yaml").read_text())
    assert told["max_workers"] == len(told["provider"]["worker_ips"])
    for started in (told["head_start_ray_commands"], told["worker_start_ray_commands"]):
        assert started[-1].startswith("RAY_USAGE_STATS_ENABLED=0 ray start ")


CHECK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
validate_config(prepare_config(yaml.safe_load(open(sys.argv[1]))))
from ray.dashboard.modules.job.cli import submit
context = submit.make_context("submit", sys.argv[2:])
print(json.dumps(context.params["entrypoint"]))
from ray.scripts.scripts import start
for line in yaml.safe_load(open(sys.argv[1]))["head_start_ray_commands"][1:]:
    start.make_context("start", line.split("ray start ")[1].split())
"""


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (pip install 'sipf[ray]')")
def test_ray_takes_the_cluster_and_the_options(tmp_path: Path) -> None:
    words = ["--address", "http://head:8265", "--runtime-env-json", "{}", "--", "eval", "$JOB"]
    line = [sys.executable, "-c", CHECK, str(RAY / "cluster.yaml"), *words]
    env = environment(RAY_USAGE_STATS_ENABLED="0")
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["eval", "$JOB"]
