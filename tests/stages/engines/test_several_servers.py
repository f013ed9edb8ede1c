"""Several servers of one model: who is asked, and what happens when one stops answering."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest

from stages.engines.base import Draw, Request, generate
from stages.engines.server import client, several
from stages.engines.server.client import RetryingClient, ServerGone
from stages.engines.server.engine import ServerEngine
from stages.engines.server.several import SeveralServers
from tests.stages.engines.lookalike import Lookalike, Reply, wrote
from tests.stages.fakes import chain_problem


def by_seed(body: dict[str, Any], _number: int) -> Reply:
    return Reply(wrote(f"seed {body['seed']}"), delay=0.005)


def down(body: dict[str, Any], number: int) -> Reply:
    return Reply(drop=True)


def request(number: int, draws: int = 4) -> Request:
    problem = chain_problem(id=f"p{number}", question=f"Mia has {number} pens. ...")
    return Request(problem, tuple(Draw(100 * number + i) for i in range(draws)))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST", 0.01)


def go(body: Callable[[SeveralServers], Awaitable[Any]], *servers: Lookalike) -> Any:
    async def run() -> Any:
        engine = SeveralServers([ServerEngine(RetryingClient(one.url, retries=1), "m1") for one in servers])
        try:
            return await body(engine)
        finally:
            await engine.close()

    with ExitStack() as stack:
        return asyncio.run(run()) if all(stack.enter_context(one) for one in servers) else None


async def all_of(engine: SeveralServers, requests: list[Request]) -> list[Any]:
    return await asyncio.gather(*[generate(engine, one) for one in requests], return_exceptions=True)


def wanted(requests: list[Request]) -> list[list[str]]:
    return [[f"seed {draw.seed}" for draw in one.draws] for one in requests]


def test_a_problem_stays_with_one_server_and_both_are_used() -> None:
    first, second = Lookalike(by_seed), Lookalike(by_seed)
    requests = [request(i % 8) for i in range(24)]

    async def body(engine: SeveralServers) -> Any:
        found = await all_of(engine, requests)
        return found, engine.spent(), engine.hungry(), engine.rows()

    found, spent, hungry, rows = go(body, first, second)
    assert [[one.text for one in draws] for draws in found] == wanted(requests)
    asked = [{body["prompt"] for body in server.bodies} for server in (first, second)]
    assert len(asked[0]) == len(asked[1]) == 4
    assert not asked[0] & asked[1]
    assert spent["completions"] == 96
    assert "servers given up" not in spent
    assert hungry
    assert rows == 0


@pytest.mark.parametrize("eager", [True, False])
def test_the_problems_of_a_server_that_stops_are_asked_of_the_other(eager: bool) -> None:
    def stops(body: dict[str, Any], number: int) -> Reply:
        return by_seed(body, number) if number < 10 else down(body, number)

    first, second = Lookalike(stops), Lookalike(by_seed)
    requests = [request(i, 8) for i in range(8)]

    async def taken(engine: SeveralServers, one: Request) -> Any:
        return [completion async for completion in engine.stream(one)]

    async def body(engine: SeveralServers) -> Any:
        if eager:
            return await all_of(engine, requests), engine.spent()
        return await asyncio.gather(*(taken(engine, one) for one in requests)), engine.spent()

    found, spent = go(body, first, second)
    assert [[one.text for one in draws] for draws in found] == wanted(requests)
    assert spent["servers given up"] == 1


def test_a_server_that_takes_nothing_new_but_finishes_what_it_has_begun_is_gone() -> None:
    checked = threading.Barrier(4)

    def drains(body: dict[str, Any], number: int) -> Reply:
        if number == 0:
            checked.wait(10)  # until each of the other three draws asks whether the server works
            return by_seed(body, number)
        if body["prompt"] == client.SHORT:
            checked.wait(10)
            return Reply(drop=True, delay=0.3)  # the held answer comes first
        return down(body, number)

    first, second = Lookalike(drains), Lookalike(by_seed)
    both = [request(0, 2), request(0, 2)]  # one problem, so both are asked of the first server

    async def body(engine: SeveralServers) -> Any:
        return await all_of(engine, both), engine.spent()

    found, spent = go(body, first, second)
    assert [[one.text for one in draws] for draws in found] == wanted(both)
    assert spent["servers given up"] == 1


def test_a_server_that_is_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "REST", 0.2)
    broken = [True]

    def restarts(body: dict[str, Any], number: int) -> Reply:
        return down(body, number) if broken else by_seed(body, number)

    first, second = Lookalike(restarts), Lookalike(by_seed)

    async def body(engine: SeveralServers) -> int:
        await all_of(engine, [request(i) for i in range(4)])
        broken.clear()
        asked = len(first.bodies)
        await all_of(engine, [request(i) for i in range(4, 8)])
        assert len(first.bodies) == asked, "it is left alone for a while"
        await asyncio.sleep(0.25)
        await all_of(engine, [request(i) for i in range(8, 12)])
        await all_of(engine, [request(i) for i in range(12, 16)])
        return len(first.bodies) - asked

    assert go(body, first, second) >= 12


def test_when_no_server_is_left_the_error_is_that_of_one() -> None:
    found = go(lambda engine: all_of(engine, [request(0), request(1)]), Lookalike(down), Lookalike(down))
    assert [type(one) for one in found] == [ServerGone, ServerGone]
    assert "goes on from here" in found[0].advice


def test_one_server_that_refuses_a_key_stops_the_run() -> None:
    locked = Lookalike(lambda body, number: Reply(status=401, json={}))
    found = go(lambda engine: all_of(engine, [request(i) for i in range(4)]), locked, Lookalike(by_seed))
    assert any("SIPF_API_KEY" in getattr(one, "advice", "") and not isinstance(one, ServerGone) for one in found)
