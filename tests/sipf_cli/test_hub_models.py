"""Models of the hub, from the command line: named by their commit, resumable from the first run on, usable offline."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from stages.models.naming import resolve
from tests.hub import Hub, fill_cache, free_port
from tests.lines import labelled_problem
from tests.sipf_cli.commands import ON_CPU, end, environment, finished, hold, release, run, start
from tests.sipf_cli.warm import keep_warm

REPO = "someone/tiny"
OLD, NEW = "0" * 39 + "a", "0" * 39 + "b"
REVISIONS = {"main": NEW, "v1": OLD, "refs/pr/1": OLD}


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The embedded model, and the same with other weights."""
    folder = tmp_path_factory.mktemp("commits")
    for commit in (OLD, NEW):
        shutil.copytree(resolve("chain-base"), folder / commit)
    weights = load_file(folder / NEW / "model.safetensors")
    save_file(
        {name: 0.9 * value for name, value in weights.items()}, folder / NEW / "model.safetensors", {"format": "pt"}
    )
    return {commit: folder / commit for commit in (OLD, NEW)}


class Machine:
    """Where the commands run: the variables that say whether there is a network, and where the hub and its cache are.

    The libraries read them when they are imported. They are the same in all tests here, so that commands can begin with
    the libraries imported.
    """

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self.port = free_port()
        endpoint = {"HF_ENDPOINT": f"http://127.0.0.1:{self.port}", "HF_HUB_DISABLE_XET": "1"}
        self._online = environment(HF_HOME=str(self._home), HF_HUB_OFFLINE="0", **endpoint)
        self._offline = environment(HF_HOME=str(self._home), HF_HUB_OFFLINE="1")
        keep_warm(self._online)
        keep_warm(self._offline)

    def online(self, home: Path) -> dict[str, str]:
        """The variables, once HF_HOME is this folder."""
        self._move(home)
        return self._online

    def offline(self, home: Path) -> dict[str, str]:
        """Likewise, without a network."""
        self._move(home)
        return self._offline

    def _move(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self._home.unlink(missing_ok=True)
        self._home.symlink_to(home)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def hub(commits: dict[str, Path], machine: Machine) -> Hub:
    return Hub(REPO, dict(REVISIONS), commits, machine.port)


@pytest.fixture
def serving(hub: Hub) -> Iterator[Hub]:
    with hub.serving():
        yield hub


def write_problems(folder: Path, lines: int) -> None:
    text = "".join(labelled_problem(i).model_copy(update={"paths": []}).to_json() + "\n" for i in range(lines))
    (folder / "in.jsonl").write_text(text)


def sampling(output: str, *more: object, n: int = 1) -> tuple[object, ...]:
    return (
        "sample",
        "in.jsonl",
        "-o",
        output,
        "-m",
        REPO,
        "-n",
        n,
        "--max-tokens",
        8,
        "--keep-unfinished",
        *ON_CPU,
        *more,
    )


def manifest(folder: Path, output: str) -> dict[str, Any]:
    return dict(json.loads((folder / f"{output}.manifest.json").read_text()))


def test_a_first_run_that_is_killed_resumes_though_the_branch_has_moved_on(
    tmp_path: Path, machine: Machine, serving: Hub
) -> None:
    write_problems(tmp_path, 60)
    hub, env = serving, machine.online(tmp_path / "home")
    how = sampling("out.jsonl", "--batch-rows", 4, n=4)
    process = start(tmp_path, *how, cold=False, env=env)
    while process.poll() is None and finished(tmp_path / "out.jsonl.part") == 0:
        time.sleep(0.01)
    hold(process)
    release(process, signal.SIGKILL)
    assert end(process)[0] == -signal.SIGKILL
    done = json.loads(run(tmp_path, *how, "--json", env=env).stdout)
    assert done["resumed"] > 0
    assert manifest(tmp_path, "out.jsonl")["facts"]["model_sha256"] == f"hub:{REPO}@{NEW}"
    assert not any("/resolve/main/" in path for path in hub.asked)
    run(tmp_path, *how, "--revision", NEW, env=env)  # what is the same model is the same run
    hub.revisions["main"] = OLD
    assert NEW[:8] in run(tmp_path, *how, env=env, code=2).stderr.decode()


def test_revisions_are_other_models_and_offline_the_cache_is_enough(
    tmp_path: Path, hub: Hub, machine: Machine, commits: dict[str, Path]
) -> None:
    write_problems(tmp_path, 2)
    home, by_hand = tmp_path / "home", tmp_path / "by-hand"
    with hub.serving():
        run(tmp_path, *sampling("main"), env=machine.online(home))
        run(tmp_path, *sampling("v1", "--revision", "v1"), env=machine.online(home))
    fill_cache(by_hand, REPO, REVISIONS, commits)
    run(tmp_path, *sampling("offline", "--revision", "v1"), env=machine.offline(home))
    run(tmp_path, *sampling("alone", "--revision", "refs/pr/1"), env=machine.offline(by_hand))
    run(tmp_path, *sampling("nobody", "--revision", OLD), env=machine.online(home))
    named = {name: manifest(tmp_path, name)["facts"]["model_sha256"] for name in ("main", "v1", "offline", "alone")}
    old = f"hub:{REPO}@{OLD}"
    assert named == {"main": f"hub:{REPO}@{NEW}", "v1": old, "offline": old, "alone": old}
    texts = {name: (tmp_path / name).read_text() for name in (*named, "nobody")}
    assert texts["main"] != texts["v1"]
    assert texts["v1"] == texts["offline"] == texts["alone"] == texts["nobody"]


def test_what_cannot_be_resolved_is_one_line_and_exit_4(tmp_path: Path, hub: Hub, machine: Machine) -> None:
    write_problems(tmp_path, 1)
    for number, (variables, there, more, said) in enumerate(
        (
            (machine.offline, False, (), "HF_HUB_OFFLINE is set"),
            (machine.online, False, (), "the hub cannot be reached"),
            (machine.online, False, ("--revision", OLD), "the hub cannot be reached"),
            (machine.online, True, ("--revision", "v9"), f"the hub has no {REPO}@v9"),
            (machine.online, True, ("-m", "someone/else"), "there is no model someone/else@main"),
        )
    ):
        with hub.serving() if there else nullcontext():
            env = variables(tmp_path / str(number))
            told = run(tmp_path, *sampling("out", *more), env=env, code=4).stderr.decode()
        assert said in told, told
        assert "Traceback" not in told
    run(tmp_path, *sampling("out", "-m", "chain-base", "--revision", "v1"), code=2)


def test_a_trained_model_and_its_adapter_name_the_commit_of_their_base(
    tmp_path: Path, machine: Machine, serving: Hub, commits: dict[str, Path]
) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(8)))
    home = tmp_path / "home"
    how = ("--epochs", 1, "--batch", 4, *ON_CPU, "--lora")
    run(tmp_path, "sft", "in.jsonl", "-o", "m", "-m", REPO, "--revision", "v1", *how, env=machine.online(home))
    assert json.loads((tmp_path / "m" / "sipf.json").read_text())["base"] == f"{REPO}@{OLD}"
    adapter = json.loads((tmp_path / "m" / "adapter_config.json").read_text())
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (REPO, OLD)
    run(tmp_path, *sampling("out", "-m", "m"), env=machine.offline(home))
    run(tmp_path, "sft", "in.jsonl", "-o", "by-folder", "-m", commits[OLD], *how)
    run(tmp_path, *sampling("other", "-m", "by-folder"))
    assert (tmp_path / "out").read_text() == (tmp_path / "other").read_text()
