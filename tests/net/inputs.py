"""The files that people bring, small: what `tests/net/outputs.py` starts from."""

from __future__ import annotations

from typing import Any

FILES: dict[str, list[dict[str, Any]]] = {
    "train.jsonl": [
        {
            "question": f"Tom has {n} apples and buys 3 more. How many?",
            "answer": f"He has {n}+3=<<{n}+3={n + 3}>>{n + 3}.\n#### {n + 3}",
        }
        for n in range(8)
    ],
    "own.jsonl": [{"question": f"{n} and three?", "answer": n + 3, "kept": [n]} for n in range(6)],
    "program.jsonl": [
        {
            "prompt": "Write add(a, b).",
            "tests": ["assert add(1, 2) == 3"],
            "entry_point": "add",
            "solution": "def add(a, b):\n    return a + b\n",
        },
        {
            "prompt": "Write double(a).",
            "tests": ["assert double(2) == 4"],
            "entry_point": "double",
            "solution": "def double(a):\n    b = a\n    return a + b\n",
        },
    ],
    "official.jsonl": [
        {
            "task_id": n,
            "text": "Write f(n).",
            "code": "def f(n):\r\n    m = n\r\n    return m",
            "test_list": ["assert f(1) == 1"],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for n in range(601, 606)
    ],
    "bench.jsonl": [
        {
            "id": f"x-{n}",
            "problem": "2+3?",
            "steps": ["2+3=5", "It is 6"],
            "label": n - 1,
            "final_answer_correct": n == 0,
        }
        for n in range(3)
    ],
    "shepherd.jsonl": [{"task": "GSM8K", "input": "1+1? Step 1: 2 \u043a\u0438", "label": "1+1? Step 1: 2 +"}],
    "samples.jsonl": [{"task_id": f"HumanEval/{n}", "completion": "    return None\n"} for n in range(3)],
}
