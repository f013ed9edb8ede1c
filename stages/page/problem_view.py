"""One problem as the page shows it, as JSON for `problems.js`: what was asked, its paths piece by piece, and its pairs.

caps = Caps()
path_view(problem, Path("r0/scored.jsonl"), 8, caps)    # {"file": ..., "line": 8, "command": ..., "paths": [...]}
caps.texts                                              # texts that were cut
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.records import Problem
from stages.settings.pairs import PairSettings
from stages.shown import PathView, Step, branches, facts, many, notes, pieces, short, visible

LONGEST = 2_000
"""Characters of one text that are shown."""
PATHS, PIECES = 32, 200
"""Paths of one problem in one round, and steps and lines of one path, that are shown."""


@dataclass
class Caps:
    """Shortens what is too long, and counts what that left out."""

    texts: int = 0
    characters: int = 0
    paths: int = 0
    lines: int = 0

    def text(self, text: str) -> str:
        """The text, made visible, with how many characters were left out."""
        left = len(text) - LONGEST
        if left <= 0:
            return visible(text)
        self.texts += 1
        self.characters += left
        return f"{visible(text[:LONGEST])} ... [{left:,} more characters]"


def asked(problem: Problem, caps: Caps) -> dict[str, Any]:
    """What a problem is, whoever solved it."""
    more = problem.model_extra or {}
    made: dict[str, Any] = {"id": problem.id, "task": visible(problem.task), "question": caps.text(problem.question)}
    if visible(problem.id) != problem.id:
        made["shown"] = visible(problem.id)
    if problem.answer is not None:
        made["answer"] = caps.text(problem.answer)
    if problem.choices:
        made["choices"] = [caps.text(choice) for choice in problem.choices]
    if isinstance(more.get("split"), str):
        made["split"] = visible(more["split"])
    return made


def path_view(problem: Problem, file: Path, line: int, caps: Caps) -> dict[str, Any]:
    """A problem's paths in one file."""
    views = [PathView.of(path, PairSettings.pass_score) for path in problem.paths]
    name = shlex.quote(problem.id) if problem.id.isprintable() else f":{line}"
    shown = views[:PATHS]
    caps.paths += len(views) - len(shown)
    flags = {"wrong-step": any(view.wrong_step for view in views), "disagree": any(view.disagree for view in views)}
    own = [view.path.correct for view in views if view.path.source != "gold"]
    flags |= {"right": any(own), "wrong": any(correct is False for correct in own)}
    return {
        "file": visible(str(file)), "line": line,
        "command": f"sipf show {shlex.quote(visible(str(file)))} {name}",
        "paths": [_path(view, problem.id, caps) for view in shown],
        "right": sum(correct is True for correct in own), "judged": sum(correct is not None for correct in own),
        **({"more": len(views) - len(shown)} if len(views) > len(shown) else {}),
        "flags": [flag for flag, is_so in flags.items() if is_so],
    }  # fmt: skip


def _path(view: PathView, problem: str, caps: Caps) -> dict[str, Any]:
    path = view.path
    made: dict[str, Any] = {"id": visible(short(path.id, problem)), "correct": path.correct}
    made["facts"] = facts(path)
    if path.answer is not None:
        made["answer"] = caps.text(path.answer)
    elif path.outcome is not None:
        made["outcome"] = caps.text(str(path.outcome))
    if path.scores:
        made["names"] = [visible(name) for name in path.scores]
    if path.labels is not None:
        made["labelled"] = True
    parts = pieces(path)
    caps.lines += max(len(parts) - PIECES, 0)
    made["pieces"] = [_piece(view, part.step, part.text, caps) for part in parts[:PIECES]]
    told = [caps.text(note) for note in notes(view)]
    told += [many(len(parts) - PIECES, "more line")] if len(parts) > PIECES else []
    return {**made, "notes": told} if told else made


def _piece(view: PathView, number: int | None, text: str, caps: Caps) -> list[Any]:
    """A line between the steps is [text]; a step is [text, verdict, label, scores], "first" for the first wrong one.
    A score is [value], or [value, whether it says that the step is right, whether the label says so too]."""
    if number is None:
        return [caps.text(text)]
    step = view.steps[number]
    verdict = view.verdicts[number]
    scores = [_score(step, name) for name in step.scores]
    first = ["first"] if number == view.first_error else []
    return [caps.text(text), None if verdict is None else int(verdict), step.label, scores, *first]


def _score(step: Step, name: str) -> list[Any]:
    value, passed = round(step.scores[name], 4), step.passed.get(name)
    return [value] if passed is None else [value, int(passed), int(not step.odd(name))]


def pair_view(row: Mapping[str, Any], problem: str, caps: Caps) -> dict[str, Any]:
    """A pair: the lines that both sides share, and the two branches with what is known of either."""
    parts = branches(str(row.get("prefix", "")), str(row["chosen"]), str(row["rejected"]))
    made: dict[str, Any] = {"id": visible(short(str(row.get("id", "")), problem))}
    made["rule"] = visible(str(row.get("rule", "")))
    for name, lines in parts._asdict().items():
        made[name] = [caps.text(line) for line in lines[:PIECES]]
        caps.lines += max(len(lines) - PIECES, 0)
    for name in ("chosen", "rejected"):
        made[f"{name}_correct"] = row.get(f"{name}_correct")
        if isinstance(row.get(f"{name}_score"), float):
            made[f"{name}_score"] = round(row[f"{name}_score"], 4)
        if row.get(f"{name}_finish") == "length":
            made[f"{name}_cut"] = True
    return made
