"""How fast answers are read and judged: GSM8K's gold solutions, bare and ending in a sentence, and ProcessBench's.

    python benchmarks/answers.py                          # this tree
    python benchmarks/answers.py --against ../earlier     # and the ratio to another checkout, in turn

Prints texts per second of CPU for each set (the best of five rounds), and how often the robust and the flexible rule
disagree with people on ProcessBench.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
DATA = HERE / "../shared/data"


def texts(data: Path) -> tuple[dict[str, list[tuple[str, str]]], list[bool]]:
    """Gold answers and texts by set, and what people say of ProcessBench's."""
    found: dict[str, list[tuple[str, str]]] = {"GSM8K": [], "ProcessBench": []}
    golds = {}
    for split in ("train", "test"):
        for line in (data / "gsm8k" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            body, _, gold = row["answer"].rpartition("\n#### ")
            golds[row["question"].strip()] = gold
            found["GSM8K"] += [(gold, row["answer"]), (gold, body), (gold, f"{body}\nThe answer is {gold}.")]
    found["GSM8K"] = found["GSM8K"][::5]
    rows = json.loads((data / "processbench" / "gsm8k.json").read_text(encoding="utf-8"))
    found["ProcessBench"] = [(golds[row["problem"].strip()], "\n\n".join(row["steps"])) for row in rows]
    return found, [row["final_answer_correct"] for row in rows]


def once(tree: str, data: str) -> None:
    """Measure one tree; prints its figures as JSON."""
    sys.path.insert(0, tree)
    from evals.reading import answers

    sets, people = texts(Path(data))
    figures: dict[str, float] = {}
    for name, pairs in sets.items():
        seconds = []
        for _ in range(5):
            begun = time.process_time()
            matches = [answers.match(gold, text)[1] for gold, text in pairs]
            seconds.append(time.process_time() - begun)
        figures[name] = len(pairs) / min(seconds)
    for rule in ("robust", "flexible"):
        figures[rule] = sum(getattr(match, rule) != said for match, said in zip(matches, people, strict=True))
    print(json.dumps(figures))


def main() -> None:
    """Measure this tree, and perhaps another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with gsm8k/ and processbench/")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        once(arguments.once, str(arguments.data))
        return
    trees = [HERE] if arguments.against is None else [arguments.against, HERE]
    figures = []
    for tree in trees:
        command = [sys.executable, __file__, "--once", str(tree.resolve()), "--data", str(arguments.data)]
        figures.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(
            "{0}: GSM8K {GSM8K:,.0f} texts/s, ProcessBench {ProcessBench:,.0f} texts/s; there robust disagrees with "
            "people on {robust} of 400, flexible on {flexible}".format(tree, **figures[-1])
        )
    if len(figures) == 2:
        ratios = [f"{name} {figures[1][name] / figures[0][name]:.2f}" for name in ("GSM8K", "ProcessBench")]
        print("ratio:", ", ".join(ratios))


if __name__ == "__main__":
    main()
