"""Pairs from one right prefix: a right rollout above the wrong continuation (Self-Explore, arXiv 2404.10346).

A wrong path forks before its first wrong step, by its labels. Chosen is a right rollout from there, or the rest of a
right path that begins the same way; rejected is the rest of the wrong path, with `--reject step` only its wrong step,
as Self-Explore has it. Self-Explore chooses the shortest right rollout; here the seed draws. The prefix is the row's
`prefix`: it belongs to the prompt, and no loss falls on it. No reward model is needed, but rollouts whose texts were
kept (`simulate --keep-forks`), and where the first step is wrong those of the question (`simulate --root`).
"""

from __future__ import annotations

from evals.records import Path, StepLabel
from evals.tasks import task_of
from stages.pairing.gaps import NO_WRONG
from stages.pairing.question import Found, Pair, Question, Side, cut
from stages.runs.verdicts import joined_path


def fork(question: Question) -> Found:
    """For each wrong path all right continuations above its own, in the seed's order."""
    pairs = [pair for path in question.wrong for pair in _pairs(question, path)]
    return Found(question.shuffle(pairs), "no fork with a right rollout" if question.wrong else NO_WRONG)


def _pairs(question: Question, path: Path) -> list[Pair]:
    step = _first_wrong(question, path)
    if step is None:
        return []
    prefix = cut(question.problem, path, step - 1) if step else ""
    if not path.text.startswith(prefix):
        question.leave_out(path, "not rejected: its text does not begin with its steps")
        return []
    end = cut(question.problem, path, step) if question.settings.reject == "step" else path.text
    whole = question.settings.reject == "whole"
    finish = (path.finish or "stop") if whole else "length"
    tokens = path.tokens if whole and not prefix else None
    rejected = Side(path.id, end[len(prefix) :], False, finish, tokens)
    label = (path.labels or [])[step - 1] if step else question.problem.root
    chosen = [*_rollouts(question, label, prefix), *_paths(question, prefix)]
    if not chosen:
        question.leave_out(path, "not rejected: no right rollout was kept")
    return [Pair(side, rejected, prefix) for side in chosen]


def _first_wrong(question: Question, path: Path) -> int | None:
    """The first wrong step if all before it are right; else the path is counted by what it lacks."""
    if path.labels is None:
        question.leave_out(path, "not rejected: no labels")
        return None
    for step, label in enumerate(path.labels):
        if label.hard is False:
            return step
        if label.hard is None:
            question.leave_out(path, "not rejected: an undecided step")
            return None
    question.leave_out(path, "not rejected: no wrong step")
    return None


def _rollouts(question: Question, label: StepLabel | None, prefix: str) -> list[Side]:
    """The right rollouts from a prefix whose texts were kept."""
    sides = []
    for rollout in label.rollouts if label is not None else []:
        if not rollout.correct or rollout.text is None:
            continue
        text = joined_path(task_of(question.problem), prefix, rollout.text)
        if not text.startswith(prefix) or len(text) == len(prefix):
            question.counts["rollouts left out: they add nothing to their prefix"] += 1
            continue
        identity = f"{question.problem.id}#r{rollout.seed}"
        sides.append(Side(identity, text[len(prefix) :], True, rollout.finish or "stop", rollout.tokens))
    return sides


def _paths(question: Question, prefix: str) -> list[Side]:
    """The rest of the right paths that begin with the prefix."""
    return [
        Side(path.id, path.text[len(prefix) :], True, path.finish or "stop", None if prefix else path.tokens)
        for path in question.right
        if path.text.startswith(prefix) and len(path.text) > len(prefix)
    ]
