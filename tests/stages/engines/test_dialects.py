"""Doubles of the servers that speak OpenAI's completions, each as its documentation or source says it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evals.errors import ModelError
from stages.engines.base import Draw, Request
from stages.engines.server import client
from stages.engines.server.client import RetryingClient
from stages.engines.server.dialect import Dialect, read_answer
from stages.engines.server.engine import ServerEngine
from stages.engines.server.replies import Malformed
from stages.runs.faults import ProblemFailed
from tests.models import build_tokenizer
from tests.stages.engines.lookalike import Lookalike, Reply, wrote
from tests.stages.engines.test_server import ask, problem, request

Answers = Callable[[dict[str, Any], int], Reply]
TEXT = "2+2=4\nThe answer is 4"
STOPS = ("Question:", "\nQ:", "</s>", "<|im_end|>", "\nHuman:", "\n\n\n")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other quickly."""
    monkeypatch.setattr(client, "FIRST", 0.01)


def choice(body: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    """A choice of /completions or /chat/completions, whichever was asked."""
    said = {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
    return {"index": 0, **said, "finish_reason": "stop", **more}


def counted(**more: Any) -> dict[str, Any]:
    return {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21, **more}


def refused(message: str, **more: Any) -> Reply:
    return Reply(status=400, json={"error": {"message": message, "type": "invalid_request_error", **more}})


def openai(body: dict[str, Any], _number: int) -> Reply:
    stop = body.get("stop", [])
    if len(stop) > 4:
        said = f"Invalid 'stop': array too long. Expected an array with maximum length 4, but got {len(stop)} instead."
        return refused(said, param="stop", code="array_above_max_length")
    usage = counted(prompt_tokens_details={"cached_tokens": 4}, completion_tokens_details={"reasoning_tokens": 0})
    return Reply(json={"choices": [choice(body, TEXT, logprobs=None)], "usage": usage})


def openai_reasoning(body: dict[str, Any], number: int) -> Reply:
    hints = {"max_tokens": " Use 'max_completion_tokens' instead.", "stop": "", "top_p": ""}
    for name, hint in hints.items():
        if name in body:
            said = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
            return refused(said, param=name, code="unsupported_parameter")
    assert body["max_completion_tokens"] == 20
    return openai(body, number)


def vllm(body: dict[str, Any], _number: int) -> Reply:
    found = choice(body, TEXT, stop_reason=None, token_ids=None, prompt_logprobs=None)
    return Reply(json={"choices": [found], "usage": counted(prompt_tokens_details=None), "kv_transfer_params": None})


def llama_cpp(body: dict[str, Any], number: int) -> Reply:
    if number == 0:
        return Reply(status=503, json={"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
    timings = {"prompt_n": 12, "predicted_n": 9, "predicted_per_second": 50.0}
    return Reply(json={"choices": [choice(body, TEXT)], "usage": counted(), "timings": timings})


def ollama(body: dict[str, Any], _number: int) -> Reply:
    if "messages" not in body and not isinstance(body["prompt"], str):
        said = "json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string"
        return refused(said, param=None, code=None)
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    found = choice(body, TEXT, finish_reason=None)
    return Reply(json={"choices": [found], "usage": usage, "system_fingerprint": "fp_ollama"})


def lm_studio(body: dict[str, Any], _number: int) -> Reply:
    return Reply(json={"choices": [choice(body, TEXT, logprobs=None)], "usage": counted(), "stats": {}})


def proxy(body: dict[str, Any], _number: int) -> Reply:
    return Reply(json={"choices": [choice(body, TEXT, finish_reason="eos")]})


DIALECTS: dict[str, Answers] = {
    "OpenAI": openai, "OpenAI, reasoning": openai_reasoning, "vLLM": vllm, "llama.cpp": llama_cpp, "Ollama": ollama,
    "LM Studio": lm_studio, "a proxy": proxy,
}  # fmt: skip


@pytest.mark.parametrize("template", ["auto", "chat"])
@pytest.mark.parametrize("name", DIALECTS)
def test_every_server_is_asked_so_that_it_answers(name: str, template: str) -> None:
    def engine(caller: RetryingClient) -> ServerEngine:
        return ServerEngine(caller, "m1", template=template)

    asked = [request(i, 2, stop=STOPS) for i in range(2)]
    with Lookalike(DIALECTS[name]) as server:
        answers = ask(server, *asked, engine_of=engine)
    for row in answers:
        assert [(one.text, one.finish) for one in row] == [(TEXT, "stop")] * 2
        assert all(one.tokens == (6 if name in ("Ollama", "a proxy") else 9) for one in row)
    assert all(body.get("stop", list(STOPS[:4])) == list(STOPS[:4]) for body in server.bodies)


def test_text_is_cut_at_the_first_of_all_stop_strings_also_those_that_are_not_sent() -> None:
    with Lookalike(lambda body, _: wrote("a\nHuman: b</s>", "length")) as server:
        ((answer,),) = ask(server, request(stop=STOPS))
    assert (answer.text, answer.finish) == ("a", "stop")


def test_what_a_server_does_not_take_is_learnt_once_and_counted() -> None:
    with Lookalike(openai_reasoning) as server:
        ask(server, request(0), concurrency=1)
        first = len(server.bodies)
        ask(server, *(request(i) for i in range(5)), concurrency=1)
    assert first == 4
    assert len(server.bodies) == first + 3 + 5
    spent = server.engine.spent()
    assert spent["requests tried again"] == 0
    assert (spent["requests without stop"], spent["requests without top_p"]) == (6, 5)


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        ({"temperature": 0.7}, {"error": {"code": "unsupported_parameter", "param": "temperature"}}),
        ({"top_p": 0.9}, {"error": {"message": "Unsupported parameter: 'top_p'"}}),
        ({"model": "m"}, {"error": {"message": "Unsupported parameter: 'model'"}}),
        ({"seed": 7}, {"error": {"message": "seed must be below 2147483648"}}),
        ({"top_p": 1.0}, ["no"]),
    ],
)
def test_what_would_ask_for_something_else_is_never_left_out(sent: dict[str, Any], refusal: Any) -> None:
    dialect = Dialect()
    assert not dialect.learn(sent, refusal)
    assert dialect.written(sent) == sent


def test_a_field_that_is_forbidden_as_fastapi_says_it_is_left_out() -> None:
    dialect, said = Dialect(), {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "input": 7}]}
    assert dialect.learn({"seed": 7}, said)
    assert dialect.written({"seed": 7, "prompt": "x"}) == {"prompt": "x"}
    assert not dialect.learn({"prompt": "x"}, said)


def reason(finish: Any, tokens: int | None = 3) -> str:
    usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
    return read_answer({"choices": [{"text": "4", "finish_reason": finish}], **usage}, 20).finish


def test_finish_reasons_of_other_servers_are_told_apart() -> None:
    assert {reason(word) for word in ("stop", "eos", "end_turn", "something new", None)} == {"stop"}
    assert {reason(word) for word in ("length", "max_tokens", "content_filter")} == {"length"}
    assert (reason(None, 20), reason("something new", 21), reason("eos", 20)) == ("length", "length", "stop")
    assert reason(None, None) == "stop"
    with pytest.raises(Malformed, match="gave it up"):
        reason("abort")


@pytest.mark.parametrize(
    ("message", "finish", "said"),
    [
        ({"content": None, "reasoning_content": "hm"}, "length", "raise --max-tokens"),
        ({"content": None, "reasoning": "hm"}, "stop", "thoughts only"),
        ({"content": None, "refusal": "I cannot\nhelp"}, "stop", "refuses it: I cannot help"),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", "wrote no answer"),
        ({"content": [{"type": "thinking", "thinking": []}]}, "stop", "wrote no answer"),
    ],
)
def test_a_message_without_text_fails_with_its_reason_and_is_not_asked_for_again(
    message: dict[str, Any], finish: str, said: str
) -> None:
    reply = Reply(json={"choices": [{"message": message, "finish_reason": finish}]})
    with Lookalike(lambda *_: reply) as server:
        (error,) = ask(server, request(), engine_of=lambda caller: ServerEngine(caller, "m1", template="chat"))
    assert isinstance(error, ProblemFailed)
    assert said in error.message
    assert len(server.bodies) == 1


def test_content_in_parts_is_their_text() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    assert read_answer({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}, 9).text == "42"


@pytest.mark.parametrize("exact", [True, False])
def test_tokens_that_the_server_does_not_count_are_counted_here(exact: bool) -> None:
    tokenizer = build_tokenizer("llama") if exact else None
    with Lookalike(proxy) as server:
        ((answer,),) = ask(server, request(), engine_of=lambda caller: ServerEngine(caller, "m1", tokenizer=tokenizer))
    assert answer.tokens == (len(tokenizer(TEXT, add_special_tokens=False)["input_ids"]) if tokenizer else 6)
    assert server.engine.spent()["answers without a token count"] == 1
    assert server.engine.spent()["tokens"] == answer.tokens


@pytest.mark.parametrize(
    ("sort", "template"), [("500", "chat"), ("400", "auto"), ("dropped", "auto"), ("unreadable", "auto")]
)
def test_problems_that_fail_alone_are_told_from_a_server_that_is_gone(sort: str, template: str) -> None:
    """As when a run is resumed: nothing is left but the problems on which the server fails."""
    trouble = {
        "500": Reply(status=500, json={}), "400": refused("too long"), "dropped": Reply(drop=True),
        "unreadable": Reply(raw=b"{"),
    }[sort]  # fmt: skip

    def poisoned(body: dict[str, Any], _number: int) -> Reply:
        if "apples" in str(body):
            return trouble
        return Reply(json={"choices": [choice(body, "4")]})

    asked = [request(i) for i in range(25 if sort == "400" else 2)]
    with Lookalike(poisoned) as server:
        answers = ask(server, *asked, retries=1, engine_of=lambda caller: ServerEngine(caller, "m1", template=template))
    assert all(isinstance(error, ProblemFailed) for error in answers)


def test_a_server_that_does_not_echo_is_no_problems_fault() -> None:
    import asyncio

    async def go(server: Lookalike) -> None:
        engine = ServerEngine(RetryingClient(server.url, retries=1), "m1", tokenizer=build_tokenizer("llama"))
        try:
            await engine.loglikelihood(problem(), ["A"])
        finally:
            await engine.close()

    with Lookalike(llama_cpp) as server, pytest.raises(ModelError, match="does not echo"):
        asyncio.run(go(server))


def test_a_short_prompt_is_asked_for_with_the_same_options() -> None:
    with Lookalike(lambda *_: Reply(status=500, json={})) as server:
        (error,) = ask(server, Request(problem(), (Draw(7, 0.3),), max_tokens=99, stop=("x",)), retries=0)
    assert isinstance(error, ModelError)
    whole, short = server.bodies
    assert short == {**whole, "prompt": "1+1=", "max_tokens": 16}


def test_halves_of_characters_are_replaced_where_text_is_taken_over() -> None:
    half = {"choices": [{"text": "4\ud800", "finish_reason": "stop"}]}
    assert read_answer(half, 9).text == "4\ufffd"
    with pytest.raises(Malformed, match="it says: \ufffd"):
        read_answer({"error": {"message": "\udfff"}}, 9)
    with pytest.raises(ProblemFailed, match="refuses it: \ufffd"):
        read_answer({"choices": [{"message": {"refusal": "\ud800"}}]}, 9)


@pytest.mark.parametrize("reason", [[], {}, ["stop"], 3, True])
def test_a_reason_that_is_no_word_counts_as_none(reason: Any) -> None:
    assert read_answer({"choices": [{"text": "4", "finish_reason": reason}]}, 9).finish == "stop"
