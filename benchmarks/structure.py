"""The structure of the code, from its imports: the files to read to follow a command, and the middle floor.

    python benchmarks/structure.py

Imports inside functions count too. The rooms of the middle floor are its files and folders; a room's level is the
length of the longest chain of imports from it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("sample", "simulate", "orpo", "eval")


def lines(module: str) -> int:
    """Lines of a module's file."""
    path = ROOT / module.replace(".", "/")
    file = path.with_suffix(".py")
    return len((file if file.exists() else path / "__init__.py").read_text(encoding="utf-8").splitlines())


def main() -> None:
    graph = grimp.build_graph("sipf_cli", "stages", "evals", cache_dir=None)
    for command in COMMANDS:
        entry = f"sipf_cli.{command}"
        reached = graph.find_upstream_modules(entry) | {entry}
        print(f"from {command}: {len(reached)} files, {sum(map(lines, reached)):,} lines")
        sandbox = sum(module.startswith("evals.sandbox") for module in reached)
        print(f"  of these {sandbox} are the sandbox that programs are checked in")

    def room(module: str) -> str | None:
        parts = module.split(".")
        return parts[1] if parts[0] == "stages" and len(parts) > 1 else None

    arrows: dict[str, set[str]] = {}
    for module in graph.modules:
        here = room(module)
        if here is None:
            continue
        arrows.setdefault(here, set())
        for other in graph.find_modules_directly_imported_by(module):
            there = room(other)
            if there is not None and there != here:
                arrows[here].add(there)

    circles: set[tuple[str, ...]] = set()

    def levels(name: str, way: tuple[str, ...] = ()) -> int:
        if name in way:
            circles.add(tuple(sorted(way[way.index(name) :])))
            return 0
        return 1 + max((levels(other, (*way, name)) for other in arrows[name]), default=0)

    height = functools.reduce(max, map(levels, arrows), 0)
    print(f"middle floor: {len(arrows)} rooms, {sum(map(len, arrows.values()))} arrows, {height} levels")
    print(f"arrows back up (rooms that import each other in a circle): {len(circles)} {sorted(circles)}")


if __name__ == "__main__":
    main()
