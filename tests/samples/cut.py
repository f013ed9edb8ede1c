"""Cuts the samples beside this file out of the whole public files; the rows are those files' own bytes.

    python -m tests.samples.cut            # from ../shared/data, or from the folder that PUBLIC_DATA names

The first rows of each file are in the samples, because tests take the first n; then rows that are special in some way.
`test_samples.py` compares the samples with the whole files wherever those are there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.data import SAMPLES, WHOLE

SUBJECTS = (
    "abstract_algebra",
    "college_mathematics",
    "elementary_mathematics",
    "high_school_mathematics",
    "high_school_statistics",
)

GSM8K_TRAIN = {
    *range(63),
    *(345, 367, 462, 497),  # a comma in the answer
    *(5715, 5844, 6189),  # a minus sign in it
    *(1297, 5415),  # the solution holds a line that looks like an answer line
}
GSM8K_TEST = {*range(24), 146, 201, 230, 489, 1113}  # commas and minus signs, as above
PROCESSBENCH = {
    *range(40),
    *(70, 74, 238, 319, 329),  # the robust rule and the published verdict differ
    *(254, 265, 297, 326, 358, 386),  # the flexible rule differs, the robust one agrees
    *(208, 264, 290),  # a wrong step, and the right answer all the same
}
MBPP = {
    *range(1, 17),  # the examples of the prompt, then the first of the test split
    62,  # no CRLF in it
    123,  # 3.4 s of CPU
    126,  # its reference defines `sum`
    *(367, 533, 601, 927),  # objects cross: weak verdicts
    *(511, 512),  # the first of the validation split
    596,  # its tests need the reference's import of sys
    *range(601, 646),  # the first of the train split
}
DAMAGED = {91, 146, 327, 343, 364}  # of elementary_mathematics: fractions that a spreadsheet took for dates or times


def samples() -> Iterator[tuple[str, bytes]]:
    """Every sample's name and bytes.

    Raises:
        FileNotFoundError: a whole file is not there.
    """
    asked = {item["problem"].strip() for item in _picked("processbench/gsm8k.json", PROCESSBENCH)}
    yield "gsm8k/train.jsonl", _lines("gsm8k/train.jsonl", lambda n, _: n in GSM8K_TRAIN)
    # with the question of every ProcessBench item, so that its gold answer is known
    yield (
        "gsm8k/test.jsonl",
        _lines("gsm8k/test.jsonl", lambda n, row: n in GSM8K_TEST or row["question"].strip() in asked),
    )
    yield "mbpp/mbpp.jsonl", _lines("mbpp/mbpp.jsonl", lambda _, row: row["task_id"] in MBPP)
    sanitized = [row for row in json.loads(_read("mbpp/sanitized-mbpp.json")) if row["task_id"] in MBPP]
    yield "mbpp/sanitized-mbpp.json", json.dumps(sanitized).encode()
    items = _picked("processbench/gsm8k.json", PROCESSBENCH)
    yield "processbench/gsm8k.json", json.dumps(items, indent=2, ensure_ascii=False).encode()
    for subject in SUBJECTS:
        kept = {*range(20), *(DAMAGED if subject == "elementary_mathematics" else ())}
        yield f"mmlu/dev/{subject}_dev.csv", _read(f"mmlu/dev/{subject}_dev.csv")
        yield f"mmlu/test/{subject}_test.csv", _records(f"mmlu/test/{subject}_test.csv", kept)
    for name in ("gsm8k", "mmlu"):
        yield f"{name}/LICENSE", _read(f"{name}/LICENSE")


def _read(name: str) -> bytes:
    return (WHOLE / name).read_bytes()


def _lines(name: str, wanted: Callable[[int, dict[str, Any]], bool]) -> bytes:
    lines = _read(name).splitlines(keepends=True)
    return b"".join(line for n, line in enumerate(lines) if wanted(n, json.loads(line)))


def _picked(name: str, wanted: Iterable[int]) -> list[dict[str, Any]]:
    items = json.loads(_read(name))
    return [items[n] for n in sorted(wanted)]


def _records(name: str, wanted: Iterable[int]) -> bytes:
    """Records of a CSV file as they are written there, which may be over several lines."""
    lines = list(io.StringIO(_read(name).decode(), newline=""))
    reader = csv.reader(lines)
    ends = [0, *(reader.line_num for _ in reader)]
    return "".join("".join(lines[ends[n] : ends[n + 1]]) for n in sorted(wanted)).encode()


def main() -> None:
    """Write the samples."""
    for name, data in samples():
        path: Path = SAMPLES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"{len(data):7} {name}")


if __name__ == "__main__":
    main()
