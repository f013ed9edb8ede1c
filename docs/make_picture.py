"""Makes docs/line.svg and the line in docs/line.md from what the commands write on the embedded world.

    python docs/make_picture.py [--work runs/docs]

A policy and a reward model are trained with the settings of the demo; then one validation problem, which neither has
seen, is sampled, labelled, scored and paired. The commands resume, so a second run takes seconds. Scores may differ
slightly on a CPU that trains in another number format.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
SETTINGS = DOCS.parent / "examples/demo.toml"
SHOWN = "chain/validation/0/9"
"""A problem with a right path and one that goes wrong half-way, by leaving a sentence of the question out."""

COMMANDS = """
data chain --split train -n 72 --seed 100 -o sft.jsonl
data chain --split train -n 300 --seed 200 -o problems.jsonl
sft sft.jsonl --model chain-base -o m0
sample problems.jsonl --model m0 -o paths.jsonl
simulate paths.jsonl --model m0 --share 0.5 -o labels.jsonl
train-prm labels.jsonl --model m0 -o prm
data chain --split validation -n 24 -o validation.jsonl
sample validation.jsonl --model m0 --temperature 0.5 -n 6 -o sampled.jsonl
simulate sampled.jsonl --model m0 --strategy brute --share 1 -o simulated.jsonl
score simulated.jsonl --model prm -o scored.jsonl
pairs scored.jsonl --aggregate mean -o pairs.jsonl
"""

STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --rule: #d1d9e0; --right: #0550ae; --wrong: #b35900; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --rule: #3d444d; --right: #79c0ff; --wrong: #ffa657; }
  }
  text { font: 14px system-ui, sans-serif; fill: var(--ink); }
  .mono { font-family: ui-monospace, monospace; }
  .faint { fill: var(--faint); }
  .strong { font-weight: 600; }
  .right { fill: var(--right); }
  .wrong { fill: var(--wrong); }
  .dot { fill: none; stroke: var(--faint); }
  .dot.hit { fill: var(--right); stroke: var(--right); }
  .rule { stroke: var(--rule); }
  .paper { fill: var(--paper); }
"""
WIDTH, ROW, LEFT = 920, 26, 24
ROLLOUTS, LABEL, SCORE, PAIR = 270, 500, 610, 760
"""Where the columns begin (pixels)."""


def run(work: Path) -> None:
    """Run the commands in the folder `work`."""
    work.mkdir(parents=True, exist_ok=True)
    for command in COMMANDS.strip().splitlines():
        print(f"+ sipf {command}", file=sys.stderr)
        line = [sys.executable, "-m", "sipf_cli", "--config", str(SETTINGS), *command.split()]
        subprocess.run(line, cwd=work, check=True, stdout=subprocess.DEVNULL)


def shown(work: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The scored line of the problem that is shown, and the two paths of its first pair that both state an answer."""
    line = next(line for line in read(work / "scored.jsonl") if line["id"] == SHOWN)
    paths = {path["text"]: path for path in line["paths"] if path["source"] == "sample"}
    for pair in read(work / "pairs.jsonl"):
        if pair["problem"] == SHOWN and "The answer is" in pair["chosen"] and "The answer is" in pair["rejected"]:
            return line, paths[pair["chosen"]], paths[pair["rejected"]]
    raise SystemExit(f"pairs.jsonl holds no pair of {SHOWN} in which both paths state an answer")


def read(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of lines."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def text(x: float, y: float, what: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(what)}</text>'


def step_row(y: float, step: str, label: dict[str, Any], score: float) -> Iterator[str]:
    """One step: its text, a dot per rollout, its label and its score."""
    yield text(LEFT + 12, y, step, "mono")
    for draw, rollout in enumerate(label["rollouts"]):
        hit = " hit" if rollout["correct"] else ""
        yield f'<circle cx="{ROLLOUTS + 6 + 16 * draw}" cy="{y - 5:g}" r="5" class="dot{hit}"/>'
    yield text(ROLLOUTS + 142, y, f"{label['hits']} of {label['draws']}", "faint")
    verdict = "right" if label["hits"] > label["delta"] else "wrong"
    yield text(LABEL, y, verdict, f"strong {verdict}")
    yield text(SCORE, y, f"{score:.2f}", "mono")


def path_rows(y: float, path: dict[str, Any], pair: str) -> Iterator[str]:
    """A path: its steps, its answer line, and the mean of its scores."""
    scores = path["scores"]["prm"]
    yield text(PAIR, y, pair, "strong " + ("right" if path["correct"] else "wrong"))
    yield text(PAIR, y + ROW, f"mean score {scores['mean']:.2f}", "faint")
    for row, (step, label, score) in enumerate(zip(path["steps"], path["labels"], scores["steps"], strict=True)):
        yield from step_row(y + row * ROW, step, label, score)
    verdict = "right answer" if path["correct"] else "wrong answer"
    yield text(LEFT + 12, y + len(path["steps"]) * ROW, path["text"].splitlines()[-1], "mono faint")
    yield text(ROLLOUTS, y + len(path["steps"]) * ROW, verdict, "faint")


def drawing(line: dict[str, Any], chosen: dict[str, Any], rejected: dict[str, Any]) -> str:
    """The picture of the line, as SVG."""
    sentences = re.split(r"(?<=\.) (?=How)", line["question"])
    parts = [text(LEFT, 34 + 20 * i, sentence, "strong") for i, sentence in enumerate(sentences)]
    parts.append(text(PAIR, 54, f"answer: {line['answer']}", "strong"))
    columns = {
        LEFT: ("sipf sample", "adds paths"),
        ROLLOUTS: ("sipf simulate", "adds labels: 8 rollouts after each step"),
        SCORE: ("sipf score", "adds scores"),
        PAIR: ("sipf pairs", "writes a pair"),
    }
    for x, (command, adds) in columns.items():
        parts += [text(x, 94, command, "mono strong"), text(x, 114, adds, "faint")]
    y = 152
    for path, pair in ((chosen, "chosen"), (rejected, "rejected")):
        parts.append(f'<path d="M{LEFT} {y - 22}H{WIDTH - LEFT}" class="rule"/>')
        parts += path_rows(y, path, pair)
        y += (len(path["steps"]) + 1) * ROW + 18
    parts.append(f'<circle cx="{LEFT + 6}" cy="{y - 5}" r="5" class="dot hit"/>')
    parts.append(text(LEFT + 18, y, "rollout that reaches the answer", "faint"))
    parts.append(f'<circle cx="{LABEL - 194}" cy="{y - 5}" r="5" class="dot"/>')
    parts.append(text(LABEL - 182, y, "rollout that does not", "faint"))
    height = y + 20
    title = "One problem: its paths, the labels of their steps, the scores, and the pair made of them"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img"><title>{title}</title>',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" class="paper"/>',
            *parts,
            "</svg>\n",
        ]
    )


def shortened(line: dict[str, Any], path: dict[str, Any]) -> dict[str, Any]:
    """The line with this path alone, and two rollouts of each step's eight."""
    path = json.loads(json.dumps(path))
    for label in path["labels"]:
        label["rollouts"] = label["rollouts"][:2]
    return {**line, "paths": [path]}


def with_line(page: str, line: dict[str, Any]) -> str:
    """The page with its block of JSON replaced by the line."""
    before, mark, rest = page.partition("```json\n")
    _, end, after = rest.partition("\n```\n")
    assert mark, "docs/line.md has no block of json"
    assert end, "its block of json is never closed"
    return before + mark + indented(line) + end + after


def indented(value: Any, depth: int = 0) -> str:
    """JSON with one key per line, where a list or object that fits a line stays on it."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + 2 * depth <= 110 or not isinstance(value, dict | list):
        return flat
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        inside = [f"{pad}{json.dumps(key)}: {indented(part, depth + 1)}" for key, part in value.items()]
        return "{\n" + ",\n".join(inside) + f"\n{end}}}"
    return "[\n" + ",\n".join(pad + indented(part, depth + 1) for part in value) + f"\n{end}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=DOCS.parent / "runs/docs", help="folder the commands run in")
    work = parser.parse_args().work
    run(work)
    line, chosen, rejected = shown(work)
    (DOCS / "line.svg").write_text(drawing(line, chosen, rejected), encoding="utf-8")
    page = DOCS / "line.md"
    page.write_text(with_line(page.read_text(encoding="utf-8"), shortened(line, rejected)), encoding="utf-8")


if __name__ == "__main__":
    main()
