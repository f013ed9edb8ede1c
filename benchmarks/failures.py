"""Loops that fail, each for one true cause, and what `sipf health` says of them.

    python benchmarks/failures.py [--work runs/failures] [--only plateau ...]

Every loop is `examples/loop.sh` on the embedded word problems, small, with one setting that is wrong (see `LOOPS`). All
of them take problems, M0 and (but one, which draws more) the first paths from one loop, `sound`, whose settings are
those of the demo. The commands resume, so a second run only prints. Prints a markdown table: what was wrong, and each
round's signs as health.jsonl has them. Took 40 minutes on two cores, beside other work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"SFT_N": "72", "QUESTIONS_N": "400", "TEST_N": "300", "OOD_N": "100", "VALIDATION_N": "300"}
SOUND = "sound"
ROUNDS = 3
"""The most that a loop here has."""


@dataclass(frozen=True)
class Loop:
    """A loop: what is wrong with it in words, the options of loop.sh, and settings as SIPF_* variables."""

    wrong: str
    options: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


LOOPS = {
    SOUND: Loop("nothing: the demo's settings, fewer questions", ("--rule", "outcome", "--stop-when", "worse")),
    "plateau": Loop(
        "ORPO's learning rate is a thousand times too low, so the policy hardly differs from M0; `--stop-when plateau`",
        ("--rule", "outcome", "--rounds", "3", "--stop-when", "plateau"),
        {"SIPF_ORPO_LR": "2e-7"},
    ),
    "falling": Loop(
        "ORPO's learning rate is ten times too high, for three epochs; `--stop-when worse`",
        ("--rule", "outcome", "--rounds", "3", "--stop-when", "worse"),
        {"SIPF_ORPO_LR": "2e-3", "SIPF_ORPO_EPOCHS": "3"},
    ),
    "weak": Loop(
        "one rollout per step, for a tenth of the problems, half of them held out: the reward model has too little to "
        "learn from, and what it has is noise",
        ("--rule", "widest"),
        {"SIPF_SIMULATE_K": "1", "SIPF_SIMULATE_SHARE": "0.1", "SIPF_TRAIN_PRM_HELD_OUT": "0.5"},
    ),
    "diverging": Loop(
        "ORPO's learning rate is 500 times too high",
        ("--rule", "outcome"),
        {"SIPF_ORPO_LR": "1e-1", "SIPF_ORPO_LOGGING_STEPS": "1"},
    ),
    "shrinking": Loop(
        "the policy learns its own right paths by heart (RFT, 15 epochs at 2e-3), and the questions stay the same",
        ("--learn", "rft", "--continue", "--rounds", "3"),
        {"SIPF_SAMPLE_N": "8", "SIPF_SFT_LR": "2e-3", "SIPF_SFT_EPOCHS": "15"},
    ),
}  # fmt: skip


def run(name: str, work: Path) -> Path:
    """Run one loop in its folder below `work`, or find that it is complete."""
    loop, out = LOOPS[name], work / name
    source = [] if name == SOUND else ["--sft-from", str(work / SOUND)]
    source += ["--paths-of", str(work / SOUND)] if source and "SIPF_SAMPLE_N" not in loop.settings else []
    rounds = [] if "--rounds" in loop.options else ["--rounds", "1"]
    line = ["bash", str(ROOT / "examples/loop.sh"), "--config", str(ROOT / "examples/demo.toml"), *rounds,
            *loop.options, *source, "--out", str(out)]  # fmt: skip
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **SIZES, **loop.settings, "PATH": path}
    with open(work / f"{name}.log", "w", encoding="utf-8") as log:
        subprocess.run(line, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
    for number in range(1, ROUNDS):  # every round has the same questions, as on a published set
        for ending in ("", ".manifest.json") if name == SOUND else ():
            first, later = (out / f"data/questions.{n}.jsonl{ending}" for n in (0, number))
            shutil.copyfile(first, later)
    return out


def told(out: Path) -> Iterator[str]:
    """Each round's signs with what they rest on, and what ended the loop."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (out / "health.jsonl").read_text().splitlines()]
    for line in lines:
        signs = "; ".join(f"{sign['sign'].upper()}: {sign['why']}" for sign in line["signs"]) or "no failure sign"
        yield f"round {line['round']}, {100 * line['accuracy']:.1f} % right: {signs}"
    if lines[-1]["stop"]:
        yield f"ended by {lines[-1]['stop']['sign']}; the best is {lines[-1]['best_model']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "runs/failures", help="folder of the loops")
    parser.add_argument("--only", action="append", choices=LOOPS, help="only this loop, beside the sound one")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    print("| loop | what is wrong | what health said |\n|---|---|---|")
    for name in [SOUND, *(name for name in LOOPS if name != SOUND and name in (chosen.only or LOOPS))]:
        out = run(name, chosen.work.resolve())
        print(f"| {name} | {LOOPS[name].wrong} | {'<br>'.join(told(out))} |", flush=True)


if __name__ == "__main__":
    main()
