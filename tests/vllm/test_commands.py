"""The commands on vLLM: sample, simulate, eval, score; and what is left when they are killed."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sipf_cli.commands import end, read, run, start, wait_for, wait_until_it_listens
from tests.vllm.conftest import Sipf

VLLM = ("--engine", "vllm", "-m", "chain-base")


def test_sample_then_simulate_exactly_and_by_brute_force(made: Path, tmp_path: Path, sipf: Sipf) -> None:
    sipf(tmp_path, "sample", made / "problems.jsonl", *VLLM, "-n", 3, "-o", "paths.jsonl")
    rows = read(tmp_path / "paths.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in read(made / "problems.jsonl")]
    assert sum(len(row["paths"]) for row in rows) > 40
    hard = {}
    for strategy in ("exact", "brute"):
        how = ("--strategy", strategy, "--k", 4)
        sipf(tmp_path, "simulate", "paths.jsonl", *VLLM, *how, "-o", f"{strategy}.jsonl")
        labels = [
            label
            for row in read(tmp_path / f"{strategy}.jsonl")
            for path in row["paths"]
            if path["source"] == "sample"
            for label in path["labels"]
        ]
        hard[strategy] = [label["hits"] > label["delta"] for label in labels]
        assert all(label["settled"] for label in labels)
        assert strategy == "exact" or all(label["draws"] == 4 for label in labels)
    same = sum(a == b for a, b in zip(hard["exact"], hard["brute"], strict=True))
    assert same >= 0.98 * len(hard["brute"]), "draws have the same seeds; a few may hang on their batch"
    assert any(hard["brute"])
    assert not all(hard["brute"])
    facts = json.loads((tmp_path / "exact.jsonl.manifest.json").read_text())["facts"]
    assert facts["engine"] == "vllm"
    assert facts["same whatever the batch"] == "not guaranteed"


def test_greedy_eval_writes_the_lines_of_the_hf_engine(made: Path, tmp_path: Path, sipf: Sipf) -> None:
    rates = {}
    for engine in ("vllm", "hf"):
        how = ("--engine", engine, "-m", "chain-base", "--device", "cpu", "-o", f"{engine}.jsonl")
        rates[engine] = sipf(tmp_path, "eval", made / "problems.jsonl", *how)["results"]["accuracy"]
    assert (tmp_path / "vllm.jsonl").read_bytes() == (tmp_path / "hf.jsonl").read_bytes()
    assert rates["vllm"] == rates["hf"]


@pytest.mark.parametrize("name", ["prm", "prm-adapter"])
def test_scores_equal_those_of_the_hf_engine(name: str, made: Path, tmp_path: Path, sipf: Sipf) -> None:
    found: dict[str, list[Any]] = {}
    for engine in ("vllm", "hf"):
        how = ("-m", made / name, "--engine", engine, "--device", "cpu", "-o", f"{engine}.jsonl")
        sipf(tmp_path, "score", made / "paths.jsonl", *how)
        paths = [path for row in read(tmp_path / f"{engine}.jsonl") for path in row["paths"]]
        found[engine] = [score for path in paths for score in path["scores"]["prm"]["steps"]]
    assert len(found["hf"]) > 100
    assert found["vllm"] == pytest.approx(found["hf"], abs=1e-4)
    assert max(found["hf"]) - min(found["hf"]) > 0.01, "the model must tell steps apart"


@pytest.mark.parametrize("by", ["likelihood", "ratio"])
@pytest.mark.parametrize("name", ["adapter", "merged"])
def test_likelihoods_equal_those_of_the_hf_engine(by: str, name: str, made: Path, tmp_path: Path, sipf: Sipf) -> None:
    reference = ("--reference", "chain-base", "--beta", 1.0) if by == "ratio" else ()
    found: dict[str, list[Any]] = {}
    for engine in ("vllm", "hf"):
        how = ("-m", made / name, "--engine", engine, "--device", "cpu", "--dtype", "float32", "-o", f"{engine}.jsonl")
        sipf(tmp_path, "score", made / "paths.jsonl", "--by", by, *reference, *how)
        paths = [path for row in read(tmp_path / f"{engine}.jsonl") for path in row["paths"]]
        found[engine] = [score for path in paths for score in path["scores"][by]["steps"]]
    assert len(found["hf"]) > 100
    assert found["vllm"] == pytest.approx(found["hf"], abs=1e-4)
    assert max(found["hf"]) - min(found["hf"]) > 0.1, "the model must tell steps apart"


def test_data_alone_go_to_stdout_and_vllm_says_nothing(made: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "sample", made / "problems.jsonl", *VLLM, "-n", 1, "-o", "-", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in read(made / "problems.jsonl")]
    said = [line for line in done.stderr.decode().splitlines() if not line.startswith(("sample:", '{"output"'))]
    assert said == []


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory, sipf: Sipf) -> Path:
    """What a run that is left alone makes, long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    sipf(folder, "data", "chain", "--split", "train", "-n", 150, "-o", "more.jsonl")
    sipf(folder, "sample", "more.jsonl", "--engine", "scripted", "--script", "gold:0.4", "-n", 4, "-o", "paths.jsonl")
    return folder


def test_killed_and_stopped_runs_go_on_with_nothing_lost_or_doubled(whole: Path, tmp_path: Path, sipf: Sipf) -> None:
    line = ("simulate", whole / "paths.jsonl", *VLLM, "--k", 4, "--batch-rows", 32, "-o", "out.jsonl")
    codes, size = [], 0
    for sort in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = start(tmp_path, *line)
        wait_for(tmp_path / "out.jsonl.part", size + 20_000, process)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(sort)
        code, said = end(process)
        codes.append(code)
        assert not (tmp_path / "out.jsonl").exists()
        assert "Traceback" not in said
        assert not [child for child in below if child.is_running()], "nothing is left behind"
        size = (tmp_path / "out.jsonl.part").stat().st_size
    assert codes == [-9, 75, 130]
    done = sipf(tmp_path, *line)
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in read(whole / "paths.jsonl")]
    assert done["resumed"] > 0
    labels = [label for row in rows for path in row["paths"] if path["source"] != "gold" for label in path["labels"]]
    assert done["counts"]["steps labelled"] == len(labels)
    assert all(label["draws"] == len(label["rollouts"]) for label in labels)


def test_sigterm_is_heard_while_vllm_is_loaded(whole: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "simulate", whole / "paths.jsonl", *VLLM, "--k", 4, "-o", "out.jsonl")
    wait_until_it_listens(process)
    time.sleep(4)
    process.terminate()
    code, said = end(process)
    assert code == 75, said
    assert not (tmp_path / "out.jsonl").exists()
    assert "Traceback" not in said
