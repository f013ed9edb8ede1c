"""The server engine against servers that behave, and against servers that do not."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from evals.datasets import code_file
from evals.errors import ModelError, UsageError
from evals.records import Problem
from stages.engines.base import Completion, Draw, Request, generate
from stages.engines.server import client, replies
from stages.engines.server.client import RetryingClient, ServerGone
from stages.engines.server.engine import ServerEngine, base_url
from stages.runs.faults import ProblemFailed
from tests.models import build_tokenizer
from tests.stages.engines.lookalike import Lookalike, Reply, said, wrote


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly."""
    monkeypatch.setattr(client, "FIRST", 0.01)


def problem(i: int = 0) -> Problem:
    question = f"Tom has {i} apples and buys 2 more. How many are there?"
    return Problem.model_validate({"id": f"p{i}", "task": "chain", "question": question, "answer": "4"})


def request(i: int = 0, draws: int = 1, **more: Any) -> Request:
    made = tuple(Draw(2**63 - 1 - i * 100 - number, 1.0) for number in range(draws))
    return Request(problem(i), made, **{"max_tokens": 20, "stop": ("Question:",), **more})


def ask(
    server: Lookalike,
    *requests: Request,
    timeout: float = 60.0,
    retries: int = 4,
    key: str | None = None,
    concurrency: int = 8,
    engine_of: Callable[[RetryingClient], ServerEngine] | None = None,
) -> list[Any]:
    """The completions of each request, or the error it ended with; `server.engine` is the engine that was used."""

    async def go() -> list[Any]:
        caller = RetryingClient(server.url, concurrency=concurrency, timeout=timeout, retries=retries, key=key)
        engine = engine_of(caller) if engine_of else ServerEngine(caller, "m1")
        server.engine = engine
        try:
            return await asyncio.gather(*[generate(engine, one) for one in requests], return_exceptions=True)
        finally:
            await engine.close()

    return asyncio.run(go())


def by_seed(body: dict[str, Any], _number: int) -> Reply:
    return wrote(f"seed {body['seed']}")


def test_draws_come_in_order_with_their_seeds_however_late_each_answer_is() -> None:
    def late_first(body: dict[str, Any], number: int) -> Reply:
        return Reply(by_seed(body, number), delay=0.2 if body["seed"] % 100 > 5 else 0.0)

    asked = [request(i, 6) for i in range(3)]
    with Lookalike(late_first) as server:
        answers = ask(server, *asked, concurrency=32)
    for one, row in zip(asked, answers, strict=True):
        assert [c.seed for c in row] == [draw.seed for draw in one.draws]
        assert [c.text for c in row] == [f"seed {draw.seed}" for draw in one.draws]
    body = server.bodies[0]
    assert body["prompt"] == f"Question: {asked[0].problem.question}\nAnswer:\n"
    assert {key: body[key] for key in ("model", "temperature", "top_p", "max_tokens", "stop")} == {
        "model": "m1", "temperature": 1.0, "top_p": 1.0, "max_tokens": 20, "stop": ["Question:"],
    }  # fmt: skip
    assert server.engine.spent()["completions"] == 18
    assert server.engine.spent()["tokens"] == 36


def test_no_more_requests_are_open_than_allowed_and_a_full_engine_is_not_hungry() -> None:
    hungry = []

    def slow(body: dict[str, Any], number: int) -> Reply:
        hungry.append(server.engine.hungry())
        return Reply(by_seed(body, number), delay=0.03)

    with Lookalike(slow) as server:
        ask(server, *(request(i, 8) for i in range(4)), concurrency=3)
        assert server.engine.hungry()
    assert server.most == 3
    assert not hungry[0]


def test_a_stream_that_may_be_closed_asks_for_one_draw_after_the_other() -> None:
    async def two_of_eight(server: Lookalike) -> list[Completion]:
        engine, got = ServerEngine(RetryingClient(server.url), "m1"), []
        async with aclosing(engine.stream(request(0, 8))) as draws:
            async for completion in draws:
                got.append(completion)
                if len(got) == 2:
                    break
        await engine.close()
        return got

    with Lookalike(by_seed) as server:
        assert len(asyncio.run(two_of_eight(server))) == 2
    assert len(server.bodies) == 2


def test_a_prefix_is_continued_and_stop_strings_are_cut_even_if_the_server_does_not() -> None:
    with Lookalike(lambda body, _: wrote("72-5=67\nQuestion: What", "length")) as server:
        ((answer,),) = ask(server, request(prefix="40+32=72\n"))
    assert server.bodies[0]["prompt"].endswith("\nAnswer:\n40+32=72\n")
    assert (answer.text, answer.finish) == ("72-5=67\n", "stop")


def test_chat_leaves_the_turn_open_where_a_prefix_is_continued() -> None:
    def chat(caller: RetryingClient) -> ServerEngine:
        return ServerEngine(caller, "m1", template="chat")

    with Lookalike(lambda body, _: said("The answer is 4")) as server:
        answers = ask(server, request(), request(prefix="2+2=4\n"), engine_of=chat)
    assert [row[0].text for row in answers] == ["The answer is 4"] * 2
    assert server.paths == ["/v1/chat/completions"] * 2
    fresh, going_on = sorted(server.bodies, key=lambda body: len(body["messages"]))
    assert fresh["messages"] == [{"role": "user", "content": problem().question}]
    assert "continue_final_message" not in fresh
    assert going_on["messages"][-1] == {"role": "assistant", "content": "2+2=4\n"}
    assert going_on["continue_final_message"] is True
    assert going_on["add_generation_prompt"] is False


def test_a_chat_model_is_not_stopped_at_the_first_line_of_its_fenced_program() -> None:
    row = {"prompt": "def add(a, b):\n", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
    code = code_file.problem(row, "mine/0")
    asked = Request(code, (Draw(1, 0.0),), max_tokens=20, stop=("\ndef",))
    with Lookalike(lambda body, _: said("Here:\n```python\ndef add(a, b):\n    return a + b\n```")) as server:
        ((answer,),) = ask(server, asked, engine_of=lambda caller: ServerEngine(caller, "m1", template="chat"))
    assert "stop" not in server.bodies[0]
    assert answer.text.endswith("```")


def test_with_a_tokenizer_prompts_are_ids_and_end_where_the_model_does() -> None:
    tokenizer = build_tokenizer("llama")

    def exact(caller: RetryingClient) -> ServerEngine:
        return ServerEngine(caller, "m1", tokenizer=tokenizer)

    prompt = f"Question: {problem().question}\nAnswer:\n"
    ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    models = {"data": [{"id": "other", "max_model_len": 1}, {"id": "m1", "max_model_len": len(ids) + 7}]}
    with Lookalike(by_seed, models) as server:
        short, full = ask(server, request(), request(prefix="a long prefix of many words\n"), engine_of=exact)
    assert [body["prompt"] for body in server.bodies] == [ids]
    assert server.bodies[0]["max_tokens"] == 7
    assert short[0].text.startswith("seed")
    assert (full[0].text, full[0].tokens, full[0].finish) == ("", 0, "length")


def test_likelihoods_are_read_from_the_echo() -> None:
    tokenizer = build_tokenizer("llama")

    def echo(body: dict[str, Any], _number: int) -> Reply:
        values = [None, *(-0.5 * i for i in range(1, len(body["prompt"]) + 1))]
        choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": {"token_logprobs": values}}
        return Reply(json={"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    async def go(server: Lookalike) -> list[float]:
        engine = ServerEngine(RetryingClient(server.url), "m1", tokenizer=tokenizer)
        try:
            return await engine.loglikelihood(problem(), ["A", "72-5"])
        finally:
            await engine.close()

    with Lookalike(echo) as server:
        found = asyncio.run(go(server))
    for value, body in zip(found, sorted(server.bodies, key=lambda body: len(body["prompt"])), strict=True):
        assert body["echo"] is True
        start = len(tokenizer(f"Question: {problem().question}\nAnswer:\n")["input_ids"])
        assert value == pytest.approx(sum(-0.5 * i for i in range(start, len(body["prompt"]))))


FIRST_TRIES: dict[str, Reply] = {
    "500": Reply(status=500, raw=b"<html>oops</html>"),
    "503": Reply(status=503, json={"error": {"message": "loading"}}),
    "429": Reply(status=429, json={"error": {"message": "slow down"}}),
    "dropped": Reply(drop=True),
    "too slow": Reply(json={}, delay=3.0),
    "no JSON": Reply(raw=b'{"choices": [{"te'),
    "no choices": Reply(json={"choices": []}),
    "no text": Reply(json={"choices": [{"finish_reason": "stop"}], "usage": {}}),
    "given up": Reply(json={"choices": [{"text": "4", "finish_reason": "abort"}]}),
    "200 with an error": Reply(json={"error": "Unexpected endpoint or method."}),
    "a list": Reply(json=["what"]),
    "nested without end": Reply(raw=b"[" * 100_000),
    "no number that Python reads": Reply(raw=b'{"choices": [{"text": "4"}], "usage": ' + b"9" * 5_000 + b"}"),
    "badly packed": Reply(raw=b"{}", headers={"Content-Encoding": "gzip"}),
    "too large": Reply(raw=b" " * 40_000 + b"{}"),
    "too large when it is unpacked": Reply(raw=gzip.compress(b" " * 40_000), headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("kind", FIRST_TRIES)
def test_what_passes_is_tried_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "LARGEST", 30_000)
    with Lookalike(lambda body, number: FIRST_TRIES[kind] if number < 2 else by_seed(body, number)) as server:
        ((answer,),) = ask(server, request(), timeout=1.0 if kind == "too slow" else 60.0)
    assert answer.text.startswith("seed")
    assert [body["seed"] for body in server.bodies] == [answer.seed] * 3
    assert server.engine.spent()["requests tried again"] == 2


def test_an_answer_that_comes_byte_by_byte_without_end_is_given_up() -> None:
    served = set()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    async def go() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        caller = RetryingClient(f"http://127.0.0.1:{port}/v1", timeout=0.3, retries=0)
        try:
            with pytest.raises(ServerGone, match=r"no whole answer within 0\.3 seconds"):
                await caller.post("/completions", {"prompt": "x"}, lambda said: said)
        finally:
            await caller.close()
            server.close()
            await asyncio.gather(*served)

    asyncio.run(asyncio.wait_for(go(), 30))


def test_the_key_is_taken_out_before_what_a_server_says_is_cut() -> None:
    key = "sk-" + "k" * 40
    refusal = Reply(status=401, json={"error": {"message": f"{'x' * 290} {key} is no key"}})
    with Lookalike(lambda _body, _number: refusal) as server:
        (error,) = ask(server, request(), key=key)
    assert "xxx [key]" in error.message
    assert "sk-" not in error.message


@pytest.mark.parametrize("given", [[], [None], {"token_logprobs": [None, *([10**400] * 99)]}, {"token_logprobs": {}}])
def test_an_echo_without_numbers_is_no_likelihood(given: Any) -> None:
    reply = Reply(json={"choices": [{"text": "", "finish_reason": "length", "logprobs": given}]})

    async def go(server: Lookalike) -> None:
        engine = ServerEngine(RetryingClient(server.url, retries=0), "m1", tokenizer=build_tokenizer("llama"))
        try:
            with pytest.raises(ServerGone, match="does not echo"):
                await engine.loglikelihood(problem(), ["A"])
        finally:
            await engine.close()

    with Lookalike(lambda _body, _number: reply) as server:
        asyncio.run(go(server))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_holds_everybody_back(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on only while the client sleeps."""
    now, sleep, asked_at = 0.0, asyncio.sleep, list[float]()

    async def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds
        await sleep(0)

    def busy_once(body: dict[str, Any], number: int) -> Reply:
        asked_at.append(now)
        if number:
            return by_seed(body, number)
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=250), usegmt=True)
        return Reply(status=429, json={}, headers={"Retry-After": "250" if form == "seconds" else later})

    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(client, "asyncio", SimpleNamespace(sleep=pass_time, Semaphore=asyncio.Semaphore))
    with Lookalike(busy_once) as server:
        answers = ask(server, request(0), request(1, 3), concurrency=1)
    assert all(isinstance(row, list) for row in answers)
    # a date is that of another clock, which goes on while the test runs
    assert min(asked_at[1:]) - asked_at[0] >= (250 if form == "seconds" else 150)


def test_a_pause_of_hours_stops_the_run() -> None:
    with Lookalike(lambda *_: Reply(status=429, json={}, headers={"Retry-After": "7200"})) as server:
        (error,) = ask(server, request())
    assert isinstance(error, ModelError)
    assert "7200 seconds" in error.message


def test_a_busy_server_that_serves_others_is_waited_for_beyond_the_number_of_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "FIRST", 0.1)
    refused = []

    def unfair(body: dict[str, Any], number: int) -> Reply:
        if "has 0 apples" in body["prompt"] and len(refused) < 6:
            refused.append(number)
            return Reply(status=429, json={})
        return Reply(by_seed(body, number), delay=0.01)

    async def go(server: Lookalike) -> list[Completion]:
        engine = ServerEngine(RetryingClient(server.url, concurrency=4, retries=2), "m1")
        others = asyncio.ensure_future(one_by_one(engine, request(1, 1000)))
        first = await generate(engine, request(0))
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        await engine.close()
        return first

    async def one_by_one(engine: ServerEngine, asked: Request) -> list[Completion]:
        return [completion async for completion in engine.stream(asked)]

    with Lookalike(unfair) as server:
        (first,) = asyncio.run(go(server))
    assert len(refused) == 6
    assert first.text.startswith("seed")


def test_one_problem_that_breaks_the_server_fails_alone() -> None:
    def poisoned(body: dict[str, Any], number: int) -> Reply:
        if "has 0 apples" in body["prompt"]:
            return Reply(status=500, json={"error": {"message": "assertion failed"}})
        return Reply(by_seed(body, number), delay=0.01)

    with Lookalike(poisoned) as server:
        first, *others = ask(server, *(request(i, 12) for i in range(6)), retries=2, concurrency=16)
    assert isinstance(first, ProblemFailed)
    assert "assertion failed" in first.message
    assert all(isinstance(row, list) for row in others)


def test_one_problem_that_is_refused_fails_alone_and_at_once() -> None:
    def too_long(body: dict[str, Any], number: int) -> Reply:
        if "has 1 apples" in body["prompt"]:
            return Reply(status=400, json={"error": {"message": "maximum context length is 8 tokens"}})
        return by_seed(body, number)

    with Lookalike(too_long) as server:
        first, second, third = ask(server, request(0), request(1), request(2))
    assert isinstance(second, ProblemFailed)
    assert "maximum context length" in second.message
    assert first[0].text.startswith("seed")
    assert third[0].text.startswith("seed")
    assert len(server.bodies) == 3


def test_a_server_that_refuses_every_request_stops_the_run() -> None:
    with Lookalike(lambda *_: Reply(status=422, json={"detail": "seed is not allowed"})) as server:
        errors = ask(server, *(request(i) for i in range(25)))
    assert any(isinstance(error, ModelError) and "seed is not allowed" in error.message for error in errors)


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "SIPF_API_KEY"), (403, "SIPF_API_KEY"), (404, "--model"), (301, "--url")]
)
def test_what_no_patience_helps_stops_the_run_at_once(status: int, advice: str) -> None:
    with Lookalike(lambda *_: Reply(status=status, json={"error": {"message": "no"}})) as server:
        (error,) = ask(server, request(), key="very-secret")
    assert isinstance(error, ModelError)
    assert advice in error.advice
    assert "very-secret" not in f"{error.message}{error.advice}"
    assert len(server.bodies) == 1
    assert server.headers[0]["Authorization"] == "Bearer very-secret"


@pytest.mark.parametrize("kind", ["endless 503", "nobody there"])
def test_a_server_that_is_gone_stops_the_run(kind: str) -> None:
    server = Lookalike(lambda *_: Reply(status=503, json={}))
    if kind == "nobody there":
        server.server.server_close()
        errors = ask(server, request(0, 3), request(1))
    else:
        with server:
            errors = ask(server, request(0, 3), request(1))
    assert all(isinstance(error, ModelError) for error in errors)
    assert "goes on from here" in errors[0].advice


def test_tries_again_come_ever_later_with_a_jitter_that_hangs_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(client, "FIRST", 0.5)
    monkeypatch.setattr("stages.engines.server.client.asyncio.sleep", noted)
    with Lookalike(lambda *_: Reply(status=500, json={})) as server:
        ask(server, request(), retries=9)
        first, waits = waits, []
        ask(server, request(), retries=9)
    assert waits == first
    assert all(0.5 <= wait / min(30, 0.5 * 2**i) < 1.5 for i, wait in enumerate(first))
    assert len({wait / min(30, 0.5 * 2**i) for i, wait in enumerate(first)}) == len(first) == 9


def test_closing_the_engine_ends_open_streams_with_an_error() -> None:
    async def go(server: Lookalike) -> None:
        engine = ServerEngine(RetryingClient(server.url), "m1")
        taker = asyncio.ensure_future(anext(engine.stream(request())))
        await asyncio.to_thread(server.asked.wait, 60)
        await engine.close()
        with pytest.raises(ModelError, match="closed"):
            await asyncio.wait_for(taker, 60)

    with Lookalike(lambda body, number: Reply(by_seed(body, number), delay=0.3)) as server:
        asyncio.run(go(server))


def test_the_address_is_checked() -> None:
    assert base_url("http://localhost:8000") == "http://localhost:8000/v1"
    assert base_url("https://api.example.com/openai/v1/") == "https://api.example.com/openai/v1"
    for bad in ("localhost:8000", "ftp://host/v1", "http://", "http://[::1"):
        with pytest.raises(UsageError, match="no http"):
            base_url(bad)
    with pytest.raises(UsageError, match="must not hold a key"):
        base_url("https://me:sk-1@example.com/v1")
