"""Attack commands with signals until they break: `make torture`, or

    python -m tests.torture --seed 7 --minutes 10 --results torture.jsonl
    python -m tests.torture --seed 7 --group scripted --case 31       # one case again, as a failure says

Every finished case is one line of the results; run again with the same file, they are not repeated, and the seed is
theirs. At the end there is a table of what was hit where. A case that is wrong prints how to repeat it, and keeps its
files in --folder, if one is given.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.torture.attack import Attacker
from tests.torture.misbehaving import misbehaving
from tests.torture.recipes import GROUPS


def main() -> None:
    """Run what is left, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=None, help="by default that of the results, or a new one")
    parser.add_argument("--group", nargs="+", choices=GROUPS, default=["scripted", "server"])
    parser.add_argument("--cases", type=int, default=100, help="cases per group")
    parser.add_argument("--minutes", type=float, default=None, help="end after so long, between two cases")
    parser.add_argument("--case", type=int, default=None, help="this one alone")
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where cases run; what is wrong stays there")
    parser.add_argument("--table", action="store_true", help="print the table of the results, and do nothing else")
    parser.add_argument("--keep-going", action="store_true", help="continue after a case that is wrong")
    given = parser.parse_args()
    rows = read(given.results)
    if given.table:
        print(table(rows))
        return
    seed = given.seed
    if seed is None:
        seed = rows[-1]["seed"] if rows else random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    end = time.monotonic() + (60 * given.minutes if given.minutes is not None else 1e9)
    with tempfile.TemporaryDirectory(prefix="torture-") as name, misbehaving(seed) as server:
        folder = given.folder or Path(name)
        attacker = Attacker(folder, server.url)
        done = {(row["seed"], row["group"], row["case"]) for row in rows}
        numbers = range(given.cases) if given.case is None else [given.case]
        for group, number in ((group, number) for number in numbers for group in given.group):
            if time.monotonic() > end:
                break
            if (seed, group, number) in done and given.case is None:
                continue
            rows.append(attacker.case(group, seed, number))
            if given.results is not None:
                with given.results.open("a", encoding="utf-8") as file:
                    print(json.dumps(rows[-1]), file=file)
            if rows[-1]["wrong"]:
                print(f"WRONG: {rows[-1]['stage']}: {rows[-1]['wrong'][0]}\n  {rows[-1]['lines']}")
                print(f"  {rows[-1]['attacks']}")
                print(f"  again: python -m tests.torture --seed {seed} --group {group} --case {number}", flush=True)
                if not given.keep_going:
                    break
    print(table(rows))
    sys.exit(any(row["wrong"] for row in rows))


def read(results: Path | None) -> list[dict[str, Any]]:
    """The rows of earlier runs."""
    if results is None or not results.exists():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


MOMENTS = {
    "at the start": "start", "at any time": "any time", "a child": "a child", "all along": "all along",
    "when it was done": "done",
}  # fmt: skip
"""Those that are no call."""
CALLS = {
    "rename": "rename",
    "fsync": "fsync",
    "unlink": "delete",
    "rmdir": "delete",
    "create": "create",
    "mkdir": "create",
}
"""Calls that a column of their own counts."""


STRATEGY = re.compile(r"^simulate (brute|exact|first-error|binary|mcts|prm-guided)$")


def place(attack: dict[str, Any]) -> str:
    """A moment's column."""
    moment = str(attack["moment"])
    if moment in MOMENTS:
        return MOMENTS[moment]
    call = moment.split()[1]
    return CALLS.get(call) or ("journal" if ".part" in moment else "write")


def table(rows: Iterable[dict[str, Any]]) -> str:
    """How many attacks hit, by stage, signal (or error) and moment."""
    rows = list(rows)
    hits = Counter(
        (STRATEGY.sub("simulate", row["stage"]), attack["signal"], place(attack))
        for row in rows
        for attack in row["attacks"]
        if attack["moment"]
    )
    places = sorted({column for _, _, column in hits})
    lines = [f"| stage | attack | {' | '.join(places)} | all |", "|---" * (3 + len(places)) + "|"]
    for stage, sort in sorted({(stage, sort) for stage, sort, _ in hits}):
        cells = [hits[stage, sort, column] for column in places]
        lines.append(f"| {stage} | {sort} | {' | '.join(str(n or '') for n in cells)} | {sum(cells)} |")
    for sort in sorted({sort for _, sort, _ in hits}):
        cells = [sum(n for (_, one, there), n in hits.items() if (one, there) == (sort, column)) for column in places]
        lines.append(f"| all | {sort} | {' | '.join(str(n or '') for n in cells)} | {sum(cells)} |")
    warm = sum(attack["warm"] for row in rows for attack in row["attacks"] if attack["moment"])
    wrong = sum(bool(row["wrong"]) for row in rows)
    lines.append(f"\n{len(rows)} cases, {hits.total()} attacks hit, {warm} of them forked commands; wrong: {wrong}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
