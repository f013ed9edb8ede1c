"""health: whether a round of the loop is healthy, as one line of figures and signs in FOLDER/health.jsonl.

    health(Path("runs/loop"), HealthSettings(round=2))
    # {"round": 2, "policy": "round2", "model": "m2", "accuracy": 0.416, "gain": 0.017, "p": 0.21, "signs": [...], ...}

Accuracy, gain and p, and so the signs of plateau and falling accuracy and the best round, are those of the validation
problems where the loop has some (`loop.sh --stop-when`). Otherwise they are those of the test problems: the accuracy
of a best round that was chosen by them is too high on average (`chosen_on` says which).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from evals.errors import DataError, UsageError
from stages.joins.results import compare, rate
from stages.rounds.drawn import paths_drawn
from stages.rounds.folder import EVAL, VALIDATION, LoopFolder
from stages.rounds.lines import Written, write_line
from stages.rounds.made import label_cost, pair_yield, reward_model
from stages.rounds.results import SplitResults, by_split
from stages.rounds.signs import ENDS, Finding, signs
from stages.rounds.training import training
from stages.settings.health import HealthSettings

TEST = "test"
"""The split of the test problems that decides, if they are of several; where there is none of that name, the first."""


def health(folder: Path, settings: HealthSettings) -> list[tuple[dict[str, Any], Written]]:
    """Compute the health of one round, or of all that are finished, and keep it in health.jsonl.

    Returns:
        Each round's line, and whether it was added, replaced, or is there unchanged.

    Raises:
        UsageError: there is no such round, or none is finished.
        DataError: a file of the loop cannot be read.
    """
    loop = LoopFolder(folder, settings.sft_from)
    finished = loop.finished()
    if settings.round is not None and settings.round not in finished:
        raise UsageError(
            f"{folder} holds no complete eval/round{settings.round}.jsonl",
            f"Finished rounds: {', '.join(map(str, finished)) or 'none'}. Run examples/loop.sh --out {folder}.",
        )
    if not finished:
        raise UsageError(f"{folder} holds no finished round", f"Run examples/loop.sh --out {folder} first.")
    read = _Read(loop)
    chosen = finished if settings.round is None else [settings.round]
    lines = [_line(read, number, settings) for number in chosen]
    return [(line, write_line(folder, line)) for line in lines]


@dataclass
class _Read:
    """What was read of a loop's files, each read once."""

    loop: LoopFolder
    results: dict[tuple[int, str], dict[str, SplitResults]] = field(default_factory=dict)
    drawn: dict[int, dict[str, Any] | None] = field(default_factory=dict)

    def of(self, number: int, kind: str) -> dict[str, SplitResults]:
        """The results of a round by split; empty where it was not measured."""
        if (number, kind) not in self.results:
            file = self.loop.results(number, kind)
            name = VALIDATION if kind == VALIDATION else None
            self.results[number, kind] = {} if file is None else by_split(file, name)
        return self.results[number, kind]

    def right(self, number: int, kind: str, split: str) -> Mapping[str, bool] | None:
        """Which problems of a split a round's policy has right; None where it was not measured."""
        group = self.of(number, kind).get(split)
        return None if group is None else group.right

    def paths(self, number: int) -> dict[str, Any] | None:
        """What a round drew."""
        if number not in self.drawn:
            self.drawn[number] = paths_drawn(self.loop.made(number), number - 1)
        return self.drawn[number]


@dataclass(frozen=True)
class _Deciding:
    """The problems that plateau, falling accuracy and the best round are judged by."""

    read: _Read
    kind: str
    split: str
    test: str
    """The split of the test problems proper; any further one holds problems of another kind."""

    @classmethod
    def of(cls, read: _Read, number: int) -> _Deciding:
        """Validation problems, where the round was measured on some; else test problems."""
        splits = list(read.of(number, EVAL))
        if not splits:
            raise DataError(f"{read.loop.results(number)}: holds no line", "Run sipf eval on the test problems again.")
        test = TEST if TEST in splits else splits[0]
        if read.of(number, VALIDATION):
            return cls(read, VALIDATION, VALIDATION, test)
        return cls(read, EVAL, test, test)

    def right(self, number: int) -> Mapping[str, bool] | None:
        """Which of them a round's policy has right; None where it was not measured."""
        return self.read.right(number, self.kind, self.split)

    def changes(self, number: int) -> list[tuple[float, float]]:
        """Gain over the round before and p of each round up to this one, as far back as rounds were measured."""
        found: list[tuple[float, float]] = []
        for later in range(number, 0, -1):
            change = _change(self.right(later - 1), self.right(later))
            if not change:
                break
            found.insert(0, (change["gain"], change["p"]))
        return found

    def best(self, number: int) -> int:
        """The round up to this one (0: M0) with the highest accuracy; of equal ones the first."""
        rates = {
            one: sum(right.values()) / len(right) for one in range(number + 1) if (right := self.right(one)) is not None
        }
        return max(rates, key=lambda one: (rates[one], -one))


def _line(read: _Read, number: int, settings: HealthSettings) -> dict[str, Any]:
    deciding = _Deciding.of(read, number)
    right = deciding.right(number)
    assert right is not None, "the deciding split is one of this round's"
    accuracy = rate(sum(right.values()), len(right))
    before, sft = (_change(deciding.right(other), right) for other in (number - 1, 0))
    made, drawn = read.loop.made(number), read.paths(number)
    trained, prm = training(read.loop.model(number)), reward_model(made)
    splits, first = _splits(read, number), read.paths(1) if number > 1 else None
    others = {
        name: (one["gain"], one["p"])
        for name, one in splits.items()
        if name not in (VALIDATION, deciding.test) and one["gain"] is not None
    }
    found = signs(deciding.changes(number), prm, trained, drawn, first, others, settings)
    best = deciding.best(number)
    return {
        "round": number,
        "policy": f"round{number}",
        "model": f"m{number}",
        "measured_on": {"file": deciding.kind, "split": deciding.split, "n": accuracy["n"]},
        "accuracy": accuracy["rate"],
        "interval": [accuracy["low"], accuracy["high"]],
        "gain": before.get("gain"),
        "p": before.get("p"),
        "gain_over_sft": sft.get("gain"),
        "p_over_sft": sft.get("p"),
        "splits": splits,
        "pairs": pair_yield(made),
        "labels": label_cost(made),
        "reward_model": prm,
        "drawn": drawn,
        "training": trained,
        "signs": [finding.as_dict() for finding in found],
        "best": best,
        "best_model": f"m{best}",
        "chosen_on": deciding.split,
        "stop": _stop(found, settings),
    }


def _splits(read: _Read, number: int) -> dict[str, Any]:
    """Every split that the round was measured on: its rate, gains with p, trace accuracy, answers' length and end."""
    return {
        name: {
            **group.accuracy(),
            "trace": group.trace(),
            **_named(_change(read.right(number - 1, kind, name), group.right), ""),
            **_named(_change(read.right(0, kind, name), group.right), "_over_sft"),
            "tokens": fmean(group.tokens) if group.tokens else None,
            "cut_off": fmean(group.cut_off) if group.cut_off else None,
        }
        for kind in (VALIDATION, EVAL)
        for name, group in read.of(number, kind).items()
    }


def _named(change: Mapping[str, float], suffix: str) -> dict[str, float | None]:
    return {f"{name}{suffix}": change.get(name) for name in ("gain", "p")}


def _change(before: Mapping[str, bool] | None, now: Mapping[str, bool] | None) -> dict[str, Any]:
    """The paired comparison of two results, or nothing where one is missing."""
    return {} if before is None or now is None else compare(before, now)


def _stop(found: list[Finding], settings: HealthSettings) -> dict[str, str] | None:
    """The sign that ends the loop, with the rule that says so; None while it goes on."""
    ending = ENDS[settings.stop_when]
    for finding in found:
        if finding.sign in ending:
            return {"when": settings.stop_when, "sign": str(finding.sign)}
    return None
