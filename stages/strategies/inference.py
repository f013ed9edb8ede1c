"""Makes the labels of every path: from a step's own draws where they settle it, else from what other steps' draws say.

A step that was not drawn is wrong if an earlier step of its path is (`after-dead`), right if a later one is
(`before-live`): both assume that an answer out of reach stays so (monotonicity), which `--audit` checks. With
`trust_correct` every step of a path with a right answer is right (`trusted`). What remains is undecided.
"""

from __future__ import annotations

from collections.abc import Set

from evals.records import Inference, Problem, StepLabel
from stages.settings.simulate import SimulateSettings
from stages.strategies.prefixes import Ledger, Prefixes, Simulator, prefixes, to_label


def survey(simulator: Simulator, problem: Problem) -> Prefixes:
    """The prefixes of the paths to be labelled; notes in the ledger what all new paths' answers say about them."""
    found = prefixes(simulator.task, to_label(problem, simulator.settings))
    every = prefixes(simulator.task, [path for path in problem.paths if path.labels is None])
    ledger = simulator.ledger
    for path, row in zip(every.paths, every.rows, strict=True):
        for prefix in row:
            right, wrong = ledger.evidence.get(prefix, (0, 0))
            if path.correct is not None:
                ledger.evidence[prefix] = (right + path.correct, wrong + (not path.correct))
            if path.correct and simulator.settings.trust_correct:
                ledger.trusted.add(prefix)
    return found


def known(ledger: Ledger, prefix: str) -> bool | None:
    """Whether a prefix is right, by trust or by its draws; None if neither decides."""
    if prefix in ledger.trusted:
        return True
    label = ledger.labels.get(prefix)
    return None if label is None else label.hard


def write_labels(ledger: Ledger, found: Prefixes, settings: SimulateSettings) -> None:
    """Give every path its labels; equal prefixes get equal ones."""
    flags = [[known(ledger, prefix) for prefix in row] for row in found.rows]
    inferred = infer(found.rows, flags, ledger.trusted)
    nothing = StepLabel(k=settings.k, delta=settings.delta, draws=0, hits=0, settled=False, rollouts=[])
    for path, row in zip(found.paths, found.rows, strict=True):
        path.labels = [with_inference(ledger.labels.get(prefix, nothing), inferred.get(prefix)) for prefix in row]


def infer(rows: list[list[str]], flags: list[list[bool | None]], trusted: Set[str]) -> dict[str, Inference]:
    """What the known prefixes of a problem say about the others. If they contradict each other, the wrong step
    wins.

    Args:
        rows: the prefixes of each path.
        flags: for each of them whether it is right, None if unknown.
        trusted: prefixes that are taken for right without a draw.
    """
    inferred: dict[str, Inference] = {}
    for row, known_flags in zip(rows, flags, strict=True):
        dead = known_flags.index(False) if False in known_flags else len(row)
        for step, prefix in enumerate(row):
            if prefix in trusted:
                inferred[prefix] = "trusted"
            elif known_flags[step] is None and step > dead:
                inferred[prefix] = "after-dead"
            elif known_flags[step] is None and any(known_flags[step:dead]):
                inferred.setdefault(prefix, "before-live")
    return inferred


def with_inference(drawn: StepLabel, inferred: Inference | None) -> StepLabel:
    """A copy of the label, with the inference where its draws do not settle it."""
    label = drawn.model_copy()
    if inferred is not None and not label.settled:
        label.inferred = inferred
    return label


def bounds(ledger: Ledger, row: list[str], end: int) -> tuple[int, int]:
    """What is already known of a path: its last live step before its first dead one (-1: none), and that dead one
    (`end`: none)."""
    flags = [known(ledger, prefix) for prefix in row[:end]]
    dead = flags.index(False) if False in flags else end
    live = max((step for step in range(dead) if flags[step]), default=-1)
    return live, dead
