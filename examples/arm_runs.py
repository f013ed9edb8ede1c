"""What each arm of reproduce.sh did under each seed, read from its folder or from a file that keeps it.

    runs = [*found_runs(Path("runs/reproduce")), *kept_runs(Path("docs/claims/arms.jsonl"))]
    keep_runs(Path("arms.jsonl"), runs)

RUN/SEED/ARM/eval/*.jsonl are the results, RUN/SEED/ARM/r*/ what the rounds made. The kept file has one line an arm and
seed: `right` and `sound` hold a bit for every problem in the order of the data, as a hexadecimal number whose highest
digit is a 1 that stands before them. So a published comparison can be computed again, and arms run later set beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import DataError
from stages.counts import Count
from stages.files.manifest import read_manifest
from stages.joins.results import all_results, first_answer, right_trace
from stages.report import round_costs

SETTINGS = ("strategy", "share", "k", "delta", "only_right")
"""What a table shows of the options that labels were made with."""
TRANSFER = ("mmlu_math", "humaneval")
"""Problems of these sets lie outside what a policy was trained on: out of domain, as the paper has it."""


@dataclass
class Answers:
    """A policy's first answers to the problems of one split, in the order of the data."""

    problems: str
    """A digest of the problems' names and questions: only equal ones can be compared."""
    right: list[bool]
    sound: list[bool] | None
    """Right by right steps; None where steps cannot be checked."""


@dataclass
class ArmRun:
    """One arm under one seed; "sft" is what all of them start from, and has round 0 alone."""

    arm: str
    seed: str
    answers: dict[tuple[int, str], Answers] = field(default_factory=dict)
    """By round and split."""
    costs: list[Mapping[str, Any]] = field(default_factory=list)
    """By round."""
    earlier: bool = False
    """Whether an earlier run made it than most of those that it is kept with."""

    @property
    def rounds(self) -> int:
        """The last round."""
        return max((number for number, _ in self.answers), default=0)


def found_runs(run: Path) -> list[ArmRun]:
    """All arms below a folder of reproduce.sh, each with the rounds that it has finished."""
    runs = []
    for folder in sorted(place.parent for place in run.glob("*/*/eval")):
        seed = folder.parent.name
        if read_manifest(str(sft := folder / "eval/sft.jsonl")) is not None:  # of the arm that made M0
            runs.append(ArmRun("sft", seed, _answers(0, sft)))
        arm = ArmRun(folder.name, seed)
        while read_manifest(str(file := folder / f"eval/round{arm.rounds + 1}.jsonl")) is not None:
            arm.costs.append(_costs(folder / f"r{arm.rounds}"))
            arm.answers |= _answers(arm.rounds + 1, file)
        if arm.rounds:
            runs.append(arm)
    return runs


def _answers(number: int, file: Path) -> dict[tuple[int, str], Answers]:
    splits: dict[str, list[tuple[str, bool, bool | None]]] = {}
    for problem in all_results(str(file)):
        row = (f"{problem.id} {problem.question}", bool(first_answer(problem).correct), right_trace(problem))
        splits.setdefault("ood" if problem.task in TRANSFER else getattr(problem, "split", "test"), []).append(row)
    found = {}
    for split, rows in splits.items():
        digest = hashlib.sha256("\n".join(name for name, _, _ in rows).encode()).hexdigest()[:16]
        traces = [trace for _, _, trace in rows if trace is not None]
        found[number, split] = Answers(
            digest, [right for _, right, _ in rows], traces if len(traces) == len(rows) else None
        )
    return found


def _costs(folder: Path) -> dict[str, Any]:
    made = {name: read_manifest(str(folder / f"{name}.jsonl")) or {} for name in ("paths", "labels")}
    counts = {name: dict(manifest.get("counts", {})) for name, manifest in made.items()}
    options = made["labels"].get("options", {})
    return {
        **round_costs(folder),
        "tokens drawn": counts["paths"].get(Count.TOKENS, 0),
        "tokens rolled out": counts["labels"].get(Count.ROLLOUT_TOKENS, 0),
        "settings": {name: options[name] for name in SETTINGS if name in options},
    }


def keep_runs(file: Path, runs: Iterable[ArmRun]) -> None:
    """Write a line for each, in the order of arms and seeds."""
    lines = []
    for run in sorted(runs, key=lambda run: (run.arm, run.seed)):
        answers = [
            {"round": number, "split": split, "problems": kept.problems, "right": _written(kept.right)}
            | ({} if kept.sound is None else {"sound": _written(kept.sound)})
            for (number, split), kept in sorted(run.answers.items())
        ]
        line = {"arm": run.arm, "seed": run.seed, "answers": answers, "costs": run.costs}
        lines.append(json.dumps(line | ({"earlier": True} if run.earlier else {})) + "\n")
    file.write_text("".join(lines), encoding="utf-8")


def kept_runs(file: Path) -> list[ArmRun]:
    """What `keep_runs` wrote.

    Raises:
        DataError: a line is none of its lines.
    """
    runs = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            kept = json.loads(line)
            answers = {
                (one["round"], one["split"]): Answers(
                    one["problems"], _bits(one["right"]), _bits(one["sound"]) if "sound" in one else None
                )
                for one in kept["answers"]
            }
            runs.append(ArmRun(kept["arm"], kept["seed"], answers, kept["costs"], kept.get("earlier", False)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{file}:{number}: no arm of reproduce.sh ({error!r})") from error
    return runs


def _written(bits: Sequence[bool]) -> str:
    return f"{int('1' + ''.join(str(int(bit)) for bit in bits), 2):x}"


def _bits(written: str) -> list[bool]:
    return [digit == "1" for digit in f"{int(written, 16):b}"[1:]]
