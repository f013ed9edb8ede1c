"""Random commands over small inputs: what is attacked.

    recipe = draw(random.Random(7), inputs, "scripted")
    recipe.lines        # [["sample", "/inputs/problems.jsonl", "--engine", "scripted", ..., "-o", "out.jsonl"]]

A recipe is one command or several that follow one another (shards, then `merge`), run in an empty folder.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from tests.sipf_cli.commands import ON_CPU, run

HF = ("-m", "chain-base", "--batch-rows", "8", *ON_CPU)
TRAIN = ("--device", "cpu", "--epochs", "1", "--batch", "4", "--save-steps", "2", "--logging-steps", "1")


@dataclass
class Recipe:
    """What is run. `stdin` is the file that the first command reads as `-`; `piped` says that the last one writes to
    stdout, so that there is nothing to resume."""

    stage: str
    lines: list[list[str]]
    stdin: Path | None = None
    piped: bool = False
    begins: Path | None = None
    """A folder whose files are there before."""


class Inputs:
    """Files that recipes read, made once in a folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        self._prm: Path | None = None
        folder.mkdir(parents=True, exist_ok=True)
        gold = ("--engine", "scripted", "--script", "gold:0.5")
        self._run("data", "chain", "--split", "train", "-n", 60, "-o", "problems.jsonl")
        self._run("data", "functions", "--split", "train", "-n", 24, "-o", "functions.jsonl")
        self._run("sample", "problems.jsonl", *gold, "-n", 3, "-o", "paths.jsonl")
        self._run("sample", "problems.jsonl", *gold, "-n", 2, "--seed", 5, "--round", 1, "-o", "pool.jsonl")
        self._run("sample", "functions.jsonl", *gold, "-n", 3, "-o", "programs.jsonl")
        how = ("--k", 4, "--strategy", "brute", "--root")
        self._run("simulate", "paths.jsonl", *gold, *how, "-o", "labels.jsonl")
        self._run("eval", "problems.jsonl", *gold, "-o", "judged.jsonl")
        self._with_scores()
        self._run("pairs", "scored.jsonl", "-o", "pairs.jsonl")

    def _run(self, *words: object) -> None:
        run(self.folder, *words, env=self._environment)

    def _with_scores(self) -> None:
        draws = random.Random(1)
        with open(self.folder / "scored.jsonl", "w", encoding="utf-8") as file:
            for line in (self.folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                for path in row["paths"]:
                    steps = [draws.random() for _ in path["steps"]]
                    of = {"mean": sum(steps) / len(steps), "min": min(steps), "product": prod(steps), "last": steps[-1]}
                    path["scores"] = {"prm": {"steps": steps, **of}}
                file.write(json.dumps(row) + "\n")

    def prm(self) -> Path:
        """A reward model, trained when it is first asked for."""
        if self._prm is None:
            self._prm = self.folder / "prm"
            self._run("train-prm", self.some("labels", 12), "-m", "chain-base", *TRAIN, "-o", self._prm)
        return self._prm

    def loop(self) -> Path:
        """The folder of a loop of two rounds, of which no model is left."""
        folder = self.folder / "loop"
        if not folder.exists():
            run(self.folder, "data", "chain", "--split", "test", "-n", 40, "-o", "test.jsonl", env=self._environment)
            (folder / "eval").mkdir(parents=True)
            for policy, share in (("sft", 0.4), ("round1", 0.5), ("round2", 0.6)):
                how = ("--engine", "scripted", "--script", f"gold:{share}", "-o", f"loop/eval/{policy}.jsonl")
                self._run("eval", "test.jsonl", *how)
            for number in (0, 1):
                (folder / f"r{number}").mkdir()
                for name in ("paths", "labels", "scored", "pairs"):
                    for file in self.folder.glob(f"{name}.jsonl*"):
                        shutil.copy(file, folder / f"r{number}")
        return folder

    def some(self, name: str, n: int, *, bad: bool = False) -> Path:
        """The first lines of an input, `bad` ones among them if asked for."""
        path = self.folder / f"{name}-{n}{'-bad' if bad else ''}.jsonl"
        if not path.exists():
            lines = (self.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:n]
            if bad:
                lines[len(lines) // 2 : len(lines) // 2] = ['{"id": "half", "task": \n', "\n", lines[0]]
            path.write_text("".join(lines), encoding="utf-8")
        return path


def _gold(draws: random.Random) -> list[str]:
    slow = ["--script-delay", str(draws.choice([5, 20])), "--batch-rows", "8"] if draws.random() < 0.4 else []
    return ["--engine", "scripted", "--script", f"gold:{draws.choice([0.2, 0.5, 0.8])}", *slow]


def _sample(draws: random.Random, inputs: Inputs) -> Recipe:
    source = inputs.some("problems", draws.randint(3, 60), bad=draws.random() < 0.3)
    line = ["sample", str(source), *_gold(draws), "-n", str(draws.randint(1, 6))]
    line += draws.choice([[], [], ["--want-right", "1", "--want-wrong", "1"], ["--want", "4"], ["--rationalise"]])
    line += draws.choice([[], [], ["--pool", str(inputs.folder / "pool.jsonl")]])
    line += draws.choice([[], [], ["--manifest", "beside.json"]])
    return Recipe("sample", [[*line, "-o", draws.choice(["out.jsonl", "out.jsonl", "out.jsonl.gz"])]])


def _code(draws: random.Random, inputs: Inputs) -> Recipe:
    source = str(inputs.some("functions", draws.randint(3, 12)))
    if draws.random() < 0.5:
        return Recipe("sample code", [["sample", source, *_gold(draws), "-n", "2", "-o", "out.jsonl"]])
    source = str(inputs.some("programs", draws.randint(3, 6)))
    return Recipe("simulate code", [["simulate", source, *_gold(draws), "--k", "2", "-o", "out.jsonl"]])


def _simulate(draws: random.Random, inputs: Inputs) -> Recipe:
    strategy = draws.choice(["brute", "exact", "first-error", "binary", "mcts", "prm-guided"])
    name = "scored-bare" if strategy == "prm-guided" else "paths"
    if strategy == "prm-guided":
        _without_labels(inputs)
    line = ["simulate", str(inputs.some(name, draws.randint(3, 24))), *_gold(draws), "--strategy", strategy]
    line += ["--k", str(draws.randint(2, 4))]
    more = [[], [], ["--budget", "9"], ["--harvest"], ["--root"], ["--audit", "0.5"]]
    line += draws.choice(more if strategy == "mcts" else [*more, ["--run-budget", "60"]])
    return Recipe(f"simulate {strategy}", [[*line, "-o", "out.jsonl"]])


def _without_labels(inputs: Inputs) -> None:
    path = inputs.folder / "scored-bare.jsonl"
    if not path.exists():
        rows = [json.loads(line) for line in (inputs.folder / "scored.jsonl").read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["paths"] = [part for part in row["paths"] if part["source"] == "sample"]
            for part in row["paths"]:
                part.pop("labels", None)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _relabel(draws: random.Random, inputs: Inputs) -> Recipe:
    source = inputs.some("labels", draws.randint(3, 60), bad=draws.random() < 0.3)
    line = ["relabel", str(source), "--k", str(draws.randint(2, 4)), "--delta", str(draws.randint(0, 1))]
    return Recipe("relabel", [[*line, "-o", "out.jsonl"]])


def _pairs(draws: random.Random, inputs: Inputs) -> Recipe:
    source = inputs.some("scored", draws.randint(10, 60), bad=draws.random() < 0.3)
    rule = draws.choice(["threshold", "widest", "shuffled", "outcome", "consistent"])
    line = ["pairs", str(source), "--rule", rule, "--seed", str(draws.randint(0, 9))]
    line += draws.choice([[], ["--manifest", "beside.json"]])
    return Recipe("pairs", [[*line, "-o", "out.jsonl"]])


def _export(draws: random.Random, inputs: Inputs) -> Recipe:
    what, source = draws.choice([("stepwise", "labels"), ("pairs", "pairs"), ("sft", "problems")])
    output = draws.choice(["out.jsonl", "out.jsonl.gz", "out.parquet"])
    return Recipe("export", [["export", what, str(inputs.some(source, draws.randint(5, 60))), "-o", output]])


def _data(draws: random.Random, inputs: Inputs) -> Recipe:
    world = draws.choice(["chain", "functions"])
    line = ["data", world, "--split", "train", "-n", str(draws.randint(1, 40)), "--seed", str(draws.randint(0, 99))]
    return Recipe("data", [[*line, "-o", "out.jsonl"]])


def _eval(draws: random.Random, inputs: Inputs) -> Recipe:
    if draws.random() < 0.3:
        return Recipe(
            "eval --from", [["eval", "--from", str(inputs.some("judged", draws.randint(3, 60))), "-o", "out.jsonl"]]
        )
    source = str(inputs.some("problems", draws.randint(3, 60)))
    line = ["eval", source, *_gold(draws), "-n", str(draws.randint(1, 4)), "--temperature", "1"]
    return Recipe("eval", [[*line, "-o", "out.jsonl"]])


def _report(draws: random.Random, inputs: Inputs) -> Recipe:
    line = ["report", str(inputs.loop()), "--problems", str(draws.choice([0, 5, 40])), "-o", "page.html"]
    return Recipe("report", [[*line, *draws.choice([[], ["--figures", "figures"]])]])


def _health(draws: random.Random, inputs: Inputs) -> Recipe:
    line = ["health", ".", "--patience", str(draws.randint(1, 2)), "--min-gain", str(draws.choice([0.01, 0.2]))]
    return Recipe("health", [line], begins=inputs.loop())


def _shards(draws: random.Random, inputs: Inputs) -> Recipe:
    n = draws.randint(2, 3)
    line = [
        "sample",
        str(inputs.some("problems", draws.randint(6, 40), bad=draws.random() < 0.3)),
        *_gold(draws),
        "-n",
        "2",
    ]
    shards = [[*line, "--shard", f"{i}/{n}", "-o", f"shard.{i}.jsonl"] for i in range(n)]
    return Recipe("shards, merge", [*shards, ["merge", *(f"shard.{i}.jsonl" for i in range(n)), "-o", "out.jsonl"]])


def _overwrite(draws: random.Random, inputs: Inputs) -> Recipe:
    """An output that other options made is replaced."""
    scored = str(inputs.some("scored", draws.randint(10, 60)))
    first, second = (["pairs", scored, "--rule", rule, "-o", "out.jsonl"] for rule in ("widest", "outcome"))
    return Recipe("--overwrite", [first, [*second, "--overwrite"]])


def _from_pipe(draws: random.Random, inputs: Inputs) -> Recipe:
    source = inputs.some("problems", draws.randint(3, 40))
    return Recipe("from a pipe", [["sample", "-", *_gold(draws), "-n", "2", "-o", "out.jsonl"]], stdin=source)


def _to_pipe(draws: random.Random, inputs: Inputs) -> Recipe:
    source = inputs.some("problems", draws.randint(3, 40))
    return Recipe("to a pipe", [["sample", "-", *_gold(draws), "-n", "2", "-o", "-"]], stdin=source, piped=True)


def _workers(draws: random.Random, inputs: Inputs) -> Recipe:
    stage, source = draws.choice([("sample", "problems"), ("simulate", "paths"), ("eval", "problems")])
    line = [stage, str(inputs.some(source, draws.randint(20, 60))), "--engine", "scripted", "--script", "gold:0.5"]
    line += ["--script-delay", "20", "--batch-rows", "4", "--workers", "2"]
    return Recipe(f"{stage} --workers", [[*line, "-o", "out.jsonl"]])


def _ray(draws: random.Random, inputs: Inputs) -> Recipe:
    line = ["sample", str(inputs.some("problems", 60)), "--engine", "scripted", "--script", "gold:0.5", "-n", "4"]
    line += ["--script-delay", "100", "--batch-rows", "4", "--ray", "local", "--replicas", "2"]
    return Recipe("sample --ray", [[*line, "-o", "out.jsonl"]])


def _server(draws: random.Random, inputs: Inputs) -> Recipe:
    stage, source, more = draws.choice(
        [("sample", "problems", ["-n", "3"]), ("simulate", "paths", ["--k", "2"]), ("eval", "problems", [])]
    )
    line = [stage, str(inputs.some(source, draws.randint(3, 20))), "--engine", "server", "-m", "any"]
    line += ["--url", "{url}", "--concurrency", str(draws.choice([2, 16])), "--timeout", "2", *more]
    return Recipe(f"{stage} --engine server", [[*line, "-o", "out.jsonl"]])


def _hf(stage: str) -> Callable[[random.Random, Inputs], Recipe]:
    def drawn(draws: random.Random, inputs: Inputs) -> Recipe:
        name = {"sample": "problems", "eval": "problems", "eval-prm": "judged"}.get(stage, "paths")
        line = [stage, str(inputs.some(name, draws.randint(4, 12)))]
        match stage:
            case "sample":
                line += [*HF, "-n", "2"]
            case "simulate":
                line += [
                    *HF,
                    "--k",
                    "2",
                    "--strategy",
                    draws.choice(["exact", "brute", "first-error", "binary", "mcts"]),
                ]
            case "eval":
                line += [*HF]
            case "eval-prm":
                line += ["-m", str(inputs.prm()), "--batch-tokens", "64", *ON_CPU]
            case "score":
                by = draws.choice([["-m", str(inputs.prm())], ["--by", "likelihood", "-m", "chain-base"]])
                line += [*by, "--batch-tokens", "64", *ON_CPU]
        return Recipe(f"{stage} hf", [[*line, "-o", "out.jsonl"]])

    return drawn


def _train(stage: str) -> Callable[[random.Random, Inputs], Recipe]:
    def drawn(draws: random.Random, inputs: Inputs) -> Recipe:
        name = {"sft": "problems", "train-prm": "labels"}.get(stage, "pairs")
        line = [stage, str(inputs.some(name, draws.randint(16, 32))), "-m", "chain-base", *TRAIN]
        line += draws.choice([[], [], ["--held-out", "0.2", "--keep", "best"], ["--lora"], ["--lora", "--merge"]])
        return Recipe(stage, [[*line, "-o", "out"]])

    return drawn


def _vllm(stage: str) -> Callable[[random.Random, Inputs], Recipe]:
    """Greedily: what else is running beside a text may change the last bits of its probabilities."""

    def drawn(draws: random.Random, inputs: Inputs) -> Recipe:
        name = "problems" if stage in ("sample", "eval") else "paths"
        line = [stage, str(inputs.some(name, draws.randint(8, 24))), "--engine", "vllm", "-m", "chain-base"]
        line += [] if stage == "eval" else ["--temperature", "0"]
        line += ["--k", "1"] if stage == "simulate" else []
        return Recipe(f"{stage} vllm", [[*line, "-o", "out.jsonl"]])

    return drawn


Draw = Callable[[random.Random, Inputs], Recipe]
GROUPS: dict[str, tuple[Draw, ...]] = {
    "scripted": (
        _sample, _sample, _simulate, _simulate, _simulate, _relabel, _pairs, _export, _data, _eval, _shards, _overwrite,
        _from_pipe, _to_pipe, _code, _workers, _report, _health,
    ),
    "faults": (
        _sample, _simulate, _relabel, _pairs, _export, _data, _eval, _shards, _overwrite, _from_pipe, _report, _health,
    ),
    "edits": (_sample, _simulate, _relabel, _pairs, _export, _data, _eval, _code),
    "server": (_server,),
    "hf": tuple(_hf(stage) for stage in ("sample", "simulate", "score", "eval", "eval-prm")),
    "vllm": tuple(_vllm(stage) for stage in ("sample", "simulate", "eval")),
    "train": tuple(_train(stage) for stage in ("sft", "train-prm", "orpo", "dpo")),
    "train-faults": tuple(_train(stage) for stage in ("sft", "train-prm", "orpo", "dpo")),
    "ray": (_ray,),
}  # fmt: skip


def draw(draws: random.Random, inputs: Inputs, group: str) -> Recipe:
    """A random recipe of a group."""
    return draws.choice(GROUPS[group])(draws, inputs)
