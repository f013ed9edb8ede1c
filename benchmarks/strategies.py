"""Every strategy of `simulate` on the same lines: what it costs, and how far its labels agree with brute force.

    python benchmarks/strategies.py [--model FOLDER] [--problems 100] [--paths 8] [--k 8] [--repeats 3]
                                    [--cpu-time]

Prints a markdown table. Costs are shares of what brute force spends per labelled step, over every prefix ("every") and
over unique prefixes ("unique"); wall-clock is the median of the repeats divided by that of every-prefix brute force,
which is also run. First errors are compared on the paths of the lines; "decided" is the share of these paths whose
first error the strategy gives. mcts also labels the paths of its tree, which is why its cost per step is so low. The
truth is the chain world's own. "Saturation" is tokens per second compared with the engine given every request at once.
The oracle knows brute's first errors in advance and only has to confirm them: all K draws of the dead prefix, and the
draws of the one before it up to its first success. Without --model the policy is made first (see benchmarks/policy.py),
and a PRM for `prm-guided` is trained on 60 other problems. On a shared machine, `--cpu-time` and OMP_NUM_THREADS=1
leave out the time of other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from policy import Clock, make_policy, one_line_a_path, open_policy, sampled, simulated

from evals.metrics import first_wrong_step, wilson
from evals.records import Problem
from evals.tasks import task_of
from evals.worlds.truth import true_steps
from stages.counts import Tally
from stages.engines.base import Draw, Request, generate
from stages.engines.hf.engine import HFEngine
from stages.score import Scoring
from stages.scorers.hf import Scorer
from stages.seeds import seed_of
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings
from stages.settings.simulate import SimulateSettings, TreeSettings
from stages.settings.training import TrainSettings
from stages.strategies.audit import claimed_error
from stages.strategies.prefixes import prefixes
from stages.train_prm import run_train_prm

PRM = TrainSettings(epochs=3, lr=5e-4, batch=32, group_by_length=True, device="cpu", dtype="float32")


def strategies(k: int) -> dict[str, SimulateSettings]:
    """The rows of the table."""
    base = SimulateSettings(k=k, gold=False)
    return {
        "brute": replace(base, strategy="brute"),
        "exact": replace(base, strategy="exact"),
        "first-error": replace(base, strategy="first-error"),
        "first-error --confidence 0.9": replace(base, strategy="first-error", confidence=0.9),
        "first-error --confidence 0.8": replace(base, strategy="first-error", confidence=0.8),
        "first-error --trust-correct": replace(base, strategy="first-error", trust_correct=True),
        "binary": replace(base, strategy="binary"),
        "binary --confidence 0.9": replace(base, strategy="binary", confidence=0.9),
        "prm-guided": replace(base, strategy="prm-guided"),
        "prm-guided --walk-on": replace(base, strategy="prm-guided", walk_on=True),
        "prm-guided --walk-on --confidence 0.9": replace(base, strategy="prm-guided", walk_on=True, confidence=0.9),
        "mcts --searches 8": replace(base, strategy="mcts", tree=TreeSettings(searches=8)),
    }


@dataclass
class Row:
    """What one strategy did. Rates are (part, whole)."""

    steps: int = 0
    rollouts: int = 0
    tokens: int = 0
    labels: tuple[int, int] = (0, 0)
    errors: tuple[int, int] = (0, 0)
    decided: tuple[int, int] = (0, 0)
    truth: tuple[int, int] = (0, 0)
    true_errors: tuple[int, int] = (0, 0)
    seconds: list[float] = field(default_factory=list)


def compare(row: Row, mine: Sequence[Problem], brute: Sequence[Problem]) -> None:
    """Agreement of the lines' own paths with brute force and with the world."""
    steps, errors, true, true_errors, decided = [], [], [], [], []
    for line, reference in zip(mine, brute, strict=True):
        for path, full in zip(line.paths, reference.paths, strict=False):
            world = true_steps((line.model_extra or {})["world"], path.steps)
            flags, theirs = [label.hard for label in path.labels or []], [label.hard for label in full.labels or []]
            steps += [a == b for a, b in zip(flags, theirs, strict=True) if a is not None]
            true += [a == b for a, b in zip(flags, world, strict=True) if a is not None]
            error = claimed_error(path.labels or [])
            decided.append(error is not None)
            if error is not None:
                errors.append(error == first_wrong_step([flag is True for flag in theirs]))
                true_errors.append(error == first_wrong_step(world))
    row.labels, row.errors, row.decided = _part(steps), _part(errors), _part(decided)
    row.truth, row.true_errors = _part(true), _part(true_errors)


def _part(flags: Sequence[bool]) -> tuple[int, int]:
    return sum(flags), len(flags)


def oracle(brute: Sequence[Problem]) -> Row:
    """The cost of confirming brute's first errors when they are known in advance."""
    row = Row(steps=sum(len(path.steps) for line in brute for path in line.paths))
    for line in brute:
        shown: dict[str, int] = {}
        for path, texts in zip(line.paths, prefixes(task_of(line), line.paths).rows, strict=True):
            labels = path.labels or []
            error = first_wrong_step([label.hard is True for label in labels])
            if error >= 0:
                shown[texts[error]] = labels[error].k
            last = (error if error >= 0 else len(labels)) - 1
            if last >= 0:
                hits = [rollout.correct for rollout in labels[last].rollouts]
                shown.setdefault(texts[last], hits.index(True) + 1)
        rollouts = {
            text: label.rollouts
            for path, texts in zip(line.paths, prefixes(task_of(line), line.paths).rows, strict=True)
            for text, label in zip(texts, path.labels or [], strict=True)
        }
        row.rollouts += sum(shown.values())
        row.tokens += sum(rollout.tokens for text, n in shown.items() for rollout in rollouts[text][:n])
    return row


def every_prefix(brute: Sequence[Problem]) -> tuple[int, int]:
    """Completions and tokens of brute force that does not notice equal prefixes."""
    labels = [label for line in brute for path in line.paths for label in path.labels or []]
    return sum(label.draws for label in labels), sum(rollout.tokens for label in labels for rollout in label.rollouts)


def all_at_once(engine: HFEngine, lines: Sequence[Problem], k: int, clock: Clock) -> float:
    """Tokens per second of the engine when it gets every request of brute force at the start."""
    wanted = []
    for line in lines:
        task = task_of(line)
        for text in prefixes(task, line.paths).places:
            draws = tuple(Draw(seed_of("simulate", line.id, 0, [text, i])) for i in range(k))
            wanted.append(Request(line, draws, text, max_tokens=task.max_tokens, stop=task.stop, eager=True))

    async def feed() -> None:
        await asyncio.gather(*[generate(engine, request) for request in wanted])

    before, began = engine.usage.tokens, clock()
    asyncio.run(feed())
    return (engine.usage.tokens - before) / (clock() - began)


def scored(engine: HFEngine, lines: list[Problem], policy: str, folder: Path, k: int) -> list[Problem]:
    """The lines with the step scores of a PRM that was trained on other problems' exact labels."""
    others, _, _ = simulated(engine, sampled(engine, 60, 8, seed=8), SimulateSettings(k=k))
    run_train_prm(others, model=policy, out=str(folder / "prm"), options=PRM)
    scorer = Scorer(str(folder / "prm"), ScorerSettings(device="cpu", dtype="float32"))

    async def score() -> list[Problem]:
        stage = Scoring(scorer, ScoreSettings())
        return [line for done in await asyncio.gather(*[stage(line, Tally()) for line in lines]) for line in done]

    return asyncio.run(score())


def percent(part: tuple[int, int], interval: bool = False) -> str:
    """`97.4` or `97.4 (96.4-98.2)`."""
    k, n = part
    low, high = wilson(k, n)
    return "-" if not n else f"{100 * k / n:.1f}" + (f" ({100 * low:.1f}-{100 * high:.1f})" if interval else "")


def table(rows: dict[str, Row], brute: Row, every: tuple[int, int], whole: float, flat_out: float) -> str:
    """The markdown table."""
    head = (
        "strategy", "labelled steps", "completions, every", "tokens, every", "completions, unique", "tokens, unique",
        "wall-clock", "labels as brute", "first errors as brute", "decided", "steps as the truth",
        "first errors as the truth", "saturation",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in rows.items():
        scale = 100 * brute.steps / max(1, row.steps)
        seconds = statistics.median(row.seconds) if row.seconds else None
        cells = [
            name, f"{row.steps:,}", f"{scale * row.rollouts / every[0]:.1f}", f"{scale * row.tokens / every[1]:.1f}",
            f"{scale * row.rollouts / brute.rollouts:.1f}", f"{scale * row.tokens / brute.tokens:.1f}",
            f"{scale * seconds / whole:.1f}" if seconds else "-", percent(row.labels), percent(row.errors, True),
            percent(row.decided), percent(row.truth), percent(row.true_errors),
            f"{row.tokens / seconds / flat_out:.2f}" if seconds else "-",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make the policy, the lines and the PRM, run every strategy, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--paths", type=int, default=8)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process's CPU time, not of the clock")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = arguments.model or make_policy(folder)
        engine = open_policy(policy)
        lines = sampled(engine, arguments.problems, arguments.paths)
        lines = scored(engine, lines, policy, folder, arguments.k)
    rows, reference, clocks, rates = _run(engine, lines, arguments.k, arguments.repeats, clock)
    brute = rows["brute"]
    rows = {"brute": brute, "oracle (bound)": oracle(reference), **rows}
    paths = [path for line in lines for path in line.paths]
    unique = sum(len(prefixes(task_of(line), line.paths).places) for line in lines)
    print(
        f"{len(lines)} problems, {len(paths)} paths ({percent(_part([path.correct is True for path in paths]))} % "
        f"right), {brute.steps} steps, {unique} unique prefixes, K = {arguments.k}; in percent\n"
    )
    print(table(rows, brute, every_prefix(reference), statistics.median(clocks), statistics.median(rates)))


def _run(
    engine: HFEngine, lines: list[Problem], k: int, repeats: int, clock: Clock
) -> tuple[dict[str, Row], list[Problem], list[float], list[float]]:
    """Every strategy, each `repeats` times; the lines as brute labels them; the seconds of every-prefix brute force;
    the engine's rate when it gets every request at once."""
    rows: dict[str, Row] = {name: Row() for name in strategies(k)}
    reference: list[Problem] = []
    clocks, rates = [], []
    alone = one_line_a_path(lines)
    for repeat in range(repeats):
        rates.append(all_at_once(engine, lines, k, clock))
        clocks.append(simulated(engine, alone, strategies(k)["brute"], clock)[2])
        for name, settings in strategies(k).items():
            labelled, tally, seconds = simulated(engine, lines, settings, clock)
            row = rows[name]
            row.seconds.append(seconds)
            reference = reference or labelled
            if repeat == 0:
                row.steps, row.rollouts = tally.counts["steps labelled"], tally.counts["rollouts"]
                row.tokens = tally.counts["rollout tokens"]
                compare(row, labelled, reference)
            print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return rows, reference, clocks, rates


if __name__ == "__main__":
    main()
