"""The properties of the chain world: what its policy's errors are, and what labels and reward models see of them.

    python benchmarks/world.py [--model M0] [--teacher chain-teacher] [--problems 2000] [--draws 4] [--k 8]
                               [--parts answers labels reward-models]

Prints markdown tables, every share with its 95 % Wilson interval. Without --model, M0 is made first (see
benchmarks/policy.py). The problems are of the validation split: nothing here looks at a test problem. Labels are those
of K rollouts per prefix by the teacher and by M0 itself, for every delta, on distinct paths as `sipf sample` keeps
them. "reward-models" trains one from M0 and one from the teacher on the teacher's labels of train problems, and
measures both on the validation problems (minutes).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy import make_policy, open_policy, simulated

from evals.metrics import auc, first_wrong_step, pair_accuracy, wilson
from evals.records import Path as Written
from evals.records import Problem
from evals.worlds import chain
from evals.worlds.truth import first_error, sound, true_steps
from stages.counts import Tally
from stages.engines.base import Engine
from stages.eval import Evaluation
from stages.sample import Sampler
from stages.score import Scoring
from stages.scorers.hf import Scorer
from stages.settings.evaluation import EvalSettings
from stages.settings.model import ScorerSettings
from stages.settings.sample import SampleSettings
from stages.settings.score import ScoreSettings
from stages.settings.simulate import SimulateSettings
from stages.settings.training import TrainSettings
from stages.train_prm import run_train_prm

WELL_FORMED = re.compile(r"(?:[-+*/0-9]+=[0-9]+\n)*The answer is [0-9]+\.?\s*")
PRM = TrainSettings(epochs=3, lr=3e-4, batch=32, group_by_length=True, device="cpu", dtype="float32")
LABEL_PROBLEMS = 1200
PARTS = ("answers", "labels", "reward-models")
TOGETHER = ("min", "mean", "product", "last")
"""How the scores of a path's steps become one."""
READING = ("another operation or number", "another state", "a step left out", "another answer than its last step's")


def answers(engine: Engine, problems: Iterable[Problem], settings: EvalSettings) -> list[Problem]:
    """The problems with judged answers."""

    async def draw() -> list[Problem]:
        stage = Evaluation(engine, settings)
        try:
            made = await asyncio.gather(*[stage(one.model_copy(deep=True), Tally()) for one in problems])
        finally:
            await stage.verdicts.close()
        return [line[0] for line in made]

    return asyncio.run(draw())


def distinct_paths(engine: Engine, problems: Iterable[Problem], draws: int) -> list[Problem]:
    """The problems with their distinct paths."""

    async def draw() -> list[Problem]:
        stage = Sampler(engine, SampleSettings(n=draws))
        made = await asyncio.gather(*[stage(one.model_copy(deep=True), Tally()) for one in problems])
        return [line[0] for line in made]

    return asyncio.run(draw())


def world_of(problem: Problem) -> dict[str, Any]:
    """What the generator knows."""
    return dict((problem.model_extra or {})["world"])


def first_mistake(world: Mapping[str, Any], path: Written) -> tuple[str, int] | None:
    """The kind and place of a path's first error; None if there is none."""
    at = first_error(world, path.steps)
    if at < 0:
        return None if path.correct else ("another answer than its last step's", len(path.steps))
    flags = true_steps(world, path.steps)
    if at == len(flags) or flags[at]:
        return "a step left out", at
    found = re.fullmatch(r"(\d+)([-+*/]\d+(?:[-+*/]\d+)*)=(\d+)", path.steps[at].strip())
    if found is None:
        return "no equation", at
    value = _value(found[1] + found[2])
    if value == int(found[3]):
        results = {step.rpartition("=")[2] for step in path.steps[:at]} or {str(world["start"])}
        return ("another operation or number" if found[1] in results else "another state"), at
    meant = [*path.steps[:at], f"{found[1]}{found[2]}={value:g}"]
    return ("calculation" if all(true_steps(world, meant)) else "reading and calculation"), at


def starts_from_state(world: Mapping[str, Any], steps: Sequence[str], at: int) -> bool:
    """Whether a step starts from the stock as it was last written, and not from another number of the story.

    Only then is its result a state, which the next step starts from: the first number of `9*2=18` is told.
    """
    found = re.match(r"\d+", steps[at].strip())
    state = str(world["start"])
    for step in steps[:at]:
        first, result = re.match(r"\d+", step.strip()), step.rpartition("=")[2].strip()
        if first is not None and first[0] == state:
            state = result
    return found is not None and found[0] == state


def _value(expression: str) -> float:
    """The value of an expression of numbers and signs."""
    total, product, sign = 0.0, 0.0, 1
    for operator, digits in re.findall(r"([-+*/]?)(\d+)", expression):
        number = float(digits)
        if operator in ("*", "/"):
            product = product * number if operator == "*" else product / number if number else float("nan")
        else:
            total += sign * product
            product, sign = number, -1 if operator == "-" else 1
    return total + sign * product


def share(part: int, whole: int) -> str:
    """`34.5 % (32.4 to 36.6; 690 of 2,000)`."""
    low, high = wilson(part, whole)
    return f"{100 * part / max(1, whole):.1f} % ({100 * low:.1f} to {100 * high:.1f}; {part:,} of {whole:,})"


def errors(lines: Sequence[Problem]) -> list[tuple[str, str]]:
    """Rows about answers: accuracy, format, kinds of first errors, and what follows an error."""
    kinds, follow = Counter[str](), Counter[tuple[str, bool]]()
    right = malformed = unsound = n = 0
    for line in lines:
        world = world_of(line)
        for path in line.paths:
            n += 1
            right += bool(path.correct)
            malformed += WELL_FORMED.fullmatch(path.text) is None
            error = first_mistake(world, path)
            unsound += bool(path.correct) and error is not None
            if error is None:
                continue
            kind, at = error
            kinds[kind] += 1
            if at + 1 < len(path.steps):
                result = path.steps[at].rpartition("=")[2]
                used = re.findall(r"\d+", path.steps[at + 1].rpartition("=")[0])
                what = "state" if starts_from_state(world, path.steps, at) else "sum"
                follow[what, result in used] += 1
    wrong = sum(kinds.values())
    rows = [
        ("right", share(right, n)),
        ("malformed", share(malformed, n)),
        ("right answers with a wrong step", share(unsound, right)),
        ("first errors: reading or reasoning", share(sum(kinds[kind] for kind in READING), wrong)),
        ("next step uses a wrong state", share(follow["state", True], follow["state", True] + follow["state", False])),
        ("next step uses another wrong result", share(follow["sum", True], follow["sum", True] + follow["sum", False])),
    ]
    return rows + [(f"first errors: {kind}", share(count, wrong)) for kind, count in kinds.most_common()]


def labels(lines: Sequence[Problem], k: int, only_reached: bool) -> list[tuple[str, str]]:
    """Rows about labels: agreement with the truth by delta, over steps and first errors.

    Args:
        only_reached: count only questions with a right path.
    """
    rows = []
    for delta in range(min(4, k)):
        steps, firsts, kept, false_kept, true_kept, true = [], [], 0, 0, 0, 0
        for line in lines:
            if only_reached and not any(path.correct for path in line.paths):
                continue
            world = world_of(line)
            for path in line.paths:
                truth = true_steps(world, path.steps)
                said = [label.hits > delta for label in path.labels or []]
                # As labels are written down: what comes after a wrong step is wrong.
                end = first_wrong_step(said)
                said = said if end < 0 else [*said[:end], *[False] * (len(said) - end)]
                steps += [a == b for a, b in zip(said, truth, strict=True)]
                firsts.append(first_wrong_step(said) == _in_steps(first_error(world, path.steps), path))
                if path.correct:
                    good = sound(world, path.steps)
                    true += good
                    kept += all(said)
                    true_kept += good and all(said)
                    false_kept += not good and all(said)
        rows += [
            (f"delta {delta}: steps as the truth", share(sum(steps), len(steps))),
            (f"delta {delta}: first errors as the truth", share(sum(firsts), len(firsts))),
            (f"delta {delta}: sound paths kept", share(true_kept, true)),
            (f"delta {delta}: unsound among the kept right answers", share(false_kept, kept)),
        ]
    return rows


def _in_steps(error: int, path: Written) -> int:
    """-1 where the error is that the path stops too early: no step's label can say so."""
    return -1 if error == len(path.steps) else error


@dataclass(frozen=True)
class Quality:
    """How well scores tell true steps and paths from others; None where there is nothing to rank."""

    steps: int
    auc: float | None
    """Of the scores of steps."""
    index_auc: float | None
    """Of a step's place alone: the later, the more likely wrong."""
    pairs: int
    ranked: Mapping[str, float | None]
    """Right above wrong paths of one question, by the scores of their steps put together in each way."""
    sound: float | None
    """AUC of the lowest step, sound right paths above unsound ones."""


def quality(lines: Iterable[Problem]) -> Quality:
    """Of the scores on the lines, against the truth of the world."""
    flags, scores, index = list[bool](), list[float](), list[float]()
    ids, correct = list[str](), list[bool]()
    together: dict[str, list[float]] = {name: [] for name in TOGETHER}
    right_flags, right_scores = list[bool](), list[float]()
    for line in lines:
        world = world_of(line)
        for path in line.paths:
            for found in (path.scores or {}).values():
                truth = true_steps(world, path.steps)
                flags += truth
                scores += found.steps
                index += [-float(i) for i in range(len(truth))]
                ids.append(line.id)
                correct.append(bool(path.correct))
                for name, values in together.items():
                    values.append(getattr(found, name))
                if path.correct:
                    right_flags.append(sound(world, path.steps))
                    right_scores.append(found.min)
    ranked = {name: pair_accuracy(ids, correct, values)[0] for name, values in together.items()}
    _, pairs = pair_accuracy(ids, correct, together["min"])
    return Quality(len(flags), auc(flags, scores), auc(flags, index), pairs, ranked, auc(right_flags, right_scores))


def reward_model(base: str, labelled: list[Problem], lines: list[Problem], folder: Path) -> list[tuple[str, str]]:
    """Rows about a reward model trained from `base` on labelled problems, measured on others."""
    run_train_prm(labelled, model=base, out=str(folder), options=PRM)
    scorer = Scorer(str(folder), ScorerSettings(device="cpu", dtype="float32"))

    async def score() -> list[Problem]:
        stage = Scoring(scorer, ScoreSettings())
        made = await asyncio.gather(*[stage(line.model_copy(deep=True), Tally()) for line in lines])
        return [line[0] for line in made]

    found = quality(asyncio.run(score()))
    return [
        ("steps, AUC", f"{found.auc or 0:.3f} ({found.steps:,} steps)"),
        ("steps, AUC of the step index alone", f"{found.index_auc or 0:.3f}"),
        *(
            (f"right above wrong within a question, by {name}", f"{value or 0:.3f} ({found.pairs:,} pairs)")
            for name, value in found.ranked.items()
        ),
        ("sound above unsound right answers, AUC of the lowest step", f"{found.sound or 0:.3f}"),
    ]


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a markdown table of two columns."""
    print(f"\n| {title} | share (95 % interval) |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    sys.stdout.flush()


def main() -> None:
    """Make M0 if none is given, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="M0; by default it is made from chain-base")
    parser.add_argument("--teacher", default="chain-teacher")
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the validation problems")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS[:2])
    given = parser.parse_args()
    began = time.monotonic()
    problems = list(chain.problems("validation", given.problems, given.seed))
    ood = list(chain.problems("ood", given.problems // 4, 7000 + given.seed))
    with tempfile.TemporaryDirectory() as name:
        policy = given.model or make_policy(Path(name))
        engine, teacher = open_policy(policy), open_policy(given.teacher)
        if "answers" in given.parts:
            greedy, drawn = EvalSettings(), EvalSettings(n=given.draws, temperature=1.0)
            table("M0, greedy", errors(answers(engine, problems, greedy)))
            table(f"M0, {given.draws} draws at T = 1", errors(answers(engine, problems, drawn)))
            table("M0, greedy, out of domain", errors(answers(engine, ood, greedy)))
            table("teacher, greedy", errors(answers(teacher, problems, greedy)))
        paths = distinct_paths(engine, problems, given.draws)
        settings = SimulateSettings(strategy="brute", k=given.k, temperature=(0.4, 0.8), gold=False)
        if "labels" in given.parts:
            table("M0, distinct paths", errors(paths))
            by_teacher, _, _ = simulated(teacher, paths, settings)
            table("labels by the teacher", labels(by_teacher, given.k, only_reached=False))
            by_self, _, _ = simulated(engine, paths, settings)
            table("labels by M0 itself, questions with a right draw", labels(by_self, given.k, only_reached=True))
        if "reward-models" in given.parts:
            others = distinct_paths(engine, chain.problems("train", LABEL_PROBLEMS, 300), 8)
            labelled, _, _ = simulated(teacher, others, settings)
            for base, title in ((policy, "M0"), (given.teacher, "the teacher")):
                rows = reward_model(base, labelled, paths, Path(name) / title.replace(" ", "-"))
                table(f"reward model from {title}", rows)
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
