"""What a server answers: nearly right completions, chats, errors and headers, and what is no HTTP at all.

A file is a run of a command against a server that answers every request with something else, or bodies of answers that
are read without a network, which is faster.
"""

from __future__ import annotations

import gzip
import json
import random
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from evals.worlds import chain
from stages.engines.server import client, replies
from stages.engines.server.dialect import Dialect, read_answer
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.runs.faults import ProblemFailed
from tests.fuzz.environment import KNOWN
from tests.fuzz.mutations import ODD, mutated
from tests.fuzz.targets import Target
from tests.stages.engines.lookalike import Lookalike, Reply, wrote
from tests.stages.fakes import chain_problem

COMMANDS = (
    ("sample", "-n", "4"),
    ("sample", "-n", "2", "--template", "chat"),
    ("eval", "-n", "3", "--temperature", "1"),
    ("simulate", "--k", "2"),
    ("sample", "-n", "2", "--tokenizer", "chain-base"),
)
TEXTS = (
    "3+4=7\nThe answer is 7.\n", "", "\n\n", "The answer is \ud800", "The answer is \0", "3+4=7\r\nx\x1e\x85\u2028y",
)  # fmt: skip
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}}
CHOICES: tuple[dict[str, Any], ...] = (
    {"index": 0, "text": TEXTS[0], "finish_reason": "stop", "logprobs": None},
    {"index": 0, "text": TEXTS[0], "finish_reason": "length"},
    {"index": 0, "message": {"role": "assistant", "content": TEXTS[0]}, "finish_reason": None},
    {"message": {"content": [{"type": "text", "text": TEXTS[0]}, {"type": "thinking", "text": "?"}]}},
    {"message": {"content": None, "reasoning_content": "Let me see"}, "finish_reason": "length"},
    {"message": {"content": None, "refusal": "I will not"}, "finish_reason": "stop"},
    {"message": {"content": None, "tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"},
    {"text": "", "finish_reason": "abort"},
)
ERRORS: tuple[dict[str, Any], ...] = (
    {"error": {"message": "Unsupported parameter: 'seed'", "code": "unsupported_parameter", "param": "seed"}},
    {"error": {"message": "use max_completion_tokens"}}, {"error": "model not found"}, {"message": "too long"},
    {"detail": [{"type": "extra_forbidden", "loc": ["body", "stop"], "msg": "Extra inputs"}]}, {"object": "error"},
)  # fmt: skip
STATUS = (200, 200, 200, 400, 422, 413, 429, 500, 503, 204, 206, 301, 302, 401, 404, 418, 599)
AFTER = (
    "0", "0.001", "-1", "nan", "inf", "1e400", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo 1", "\u00b2",
    "Fri, 31 Dec 9999 23:59:59 -2359", "9" * 400,
)  # fmt: skip
TYPES = ("application/json", "text/html; charset=x", "application/json; charset=\xff")
MODELS: tuple[dict[str, Any], ...] = ({"data": [{"id": "any", "max_model_len": 300}]}, {"data": []}, {"object": "list"})


def _seeds() -> list[dict[str, Any]]:
    return [{"id": "c1", "choices": [choice], "usage": USAGE} for choice in CHOICES]


def _use_answers(file: Path) -> None:
    """What the client makes of bodies, without a network."""
    for raw in file.read_bytes().splitlines():
        answer = replies.Reply(200, {}, raw)
        replies.in_short(answer.said()).encode()
        with suppress(replies.Malformed, ProblemFailed):
            Dialect().learn({"seed": 1, "stop": [], "max_tokens": 9, "top_p": 1.0}, answer.json())
            read_answer(answer.json(), 9).text.encode()


def reply(numbers: random.Random) -> Reply:
    """Something that a server might answer."""
    if numbers.random() < 0.3:
        return wrote(numbers.choice(TEXTS))
    status = numbers.choice(STATUS)
    seed = numbers.choice(_seeds() if status == 200 else ERRORS)
    raw = mutated(numbers, seed) if numbers.random() < 0.9 else json.dumps(seed).encode()
    if numbers.random() < 0.05:
        raw = b"[" * numbers.choice((500, 5_000, 500_000))
    headers = {"Content-Type": numbers.choice(TYPES)}
    if numbers.random() < 0.3:
        headers["Retry-After"] = numbers.choice(AFTER)
    if numbers.random() < 0.1:
        packed = gzip.compress(raw)
        headers["Content-Encoding"] = numbers.choice(("gzip", "deflate", "br", "identity", "gzip, gzip", "zstd"))
        raw = numbers.choice((packed, packed[: len(packed) // 2], raw))
    if numbers.random() < 0.03:
        headers["Location"] = numbers.choice(("/v1/completions", "http://[", "file:///etc/passwd"))
    return Reply(status=status, raw=raw, headers=headers, drop=numbers.random() < 0.03)


@cache
def _server() -> Lookalike:
    server = Lookalike(lambda _body, _number: wrote(""))
    client.FIRST = 0.001  # type: ignore[misc]  # seconds between two tries, which add up here
    return server.__enter__()


@dataclass(frozen=True)
class Servers(Target):
    """Runs of commands; an answer is one input."""

    def feed(self, numbers: random.Random, folder: Path) -> int:
        """See `Target.feed`."""
        from sipf_cli.main import app

        server, file, output = _server(), folder / "problems.jsonl", folder / "out.jsonl"
        if not file.exists():
            problems = [*chain.problems("train", 3, 1), chain_problem(id="with paths", paths=[])]
            file.write_text("".join(f"{problem.to_json()}\n" for problem in problems))
        server.answer = lambda _body, _number: reply(numbers)
        server.models = numbers.choice(MODELS if numbers.random() < 0.7 else ODD[:8])
        server.bodies.clear()
        command, *more = numbers.choice(COMMANDS)
        line = [command, str(file), "--engine", "server", "--url", server.url, "-m", "any", *more]
        line += ["--concurrency", "1", "--timeout", "5", "--retries", str(numbers.choice((0, 1)))]
        told = StringIO()
        try:
            with redirect_stdout(told), redirect_stderr(told):
                app([*line, "--overwrite", "-o", str(output)], prog_name="sipf")
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        assert code in KNOWN - {1}, (code, told.getvalue())
        assert "Traceback" not in told.getvalue(), told.getvalue()
        if code == 0:
            bad = BadLines(strict=True)
            assert all(problem is not None for problem in read_problems(str(output), bad))
        return len(server.bodies)


SERVERS = (
    Servers("servers", list, lambda _: None),
    Target("server answers", lambda: [*_seeds(), *ERRORS], _use_answers),
)
