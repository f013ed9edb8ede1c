"""The trusted side against an untrusted end that answers what it likes: no crash, no hang, no false pass."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.sandbox.judge import Check
from evals.sandbox.wire import Channel, Closed, Violation, encode

TESTS = {"code": "assert solve(2) == 4\nassert solve(3) == 9", "names": ["solve"]}
Answer = Callable[[int, Any], bytes]
"""From the number of a request and the request to the bytes that are sent back."""


@contextmanager
def guest(answer: Answer, first: bytes, patience: float) -> Iterator[Channel]:
    """A channel whose other end sends `first`, answers each request, and hangs up after some seconds without one."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            theirs.sendall(first)
            channel = Channel(theirs.fileno())
            for number in range(10):
                if not select.select([theirs], [], [], patience)[0]:
                    return
                try:
                    theirs.sendall(answer(number, channel.receive()))
                except (OSError, Closed, Violation):
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield Channel(ours.fileno())
    thread.join()


def frame(value: Any) -> bytes:
    data = encode(value)
    return struct.pack(">I", len(data)) + data


def truthful(number: int, request: Any) -> bytes:
    what, identity, *rest = request
    if what == "program":
        return frame(("return", identity, None, {}))
    return frame(("return", identity, rest[1][0] ** 2, {}))


def judged(answer: Answer, first: bytes = b"", tests: dict[str, Any] = TESTS, patience: float = 5) -> str:
    with guest(answer, first, patience) as channel:
        return Check(channel, tests).run("the program")["outcome"]


def test_right_answers_pass() -> None:
    assert judged(truthful) == "passed"


@pytest.mark.parametrize("replies", [1, 2])
def test_a_program_that_ends_between_two_questions_has_crashed(replies: int) -> None:
    ours, theirs = socket.socketpair()
    done = threading.Event()

    def serve() -> None:
        with theirs:
            channel = Channel(theirs.fileno())
            for number in range(replies):
                theirs.sendall(truthful(number, channel.receive()))
        done.set()

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        asserts = str(TESTS["code"]).splitlines()
        asserts.insert(replies - 1, "done.wait()")
        check = Check(Channel(ours.fileno()), {**TESTS, "code": "\n".join(asserts)})
        check.space["done"] = done
        assert check.run("the program")["outcome"] == "crash"
    thread.join()


@given(st.integers(0, 2), st.binary(max_size=100))
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_never_pass(turn: int, noise: bytes) -> None:
    def answer(number: int, request: Any) -> bytes:
        return noise if number == turn else truthful(number, request)

    assert judged(answer, patience=0.02) != "passed"


@given(st.binary(min_size=1, max_size=100))
@settings(max_examples=100, deadline=None)
def test_bytes_before_the_first_request_never_pass(noise: bytes) -> None:
    assert judged(truthful, noise, patience=0.02) != "passed"


@given(st.integers(0, 2), st.integers(0, 200), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_a_damaged_reply_passes_only_if_it_says_the_same(turn: int, place: int, flip: int) -> None:
    """One byte of one reply is changed: whatever still passes changed the loading's value, which nobody looks at."""
    changed: list[tuple[int, int]] = []

    def answer(number: int, request: Any) -> bytes:
        data = bytearray(truthful(number, request))
        if number == turn:
            at = place % len(data)
            changed.append((number, data[at]))
            data[at] ^= flip
        return bytes(data)

    assert judged(answer, patience=0.02) != "passed" or changed == [(0, ord("N"))]


REPLIES = st.tuples(
    st.sampled_from(["return", "raise", "object", "same", "passed", "", None, True]),
    st.sampled_from(["right", "wrong", "old", None, True]),
    st.one_of(st.none(), st.integers(5, 8), st.text(max_size=5), st.lists(st.integers(), max_size=2)),
    st.one_of(st.just({}), st.dictionaries(st.integers(), st.lists(st.integers(), max_size=2), min_size=1, max_size=2)),
    st.lists(st.text(max_size=3), max_size=2),
)


@given(REPLIES, st.integers(1, 2))
@settings(max_examples=200, deadline=None)
def test_forged_replies_never_pass(forged: tuple[Any, ...], turn: int) -> None:
    identities: list[bytes] = []

    def answer(number: int, request: Any) -> bytes:
        identities.append(request[1])
        if number != turn:
            return truthful(number, request)
        kind, whose, value, changed, rest = forged
        identity = {"right": request[1], "wrong": os.urandom(16), "old": identities[0]}.get(str(whose), whose)
        return frame((kind, identity, value, changed, *rest))

    assert judged(answer) != "passed"


@given(st.integers(0, 2))
@settings(max_examples=6, deadline=None)
def test_a_reply_sent_twice_never_passes(turn: int) -> None:
    outcome = judged(lambda number, request: truthful(number, request) * (2 if number == turn else 1))
    assert outcome == "forbidden"


def test_ids_are_never_the_same() -> None:
    seen: list[bytes] = []

    def answer(number: int, request: Any) -> bytes:
        seen.append(request[1])
        return truthful(number, request)

    for _ in range(20):
        judged(answer)
    assert len(set(seen)) == 60
    assert all(type(identity) is bytes and len(identity) == 16 for identity in seen)


@pytest.mark.parametrize(
    ("code", "truth", "expected"),
    [
        ("assert solve(2)", True, "passed"),
        ("assert not solve(2)", False, "passed"),
        ("assert solve(2) is not None", True, "passed"),
        ("assert solve(2)", False, "wrong"),
        ("assert solve(2) == 4", True, "wrong"),
        ("assert solve(2) == solve(2)", True, "wrong"),
        ("assert 4 == solve(2) or solve(2) is True or solve(2) in [4]", True, "wrong"),
        ("assert abs(solve(2) - 4) < 1", True, "wrong"),
        ("assert len(solve(2)) == 4", True, "wrong"),
        ("assert solve(solve(2)) == 4", True, "wrong"),
    ],
)
def test_an_object_of_the_program_is_true_or_false_and_equals_nothing(code: str, truth: bool, expected: str) -> None:
    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("object", request[1], "Match", truth, {}))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) == expected


@pytest.mark.parametrize("number", [0, 1, 2])
def test_silence_is_a_crash(number: int) -> None:
    def answer(turn: int, request: Any) -> bytes:
        if turn == number:
            raise OSError
        return truthful(turn, request)

    assert judged(answer) == "crash"


def test_arguments_are_changed_in_place() -> None:
    code = """
from collections import deque
class Kept(list): pass
inner = [1]
given = [[inner, 2], Kept([1]), {"a": 1}, {1}, deque([1]), [3, 1]]
solve(*given, key=(named := [0]))
assert given == [[[9], 2], [5, 6], {"b": 2}, {7}, deque([8]), []]
assert inner == [9] and type(given[1]) is Kept and named == [4]
"""
    changed = {0: [[9], 2], 1: [5, 6], 2: {"b": 2}, 3: {7}, 4: __import__("collections").deque([8]), 5: [], "key": [4]}

    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("return", request[1], None, changed))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) == "passed"


@pytest.mark.parametrize(
    ("place", "expected"), [(0, "passed"), ("key", "wrong"), (2, "forbidden"), ("no", "forbidden")]
)
def test_an_argument_that_is_returned_is_the_argument(place: int | str, expected: str) -> None:
    code = "a, b = [3, 1], [2]\nassert solve(a, 7, 'x', key=b) is a and a == [1, 3]"

    def answer(number: int, request: Any) -> bytes:
        if number == 0:
            return truthful(0, request)
        return frame(("same", request[1], place, {0: [1, 3]}))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) == expected


def test_what_a_tuple_holds_is_changed_in_place() -> None:
    code = "inner = [1]\na = (inner, 5, ([2],))\nsolve(a)\nassert a == ([1, 4], 5, ([3],)) and inner == [1, 4]"

    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("return", request[1], None, {0: ([1, 4], 6, ([3],))}))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) == "passed"


@pytest.mark.parametrize("changed", [{0: 5}, {1: [1]}, {-1: [1]}, {"x": [1]}, {0: (1,)}, {None: [1]}, {0: {1}}])
def test_only_containers_that_were_given_can_be_changed(changed: dict[Any, Any]) -> None:
    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("return", request[1], 4, changed))

    assert judged(answer, tests={"code": "assert solve([2]) == 4", "names": ["solve"]}) == "forbidden"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ValueError", "passed"), ("KeyError", "exception"), ("UnicodeDecodeError", "exception"), ("Mine", "exception"),
        ("BaseException", "exception"), ("print", "exception"), ("AssertionError", "exception"), ("", "exception"),
    ],
)  # fmt: skip
def test_an_exception_of_the_program_arrives_as_the_built_in_one(name: str, expected: str) -> None:
    code = "try:\n    solve(1)\nexcept ValueError:\n    pass\nelse:\n    assert False"

    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("raise", request[1], "exception", name, "text"))

    # UnicodeDecodeError is a ValueError, but cannot be made from a message alone.
    assert judged(answer, tests={"code": code, "names": ["solve"]}) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("StopIteration", "assert all(map(lambda x: solve(x) == x * x, [2, 3]))"),
        ("StopIteration", "for got, want in zip(map(solve, [2, 3]), [4, 9]):\n    assert got == want"),
        ("StopIteration", "try:\n    assert all(map(lambda x: solve(x) == x * x, [2, 3]))\nfinally:\n    pass"),
        ("StopAsyncIteration", "try:\n    solve(2)\nexcept StopAsyncIteration:\n    pass"),
        ("IndexError", "class Items:\n    def __getitem__(self, i): return solve(i) == i\nassert all(Items())"),
        ("AttributeError", "class It:\n    ok = property(lambda it: solve(2) == 4)\nassert getattr(It(), 'ok', True)"),
    ],
)
def test_an_exception_that_the_language_itself_swallows_does_not_pass(name: str, code: str) -> None:
    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("raise", request[1], "exception", name, "text"))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) == "exception"


@pytest.mark.parametrize("kind", ["end", "memory", "forbidden", "syntax", "value"])
def test_what_ends_the_program_cannot_be_caught(kind: str) -> None:
    code = "try:\n    solve(1)\nexcept BaseException:\n    pass"

    def answer(number: int, request: Any) -> bytes:
        return truthful(0, request) if number == 0 else frame(("raise", request[1], kind, "SystemExit", ""))

    assert judged(answer, tests={"code": code, "names": ["solve"]}) != "passed"


@pytest.mark.parametrize(
    "tests",
    [
        {"code": "assert solve(", "names": ["solve"]},
        {"code": "assert sovle(2) == 4", "names": ["solve"]},
        {"code": "assert solve(2) == 4", "names": ["solve"], "prelude": "import nothing_of_this_name"},
        {"code": "assert solve(print) == 4", "names": ["solve"]},
        {"code": "def chekc(candidate): pass", "names": ["solve"], "entry_point": "solve"},
    ],
    ids=["syntax", "unknown name", "import", "no plain data", "no check"],
)
def test_tests_that_are_at_fault_are_not_held_against_the_program(tests: dict[str, Any]) -> None:
    assert judged(truthful, tests=tests) == "tests"


def test_a_name_that_is_missing_over_a_wrong_value_is_the_programs_fault() -> None:
    code = "if solve(2) == 5:\n    found = True\nassert found"
    assert judged(truthful, tests={"code": code, "names": ["solve"]}) == "wrong"
