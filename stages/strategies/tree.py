"""OmegaPRM's tree of one problem (arXiv 2406.06592, section 3.3): states, their Monte Carlo values, and the rollouts
that wait to be searched.

A state is a prefix; MC(s) is the share of its k rollouts that were right. The pool holds the wrong rollouts r of the
states with 0 < MC(s) < 1, and the wrong paths of the line, which are rollouts of the root; next comes the one with the
highest

    Q(s, r) + U(s) = alpha^(1 - MC(s)) * beta^(words of r / L)  +  c_puct * sqrt(sum of all N) / (1 + N(s))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from evals.records import SearchTree, TreeSearch, TreeState
from stages.settings.simulate import TreeSettings

ROOT = 0


@dataclass(slots=True)
class State:
    """A prefix of the tree; for the root, `draws` and `hits` count the line's own paths."""

    prefix: str
    parent: int | None
    draws: int
    hits: int
    visits: int = 0

    @property
    def value(self) -> float:
        """MC(s); 0 where nothing was drawn."""
        return self.hits / self.draws if self.draws else 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A wrong rollout of a state: the path that the two make, and how many words of it the rollout wrote."""

    state: int
    path: int
    words: int


@dataclass(slots=True)
class Tree:
    """The states by number, the root first; the pool; and the searches so far."""

    settings: TreeSettings
    states: list[State]
    pool: list[Candidate] = field(default_factory=list)
    searches: list[TreeSearch] = field(default_factory=list)
    by_prefix: dict[str, int] = field(default_factory=dict)

    def add(self, prefix: str, parent: int, draws: int, hits: int) -> int:
        """The number of a new state."""
        self.by_prefix[prefix] = len(self.states)
        self.states.append(State(prefix, parent, draws, hits))
        return len(self.states) - 1

    def worth(self, candidate: Candidate) -> float:
        """Q + U of a rollout."""
        state, constants = self.states[candidate.state], self.settings
        q = constants.tree_alpha ** (1 - state.value) * constants.tree_beta ** (candidate.words / constants.tree_length)
        visits = sum(other.visits for other in self.states)
        return float(q + constants.c_puct * math.sqrt(visits) / (1 + state.visits))

    def choose(self) -> tuple[Candidate, float] | None:
        """Take the best rollout (the earliest of equal ones) from the pool and count the visit; None: no more."""
        if not self.pool or len(self.searches) >= self.settings.searches:
            return None
        best = max(self.pool, key=self.worth)
        worth = self.worth(best)
        self.pool.remove(best)
        self.states[best.state].visits += 1
        return best, worth

    def record(self) -> SearchTree:
        """The tree as it is written with the line."""
        states = [
            TreeState(prefix=s.prefix, parent=s.parent, draws=s.draws, hits=s.hits, visits=s.visits)
            for s in self.states
        ]
        return SearchTree(states=states, searches=self.searches)
