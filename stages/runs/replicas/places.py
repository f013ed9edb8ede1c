"""The problems in flight, the places of the replicas that work on them, and who may work beside whom."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

from evals.records import Problem
from stages.runs.replicas.links import Link
from stages.runs.replicas.messages import Done, State

TOGETHER = (None, None, 16, 1)
"""How many problems may be in one replica with one that was there so many times when a replica died; None: any number.
After that many deaths it has failed."""


@dataclass(slots=True, eq=False)
class Job:
    """A problem that has been admitted and is not answered."""

    number: int
    problem: Problem
    answer: asyncio.Future[Done]
    deaths: int = 0
    """Replicas that died while they had it."""

    @property
    def is_suspect(self) -> bool:
        """Whether replicas may be dying of it, so that only some others may be beside it."""
        return TOGETHER[self.deaths] is not None


@dataclass(slots=True, eq=False)
class Place:
    """The place of a replica: who stands there now, and what those before it have spent."""

    number: int
    begun: float
    link: Link | None = None
    ready: bool = False
    credit: int = 0
    """Problems that it has asked for and not got."""
    jobs: dict[int, Job] = field(default_factory=dict)
    state: State = field(default_factory=State)
    past: Counter[str] = field(default_factory=Counter)
    barren: int = 0
    """Deaths here in a row without an answer."""

    suspects: int = 0
    """Those of its jobs whose companions are limited."""

    def room(self, job: Job, share: int) -> bool:
        """Whether this job may be given to the replica, which may hold so many in all."""
        if not self.credit:
            return False
        limit = TOGETHER[job.deaths]
        most = share if limit is None else min(share, limit)
        if self.suspects:
            limits = [TOGETHER[one.deaths] for one in self.jobs.values()]
            most = min([most, *(limit for limit in limits if limit is not None)])
        return len(self.jobs) < most

    def take(self, ticket: int, job: Job) -> None:
        """The job is given to the replica."""
        self.jobs[ticket] = job
        self.credit -= 1
        self.suspects += job.is_suspect

    def answered(self, ticket: int) -> Job | None:
        """The job of an answer; None if the ticket is an old one."""
        job = self.jobs.pop(ticket, None)
        if job is not None:
            self.suspects -= job.is_suspect
        return job

    def vacate(self) -> list[Job]:
        """The replica has died: the jobs that it leaves."""
        jobs = [job for job in self.jobs.values() if not job.answer.done()]
        self.past.update(self.state.spent)
        self.ready, self.credit, self.suspects, self.jobs, self.state = False, 0, 0, {}, State()
        return jobs


def merged(jobs: deque[Job], more: list[Job]) -> deque[Job]:
    """All of them in input order."""
    return deque(sorted([*jobs, *more], key=lambda job: job.number)) if more else jobs
