"""Compares pydantic, which reads and writes lines here, with orjson and msgspec: microseconds per line, and what each
does to unusual values.

    pip install orjson msgspec
    python benchmarks/json_libraries.py [--lines 2000] [--repeats 5]

A line is read into checked records and written back with the fields that it had, unknown ones too. orjson only parses,
so what it has parsed is checked by pydantic afterwards. msgspec checks while it parses, by structures that repeat the
records here; they drop unknown fields, so its figure is what it could give at best. CPU seconds, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
from files import make_block, repeated

from evals.errors import DataError
from evals.records import Problem
from stages.files.problems import read_problems
from stages.files.reading import BadLines


class Rollout(msgspec.Struct, omit_defaults=True):
    """As `evals.records.Rollout`."""

    correct: bool
    seed: int
    answer: str | None = None
    tokens: int = 0
    text: str | None = None
    finish: str | None = None


class Label(msgspec.Struct, omit_defaults=True):
    """As `evals.records.StepLabel`."""

    k: int
    draws: int
    hits: int
    settled: bool
    delta: int = 0
    inferred: str | None = None
    rollouts: list[Rollout] = msgspec.field(default_factory=list)


class Sampled(msgspec.Struct, omit_defaults=True):
    """As `evals.records.Path`."""

    id: str
    source: str
    text: str
    steps: list[str]
    round: int | None = None
    answer: str | None = None
    correct: bool | None = None
    finish: str | None = None
    tokens: int | None = None
    seed: int | None = None
    times: int | None = None
    labels: list[Label] = msgspec.field(default_factory=list)
    scores: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


class Line(msgspec.Struct, omit_defaults=True):
    """As `evals.records.Problem`."""

    id: str
    task: str
    question: str
    answer: str | None = None
    solution: list[str] = msgspec.field(default_factory=list)
    paths: list[Sampled] = msgspec.field(default_factory=list)


_decode = msgspec.json.Decoder(Line).decode
READERS: dict[str, Callable[[bytes], Any]] = {
    "pydantic (in use)": Problem.from_line,
    "orjson, checked by pydantic": lambda raw: Problem.from_row(orjson.loads(raw)),
    "msgspec, checked by itself": _decode,
    "orjson, not checked": orjson.loads,
    "msgspec, not checked": msgspec.json.decode,
    "json of Python, not checked": json.loads,
}
WRITERS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], Any]]] = {
    "pydantic (in use)": (Problem.from_line, Problem.to_json),
    "orjson, from records": (Problem.from_line, lambda line: orjson.dumps(line.model_dump(exclude_unset=True))),
    "msgspec, from its own": (_decode, msgspec.json.encode),
    "orjson, from dicts": (orjson.loads, orjson.dumps),
}
VALUES = ("1180591620717411303424", "1e400", "NaN", "-0.0", "0.1000000000000000055", '"\\ud800"', "1e16")
"""Values of an unknown field."""


def cost(work: Callable[[Any], Any], values: Sequence[Any], repeats: int) -> float:
    """Microseconds of CPU time a value."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        for value in values:
            work(value)
        found.append((time.process_time() - began) / len(values) * 1e6)
    return statistics.median(found)


def as_a_command_reads(raw: bytes) -> Problem:
    """The record of a line in a file."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(raw)
        file.flush()
        return next(read_problems(file.name, BadLines(strict=True)))


def kept(value: str, read: Callable[[bytes], Any], write: Callable[[Any], Any]) -> str:
    """What becomes of an unknown field's value when its line is read and written."""
    raw = f'{{"id":"a","task":"chain","question":"?","mine":{value}}}'.encode()
    try:
        line = read(raw)
        made = write(line)
    except (ValueError, DataError, msgspec.MsgspecError) as error:
        return f"refused: {str(error).rpartition(': ')[2][:60]}"
    text = made if isinstance(made, str) else made.decode()
    return text.partition('"mine":')[2].rstrip("}") or "lost"


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        make_block(Path(name))
        files = {
            kind: [line.encode() for line in repeated(Path(name, kind), given.lines)]
            for kind in ("problems", "scored", "labelled")
        }
    head = [f"{kind} ({sum(map(len, lines)) / len(lines) / 1000:.1f} KB)" for kind, lines in files.items()]
    for what, ways in (("reading", {k: (bytes, v) for k, v in READERS.items()}), ("writing", WRITERS)):
        print(f"\n| {what}, µs a line | {' | '.join(head)} | against pydantic |\n|---|{'---|' * (len(files) + 1)}")
        first: list[float] = []
        for label, (prepare, work) in ways.items():
            costs = [cost(work, [prepare(line) for line in lines], given.repeats) for lines in files.values()]
            first = first or costs
            ratios = " / ".join(f"{one / other:.2f}" for one, other in zip(costs, first, strict=True))
            print(f"| {label} | {' | '.join(f'{one:.0f}' for one in costs)} | {ratios} |", flush=True)
    print(f"\n| an unknown field of | {' | '.join(VALUES)} |\n|---|{'---|' * len(VALUES)}")
    for label, read, write in (
        ("pydantic (in use)", as_a_command_reads, Problem.to_json),
        ("orjson, pydantic", READERS["orjson, checked by pydantic"], WRITERS["orjson, from records"][1]),
        ("msgspec, not checked", msgspec.json.decode, msgspec.json.encode),
        ("msgspec, checked", _decode, msgspec.json.encode),
    ):
        print(f"| {label} | {' | '.join(kept(value, read, write) for value in VALUES)} |")


if __name__ == "__main__":
    main()
