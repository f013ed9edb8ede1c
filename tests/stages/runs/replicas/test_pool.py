"""Every problem is done once, whatever becomes of the replicas that work on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from evals.errors import ModelError
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.runs.faults import ProblemFailed
from stages.runs.opened import OpenedResources
from stages.runs.replicas import pool as module
from stages.runs.replicas.links import ReplicaDied
from stages.runs.replicas.messages import Done, Order, State
from stages.runs.replicas.places import Place
from stages.runs.replicas.pool import LOST, Pool
from tests.stages.runs.replicas.fakes import Copying, FakeFleet, FakeLink, Room, problem


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTS", (0.0,))


class Trial:
    """A pool over a fake fleet, and the lines that it was given."""

    def __init__(self, fleet: FakeFleet, lines: int | None = None) -> None:
        self.fleet, self.told = fleet, list[str]()
        self.left = lines
        self.pool = Pool(Copying(), fleet, OpenedResources([], StopFlag()), lambda: self.left, self.told.append)

    async def do(self, number: int) -> tuple[list[Any], Tally]:
        tally = Tally()
        try:
            return list(await self.pool.work(problem(number), tally)), tally
        finally:
            if self.left is not None:
                self.left -= 1

    async def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(60_000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise TimeoutError

    async def all(self, count: int) -> list[Any]:
        """As the scheduler does: one at first, the others while the pool is hungry."""
        tasks: list[asyncio.Task[Any]] = []
        for number in range(count):
            await self.until(lambda: all(task.done() for task in tasks) or self.pool.hungry())
            tasks.append(asyncio.create_task(self.do(number)))
        return await asyncio.gather(*tasks, return_exceptions=True)


def go(trial: Trial, body: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        try:
            return await asyncio.wait_for(body(), 60)
        finally:
            await trial.pool.close()

    return asyncio.run(run())


def test_lines_counts_and_costs_come_back_as_from_one_process() -> None:
    async def body() -> list[Any]:
        return await trial.all(100)

    trial = Trial(FakeFleet(2, lambda _: Copying()), 100)
    found = go(trial, body)
    assert [lines for lines, _ in found] == [[problem(number).to_json()] for number in range(100)]
    assert all(tally.counts == {"tokens": 3} for _, tally in found)
    assert trial.pool.spent() == {"tokens": 300}
    assert trial.fleet.closed


def test_nothing_is_started_before_the_first_problem_and_everything_is_closed() -> None:
    async def nothing() -> None:
        await asyncio.sleep(0)

    trial = Trial(FakeFleet(2, lambda _: Copying()))
    go(trial, nothing)
    assert trial.fleet.links == {0: [], 1: []}
    rooms = [Room(), Room()]
    trial = Trial(FakeFleet(2, lambda number: Copying(rooms[number])), 40)
    go(trial, lambda: trial.all(40))
    assert [room.closed for room in rooms] == [True, True]


def test_a_replica_never_holds_more_than_its_engine_and_a_handful_ahead() -> None:
    rooms = [Room(4), Room(4)]
    held = 0

    async def body() -> None:
        nonlocal held
        work = asyncio.create_task(trial.all(300))
        while not work.done():
            held = max(held, *(len(place.jobs) for place in trial.pool._places or [Place(0, 0.0)]))
            await asyncio.sleep(0)
        await work

    trial = Trial(FakeFleet(2, lambda number: Copying(rooms[number])))
    go(trial, body)
    assert max(room.most for room in rooms) <= 4 + 32
    assert held <= 4 + 2 * 32
    assert min(room.done for room in rooms) > 50


def test_the_last_lines_are_shared_though_one_replica_could_take_all() -> None:
    rooms = [Room(), Room()]
    trial = Trial(FakeFleet(2, lambda number: Copying(rooms[number], 0.05), late={1: 0.02}), 64)
    go(trial, lambda: trial.all(64))
    assert min(room.done for room in rooms) >= 16


def test_a_slow_replica_holds_nobody_up() -> None:
    rooms = [Room(), Room()]
    trial = Trial(FakeFleet(2, lambda number: Copying(rooms[number]), late={1: 30.0}), 64)
    found = go(trial, lambda: trial.all(64))
    assert len(found) == rooms[0].done == 64


def test_problems_of_a_dead_replica_are_given_to_another_and_it_is_replaced() -> None:
    rooms = [Room(), Room(), Room()]
    made = iter(rooms)

    async def body() -> list[Any]:
        work = asyncio.create_task(trial.all(60))
        await trial.until(lambda: trial.fleet.links[0] and len(trial.fleet.links[0][0].orders) > 5)
        trial.fleet.links[0][0].die("killed by SIGKILL")
        return await work

    trial = Trial(FakeFleet(2, lambda _: Copying(next(made), 0.05)), 60)
    found = go(trial, body)
    assert [lines for lines, _ in found] == [[problem(number).to_json()] for number in range(60)]
    assert trial.pool.spent()[LOST] == 1
    assert len(trial.fleet.links[0]) == 2
    assert trial.told[0].startswith("replica 0 died (killed by SIGKILL); its ")


def test_what_a_dead_replica_had_told_of_its_costs_is_kept() -> None:
    async def body() -> None:
        await trial.do(0)
        trial.fleet.links[0][0].die()
        await trial.do(1)

    trial = Trial(FakeFleet(1, lambda _: Copying()))
    go(trial, body)
    assert trial.pool.spent() == {"tokens": 6, LOST: 1}


class Deaf(FakeLink):
    """A replica that takes orders and says nothing by itself, so that the test speaks for it."""

    def send(self, orders: Any) -> None:
        self.orders += orders


def test_a_late_answer_to_an_old_ticket_is_dropped() -> None:
    class Fleet(FakeFleet):
        async def start(self, number: int) -> FakeLink:
            link = Deaf(Copying())
            self.links[number].append(link)
            return link

    async def body() -> list[Any]:
        work = asyncio.create_task(trial.do(0))
        first = await _orders(0)
        trial.fleet.links[0][0].die()
        second = await _orders(1)
        assert first.ticket != second.ticket
        link = trial.fleet.links[0][1]
        for ticket, line in ((first.ticket, "late"), (second.ticket, "in time"), (second.ticket, "twice")):
            link.replies.put_nowait(Done(ticket, [line], {"drawn": 1}, {}, State()))
        lines, tally = await work
        assert tally.counts == {"drawn": 1}
        return lines

    async def _orders(life: int) -> Order:
        await trial.until(lambda: len(trial.fleet.links[0]) > life and trial.fleet.links[0][life].orders)
        return trial.fleet.links[0][life].orders[0]

    trial = Trial(Fleet(1, lambda _: Copying()))
    assert go(trial, body) == ["in time"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_problem_that_kills_its_replicas_fails_and_the_others_are_done(count: int) -> None:
    fleet: FakeFleet

    def poison(number: int) -> Callable[[Problem], None]:
        def act(given: Problem) -> None:
            if given.id == "p/7":
                fleet.links[number][-1].die("exit code 9")

        return act

    fleet = FakeFleet(count, lambda number: Copying(act=poison(number)))
    trial = Trial(fleet, 80)
    found = go(trial, lambda: trial.all(80))
    failed = [number for number, one in enumerate(found) if isinstance(one, BaseException)]
    assert failed == [7]
    assert isinstance(found[7], ProblemFailed)
    assert str(found[7]) == "4 replicas died of it, the last one exit code 9"
    assert trial.pool.spent()[LOST] == 4


def test_a_model_that_cannot_be_opened_ends_the_run_with_its_own_error() -> None:
    trial = Trial(FakeFleet(2, lambda _: Copying(Room(error=ModelError("no such model", "Name another.")))))
    found = go(trial, lambda: trial.all(3))
    assert [(type(one), str(one)) for one in found] == [(ModelError, "no such model")] * 3


def test_replicas_that_die_while_they_open_end_the_run() -> None:
    class Fleet(FakeFleet):
        async def start(self, number: int) -> FakeLink:
            raise ReplicaDied("killed by SIGKILL")

    trial = Trial(Fleet(2, lambda _: Copying()))
    found = go(trial, lambda: trial.all(2))
    assert {str(one) for one in found} == {
        "4 replicas in a row ended before they were ready, the last one killed by SIGKILL"
    }
    assert found[0].advice == "Look at them."


def test_replicas_that_die_at_their_first_problem_each_end_the_run() -> None:
    fleet: FakeFleet

    def make(number: int) -> Copying:
        return Copying(act=lambda _: fleet.links[number][-1].die())

    fleet = FakeFleet(2, make)
    trial = Trial(fleet, 2000)
    found = go(trial, lambda: trial.all(200))
    assert {type(one) for one in found} <= {ModelError, ProblemFailed}
    assert "in a row ended without an answer" in str(found[-1])
    assert trial.pool.lost < 40


def test_a_place_where_replicas_only_die_is_left_empty() -> None:
    class Fleet(FakeFleet):
        async def start(self, number: int) -> FakeLink:
            if number == 1:
                raise ReplicaDied("no such GPU")
            return await super().start(number)

    trial = Trial(Fleet(2, lambda _: Copying(seconds=0.05)), 60)
    assert len(go(trial, lambda: trial.all(60))) == 60
    assert trial.told[-1] == "replica 1 is not started again: it died 4 times in a row"


def test_a_failed_problem_and_a_bug_come_out_as_they_do_in_one_process() -> None:
    def act(given: Problem) -> None:
        if given.id == "p/1":
            raise ProblemFailed("too long")
        if given.id == "p/2":
            raise ZeroDivisionError

    trial = Trial(FakeFleet(1, lambda _: Copying(act=act)))
    _, failed, bug = go(trial, lambda: trial.all(3))
    assert (type(failed), str(failed)) == (ProblemFailed, "too long")
    assert type(bug) is RuntimeError
    assert "ZeroDivisionError" in str(bug)
    assert "fakes.py" in str(bug)


def test_replicas_that_take_long_to_start_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    trial = Trial(FakeFleet(1, lambda _: Copying(), late={0: 0.2}))
    go(trial, lambda: trial.all(1))
    assert trial.told == ["no replica is ready after 0 seconds: they were told to be"]
    trial = Trial(FakeFleet(1, lambda _: Copying(seconds=0.1)))
    go(trial, lambda: trial.all(1))
    assert trial.told == []
