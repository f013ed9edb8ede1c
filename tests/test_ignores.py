"""Where a checker is told to look away, the line says why."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("evals", "stages", "sipf_cli", "benchmarks", "tests", ".ci")
MARK = re.compile(r"#\s*(?:type:\s*ignore|noqa)\b(?P<rest>.*)")
REASON = re.compile(r"(?:\[[\w, -]+\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\s+(?:#\s*\S|\(\w)")


def test_every_ignore_names_its_rule_and_its_reason() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (mark := MARK.search(line)) and path != Path(__file__) and not REASON.match(mark["rest"])
    ]
    assert not silent, "\n".join(silent)
