"""Runs that end in a power cut: every state of the files that one may leave is made, and the same command run on it.

    python -m tests.torture.cuts --group scripted --cases 20 --states 40

See power.py for what the states are. An undisturbed run is recorded by shim.c, so no machine has to lose its power.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.torture.attack import Attacker
from tests.torture.outcome import Wrong, complete
from tests.torture.power import Disk, State
from tests.torture.recipes import GROUPS, draw
from tests.torture.shim import calls

MANY, EACH = 200, 2
"""If there are more calls, only some of them are looked at, and so many states after each."""


def states(log: Path, run: Path, before: State, most: int, draws: random.Random) -> list[tuple[str, State]]:
    """The different states that a recorded run could have left, each with when and how.

    Of a run of many calls only about as many as asked for: those of its last calls, and others chosen by chance.
    """
    disk, found, seen = Disk(str(run), before), [], set()
    total = sum(1 for _ in calls(log))
    last = range(max(0, total - most // EACH // 2), total)
    some = {*last, *draws.sample(range(total), min(total, most // EACH // 2))}
    for number, call in enumerate(calls(log)):
        disk.take(call)
        if total > MANY and number not in some:
            continue
        new = []
        for words, state in disk.crashes():
            mark = hash(tuple(state.items()))
            if mark not in seen:
                seen.add(mark)
                said = f"after call {number} of {total} ({call.name} {Path(call.path).name}): {words}"
                new.append((said.replace(f"{run}/", ""), state))
        found += new if total <= MANY else draws.sample(new, min(EACH, len(new)))
    return found


def content(folder: Path) -> State:
    """A folder's files."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lay(state: State, folder: Path) -> None:
    """Make a folder that holds these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in sorted(state.items()):
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)


def cut(attacker: Attacker, group: str, seed: int, number: int, most: int) -> dict[str, Any]:
    """Record the last command of a random recipe, and run it again on as many of the states, chosen by chance."""
    draws = random.Random(f"{seed} cut {group} {number}")
    recipe = draw(draws, attacker.inputs, group)
    place = attacker.folder / f"cut-{group}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    begun = time.monotonic()
    row: dict[str, Any] = {"group": group, "seed": seed, "case": number, "stage": recipe.stage, "wrong": []}
    row["lines"] = [" ".join(line) for line in recipe.lines]
    run = place / "run"
    try:
        log, before, whole = attacker.recorded(recipe, place, lambda: content(run))
        found = states(log, run, before, most, draws)
        row["of"] = len(found)
        # the end, where the output appears, as a whole; of the rest a share
        late = [one for one in found if not any(name.endswith(".part") for name in one[1]) or "out" in one[1]]
        chosen = found if len(found) <= most else draws.sample(late, min(len(late), most // 2))
        rest = [one for one in found if one not in chosen]
        chosen = chosen + draws.sample(rest, max(0, min(len(rest), most - len(chosen))))
        row["states"] = len(chosen)
        for words, state in chosen:
            lay(state, run)
            try:
                for manifest in run.glob("*.manifest.json"):
                    complete(manifest)
                attacker.finish(recipe, whole, len(recipe.lines) - 1, run, place)
            except Wrong as error:
                row["wrong"].append(f"{words}: {error}")
    except Wrong as error:
        row["wrong"].append(str(error))
    row["seconds"] = round(time.monotonic() - begun, 1)
    if not row["wrong"]:
        shutil.rmtree(place)
    return row


def main() -> None:
    """Cut the power of random commands, and print what is wrong and the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="by default a new one")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=["faults"])
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--case", type=int, default=None, help="this one alone")
    parser.add_argument("--states", type=int, default=60, help="at most so many per case")
    parser.add_argument("--minutes", type=float, default=None, help="end after so long, between two cases")
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    end = time.monotonic() + (60 * given.minutes if given.minutes is not None else 1e9)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cuts-") as name:
        folder = given.folder or Path(name)
        attacker = Attacker(folder)
        numbers = range(given.cases) if given.case is None else [given.case]
        for group, number in ((group, number) for number in numbers for group in given.group):
            if time.monotonic() > end:
                break
            rows.append(cut(attacker, group, seed, number, given.states))
            if given.results is not None:
                with given.results.open("a", encoding="utf-8") as file:
                    print(json.dumps(rows[-1]), file=file)
            for wrong in rows[-1]["wrong"]:
                print(f"WRONG: {rows[-1]['stage']} {number}: {wrong}\n  {rows[-1]['lines']}")
                again = f"--seed {seed} --group {group} --case {number} --states {given.states}"
                print(f"  again: python -m tests.torture.cuts {again}", flush=True)
    for stage in sorted({row["stage"] for row in rows}):
        those = [row for row in rows if row["stage"] == stage]
        sums = [sum(row.get(key, 0) for row in those) for key in ("states", "of")]
        print(f"{stage}: {sums[0]} of {sums[1]} states, {sum(len(row['wrong']) for row in those)} wrong")
    sys.exit(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    main()
