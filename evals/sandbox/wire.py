"""The data that cross between a program and its tests: tagged plain data in frames, nothing else.

    encode([1, "a", {2.5}])  ->  b"l...i...s..."  ->  decode(...)  ->  [1, "a", {2.5}]

Plain data is None, bool, int, float (with inf and nan), complex, str, bytes, tuple, list, set, frozenset, dict, range
and deque. A subclass is converted to its plain base type, so nothing with its own methods arrives. Every other object
is refused (if a call returns one, only its truth value arrives: `judge.Opaque`). Both ends run this module, and the
trusted end assumes that the bytes are an attack: sizes and depth are capped before anything is built, and anything that
is not exactly well-formed is a `Violation`.

A frame is its length in four bytes, big-endian, and then one encoded value.
"""

from __future__ import annotations

import os
import select
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

MAX_BYTES = 4 << 20
"""The largest frame, in bytes."""
MAX_DEPTH = 100
"""How deep containers may nest."""
MUTABLE = (list, dict, set, deque)
"""Arguments of these types, and of what is in a tuple, are sent back if the program has changed them."""

_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct(">d")
_COMPLEX = struct.Struct(">dd")


class Refused(Exception):
    """A value that is not plain data, or is too large or nested too deeply to cross."""


class Violation(Exception):
    """Bytes that are not a message of this protocol, or a message that was not asked for."""


class Closed(Exception):
    """The other end is closed."""


def encode(value: object) -> bytes:
    """The bytes of one value.

    Raises:
        Refused: it, or something in it, is not plain data; or it is too large or nested too deeply.
    """
    out = bytearray()
    _put(out, value, 0)
    return bytes(out)


def _put(out: bytearray, value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused(f"a value nested more than {MAX_DEPTH} deep")
    if len(out) > MAX_BYTES:
        raise Refused(f"a value of more than {MAX_BYTES} bytes")
    kind = type(value)
    put = _WRITERS.get(kind)
    if put is None:
        # The real bases, not what `__class__` claims; bool has no subclasses and int must not catch it.
        put = next((_WRITERS[base] for base in type.mro(kind) if base in _WRITERS), None)
        if put is None:
            raise Refused(f"an object of type {type.__getattribute__(kind, '__name__')}, which is not plain data")
    put(out, value, depth + 1)


def _none(out: bytearray, value: Any, depth: int) -> None:
    out += b"N"


def _bool(out: bytearray, value: Any, depth: int) -> None:
    out += b"T" if value else b"F"


def _int(out: bytearray, value: Any, depth: int) -> None:
    size = int.bit_length(value) // 8 + 1
    if size > MAX_BYTES:
        raise Refused(f"a value of more than {MAX_BYTES} bytes")
    _sized(out, b"i", int.to_bytes(value, size, "big", signed=True))


def _float(out: bytearray, value: Any, depth: int) -> None:
    out += b"f" + _FLOAT.pack(value)


def _complex(out: bytearray, value: Any, depth: int) -> None:
    plain = complex.__pos__(value)
    out += b"c" + _COMPLEX.pack(plain.real, plain.imag)


def _str(out: bytearray, value: Any, depth: int) -> None:
    if str.__len__(value) > MAX_BYTES:
        raise Refused(f"a value of more than {MAX_BYTES} bytes")
    _sized(out, b"s", str.encode(value, "utf-8", "surrogatepass"))


def _bytes(out: bytearray, value: Any, depth: int) -> None:
    _sized(out, b"b", bytes.__getitem__(value, slice(None)))


def _range(out: bytearray, value: Any, depth: int) -> None:
    out += b"r"
    for part in (value.start, value.stop, value.step):
        _int(out, part, depth)


def _sized(out: bytearray, tag: bytes, data: bytes) -> None:
    if len(out) + len(data) > MAX_BYTES:
        raise Refused(f"a value of more than {MAX_BYTES} bytes")
    out += tag + _LENGTH.pack(len(data))
    out += data


def _items(tag: bytes, kind: Any) -> Callable[[bytearray, Any, int], None]:
    def put(out: bytearray, value: Any, depth: int) -> None:
        # The base's own methods: a subclass's `__iter__` may never end.
        out += tag + _LENGTH.pack(min(kind.__len__(value), MAX_BYTES))
        for item in kind.__iter__(value):
            _put(out, item, depth)

    return put


def _dict(out: bytearray, value: Any, depth: int) -> None:
    out += b"d" + _LENGTH.pack(min(dict.__len__(value), MAX_BYTES))
    for key, item in dict.items(value):
        _put(out, key, depth)
        _put(out, item, depth)


_WRITERS: dict[type, Callable[[bytearray, Any, int], None]] = {
    type(None): _none,
    bool: _bool,
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: _bytes,
    range: _range,
    tuple: _items(b"t", tuple),
    list: _items(b"l", list),
    set: _items(b"S", set),
    frozenset: _items(b"z", frozenset),
    deque: _items(b"q", deque),
    dict: _dict,
}


def is_plain(value: object) -> bool:
    """Whether a value's type is plain or a subclass of a plain one; its contents may still be refused."""
    return any(base in _WRITERS for base in type.mro(type(value)))


_CONTAINERS: dict[int, Callable[[Iterable[Any]], Any]] = {
    ord("t"): tuple,
    ord("l"): list,
    ord("S"): set,
    ord("z"): frozenset,
    ord("q"): deque,
}


def decode(data: bytes) -> Any:
    """The value of these bytes: exact built-in types only.

    Raises:
        Violation: they are not what `encode` writes.
    """
    if len(data) > MAX_BYTES + 5:
        raise Violation("too many bytes")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise Violation("bytes left over")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Violation("bytes missing")
        part = self.data[self.at : end]
        self.at = end
        return part

    def length(self) -> int:
        size: int = _LENGTH.unpack(self.take(4))[0]
        if size > len(self.data) - self.at:
            raise Violation("a length beyond the end")
        return size

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH + 4:
            raise Violation("nested too deep")
        tag = self.take(1)[0]
        simple = _READERS.get(tag)
        if simple is not None:
            return simple(self)
        try:
            build = _CONTAINERS.get(tag)
            if build is not None:
                return build([self.value(depth + 1) for _ in range(self.length())])
            if tag == ord("d"):
                return {self.value(depth + 1): self.value(depth + 1) for _ in range(self.length())}
        except TypeError:
            raise Violation("a key that cannot be hashed") from None
        raise Violation("an unknown tag")

    def integer(self) -> int:
        size = self.length()
        if not size:
            raise Violation("an integer without digits")
        return int.from_bytes(self.take(size), "big", signed=True)

    def text(self) -> str:
        try:
            return self.take(self.length()).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise Violation("text that is not UTF-8") from None

    def range(self) -> range:
        parts = []
        for _ in range(3):
            if self.take(1) != b"i":
                raise Violation("a range of something other than integers")
            parts.append(self.integer())
        if not parts[2]:
            raise Violation("a range without a step")
        return range(*parts)


_READERS: dict[int, Callable[[_Reader], Any]] = {
    ord("N"): lambda reader: None,
    ord("T"): lambda reader: True,
    ord("F"): lambda reader: False,
    ord("i"): _Reader.integer,
    ord("f"): lambda reader: _FLOAT.unpack(reader.take(8))[0],
    ord("c"): lambda reader: complex(*_COMPLEX.unpack(reader.take(16))),
    ord("s"): _Reader.text,
    ord("b"): lambda reader: reader.take(reader.length()),
    ord("r"): _Reader.range,
}


class Channel:
    """Frames over a connected stream socket's descriptor. Reads no further than the frame it returns."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, value: object) -> None:
        """Write one frame.

        Raises:
            Refused: the value cannot be encoded; nothing was written.
            Closed: the other end is closed.
        """
        self.send_encoded(encode(value))

    def send_encoded(self, data: bytes) -> None:
        """Write one frame with a value that is already encoded."""
        rest = memoryview(_LENGTH.pack(len(data)) + data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except (BrokenPipeError, ConnectionResetError):
            raise Closed from None

    def receive(self) -> Any:
        """Wait for one frame.

        Raises:
            Closed: the other end is closed.
            Violation: the frame is too large or not well-formed.
        """
        size = _LENGTH.unpack(self._exactly(4))[0]
        if size > MAX_BYTES + 5:
            raise Violation("too many bytes")
        return decode(self._exactly(size))

    def quiet(self) -> bool:
        """Whether nothing is waiting to be read."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return not any(event & select.POLLIN for _, event in poll.poll(0))

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(self.descriptor, min(size, 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
