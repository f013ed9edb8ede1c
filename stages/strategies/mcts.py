"""OmegaPRM (arXiv 2406.06592): a tree of states whose Monte Carlo values all paths of a problem share.

One search takes the most promising wrong rollout (see stages/strategies/tree.py) and finds its first wrong step by
binary search, rolling out every prefix that it visits `k` times. Each visited prefix becomes a state; the wrong
rollouts of states that are neither dead nor sure join the pool. It ends after `searches`, or when the pool is empty or
the budget used up. The rollouts become paths of the line with source "tree"; the tree itself is kept under `tree`.

What differs from the paper: the root's rollouts are the line's own paths, which need labels, so they are searched
whatever MC(root), their share of right ones, is. Those with a right answer are not searched, but their last step is
rolled out first, as in `binary` (not with `--trust-correct`). The states' labels are soft as well as hard.
"""

from __future__ import annotations

from evals.records import Path, Problem, TreeSearch
from stages.runs.verdicts import joined_path
from stages.strategies.inference import survey, write_labels
from stages.strategies.prefixes import Prefixes, Simulator, prefixes
from stages.strategies.tree import ROOT, Candidate, State, Tree

VERDICT = {"answer", "correct", "outcome", "weak"}
"""What a path takes over from the rollout that it ends in, if the rollout has it."""


async def mcts(simulator: Simulator, problem: Problem) -> None:
    """Search the tree of the problem and label its paths, the tree's own included, by the states."""
    found = survey(simulator, problem)
    right = sum(path.correct is True for path in found.paths)
    root = State("", None, draws=len(found.paths), hits=right)
    search = _Search(simulator, problem, found, Tree(simulator.settings.tree, [root]))
    given = list(zip(found.paths, found.rows, strict=True))  # the tree's own paths are added to these lists
    for number, (path, row) in enumerate(given):
        if path.correct and row and row[-1] not in simulator.ledger.trusted:
            await search.state(row[-1], ROOT)
        elif not path.correct and row:
            search.tree.pool.append(Candidate(ROOT, number, len(path.text.split())))
    while (chosen := search.tree.choose()) is not None:
        if not await search.extend(*chosen):
            break
    write_labels(simulator.ledger, found, simulator.settings)
    problem.paths = [*problem.paths, *found.paths[search.own :]]
    problem.tree = search.tree.record()
    search.count()


class _Search:
    """The tree of a problem and the paths that it is made of: first those of the line, then those of its rollouts."""

    def __init__(self, simulator: Simulator, problem: Problem, found: Prefixes, tree: Tree) -> None:
        self.simulator, self.problem, self.found, self.tree = simulator, problem, found, tree
        self.own = len(found.paths)
        self.round = max((path.round for path in found.paths), default=0)
        self.texts = {path.text for path in problem.paths}

    async def extend(self, candidate: Candidate, worth: float) -> bool:
        """Find the first wrong step of a rollout; False when the budget is used up."""
        row, start = self.found.rows[candidate.path], len(self.tree.states[candidate.state].prefix)
        live = sum(len(prefix) <= start for prefix in row) - 1
        dead, parent = len(row), candidate.state
        while dead - live > 1:
            middle = (live + dead) // 2
            number = await self.state(row[middle], parent)
            if number is None:
                break
            if self.simulator.ledger.labels[row[middle]].hard:
                live, parent = middle, number
            else:
                dead = middle
        done = dead - live == 1
        first = (dead if dead < len(row) else -1) if done else None
        path = self.found.paths[candidate.path].id
        self.tree.searches.append(TreeSearch(state=candidate.state, path=path, value=worth, first_error=first))
        return done

    async def state(self, prefix: str, parent: int) -> int | None:
        """The number of a prefix's state, rolled out if it is new; None if the budget does not cover all draws."""
        if prefix in self.tree.by_prefix:
            return self.tree.by_prefix[prefix]
        label = await self.simulator.label(self.problem, prefix, until_settled=False)
        if label.draws < label.k:
            return None
        number = self.tree.add(prefix, parent, label.draws, label.hits)
        self._branch(number)
        return number

    def _branch(self, number: int) -> None:
        """Turn a new state's rollouts into paths, and add the wrong ones to the pool if it is neither dead nor sure."""
        state = self.tree.states[number]
        ledger = self.simulator.ledger
        rollouts = ledger.labels[state.prefix].rollouts
        for rollout, written in zip(rollouts, ledger.written[state.prefix], strict=True):
            text = joined_path(self.simulator.task, state.prefix, written)
            if text in self.texts:
                self.simulator.tally.count("tree rollouts that repeat a path")
                continue
            self.texts.add(text)
            verdict = rollout.model_dump(include=VERDICT, exclude_unset=True)
            path = Path.model_validate({
                "id": f"{self.problem.id}#t{len(self.found.paths) - self.own}", "source": "tree", "round": self.round,
                "text": text, "steps": self.simulator.task.split(text).steps, "finish": rollout.finish or "stop",
                "seed": rollout.seed, **verdict,
            })  # fmt: skip
            self._join(path)
            if not path.correct and 0 < state.hits < state.draws:
                self.tree.pool.append(Candidate(number, len(self.found.paths) - 1, len(written.split())))

    def _join(self, path: Path) -> None:
        """Add a path to those that are labelled at the end."""
        (row,) = prefixes(self.simulator.task, [path]).rows
        self.found.paths.append(path)
        self.found.rows.append(row)
        if path.correct and self.simulator.settings.trust_correct:
            self.simulator.ledger.trusted.update(row)

    def count(self) -> None:
        """Count the tree's searches, states and paths."""
        tally = self.simulator.tally
        tally.count("tree searches", len(self.tree.searches))
        tally.count("tree states", len(self.tree.states) - 1)
        tally.count("tree paths", len(self.found.paths) - self.own)
        tally.count("tree rollouts left in the pool", len(self.tree.pool))
