"""The wire format: what is plain data crosses as it is, and no bytes whatever do harm."""

from __future__ import annotations

import collections
import enum
import math
import os
import socket
import struct
import threading
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.sandbox.wire import MAX_BYTES, MAX_DEPTH, Channel, Closed, Refused, Violation, decode, encode

HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**4000), 2**4000)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=10,
)
RANGES = st.builds(range, st.integers(), st.integers(), st.integers().filter(bool))
PLAIN = st.recursive(
    HASHABLE | st.floats() | RANGES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(deque)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=5)
        | st.sets(HASHABLE, max_size=5)
    ),
    max_leaves=20,
)


def same(a: Any, b: Any) -> bool:
    """Equal, of equal types all the way down, NaN equal to itself, and zeros of the same sign."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return bool(a == b)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_arbitrary_bytes_are_a_value_or_a_violation(data: bytes) -> None:
    try:
        value = decode(data)
    except Violation:
        return
    assert same(decode(encode(value)), value)


@given(PLAIN, st.data())
@settings(max_examples=300)
def test_damaged_bytes_are_a_value_or_a_violation(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(encoded) - 1))
        encoded[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut]), bytes(encoded) + b"N"):
        try:
            decode(damaged)
        except Violation:
            continue


def test_nothing_with_methods_of_its_own_arrives() -> None:
    class Sly(int):
        __eq__ = lambda self, other: True  # type: ignore[assignment]  # noqa: E731  # what an attack looks like
        __hash__ = int.__hash__

    class Color(enum.IntEnum):
        RED = 3

    point = collections.namedtuple("point", "x y")  # the untyped form is what programs write
    for value, plain in (
        (Sly(5), 5),
        (Color.RED, 3),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (point(1, 2), (1, 2)),
        ([Sly(1)], [1]),
        ({Sly(1): Sly(2)}, {1: 2}),
    ):
        assert same(decode(encode(value)), plain)


class Claims:
    """It says that it is an integer."""

    __class__ = int  # type: ignore[assignment]  # what an attack looks like


@pytest.mark.parametrize(
    "value",
    [object(), len, int, (i for i in "ab"), iter([1]), Claims(), [object()], {1: len}],
    ids=lambda v: type(v).__name__,
)
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises(Refused):
        encode(value)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_capped_at_both_ends() -> None:
    assert decode(encode(nested(MAX_DEPTH - 1)))
    with pytest.raises(Refused):
        encode(nested(MAX_DEPTH + 1))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Refused):
        encode(endless)
    with pytest.raises(Violation):
        decode(b"l\0\0\0\1" * 100_000 + b"N")


@pytest.mark.parametrize(
    "value",
    ["x" * (MAX_BYTES + 1), b"x" * (MAX_BYTES + 1), 1 << 8 * MAX_BYTES, [0] * MAX_BYTES],
    ids=["str", "bytes", "int", "list"],
)
def test_size_is_capped_before_anything_is_built(value: Any) -> None:
    with pytest.raises(Refused):
        encode(value)


def test_a_value_that_grows_when_written_is_refused_early() -> None:
    value: list[Any] = [0]
    for _ in range(60):
        value = [value] * 10
    with pytest.raises(Refused):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"X", b"NN", b"i\0\0\0\0", b"i\0\0\0\5\1", b"s\0\0\0\1\xff", b"l\xff\xff\xff\xff", b"f\0",
        b"S\0\0\0\1l\0\0\0\0", b"d\0\0\0\1l\0\0\0\0N", b"d\0\0\0\1N", b"r" + b"i\0\0\0\1\0" * 3, b"rNNN",
        b"N" * (MAX_BYTES + 6),
    ],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_malformed_bytes_are_violations(data: bytes) -> None:
    with pytest.raises(Violation):
        decode(data)


@given(st.binary(max_size=64))
def test_a_channel_reads_values_violations_or_the_end(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        channel = Channel(ours.fileno())
        try:
            while True:
                channel.receive()
        except (Closed, Violation):
            pass


def test_a_channel_refuses_a_frame_that_announces_too_much() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\xff\xff\xff\xff")
        with pytest.raises(Violation):
            Channel(ours.fileno()).receive()


def test_large_frames_cross_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        value = os.urandom(MAX_BYTES - 100)
        sender = threading.Thread(target=Channel(theirs.fileno()).send, args=(value,))
        sender.start()
        assert Channel(ours.fileno()).receive() == value
        sender.join()
        assert Channel(ours.fileno()).quiet()
