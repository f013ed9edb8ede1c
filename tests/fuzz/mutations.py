"""Inputs that are nearly right: valid lines with a few places changed, as values, as text and as bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

DEEP = 3_000
"""Deeper than Python's own parser of JSON follows."""
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ", "\0", "\ud800",
    "\u202e", "\N{ZERO WIDTH JOINER}", "true", "null", "-1", "1e999", "\\boxed{", "<<1/0=", "####", "A", "```python",
    "9" * 5_000, "x" * 20_000, "\n" * 2_000, "((((((((", "{{ question }}", "<script>", "../../etc/passwd", [], {}, [[]],
    [None], {"": ""}, {"id": 1}, [1, "a", None, {}],
)  # fmt: skip
KEYS = ("id", "task", "question", "answer", "paths", "steps", "labels", "prompt", "chosen", "text", "k", "", "tests")
BYTES = (b"\0", b"\xff", b"\xed\xa0\x80", b"\r", b"\xe2\x80\xa8", b"\x1e", b"\xef\xbb\xbf")
"""What lies badly inside a line: no UTF-8, other ends of lines, separators, a mark of the byte order."""


def mutated(numbers: random.Random, seed: Any) -> bytes:
    """A line made of a valid one, without its end."""
    value = json.loads(json.dumps(seed))
    for _ in range(numbers.choice((1, 1, 1, 2, 3, 6))):
        value = _changed(numbers, value)
    text = json.dumps(value, ensure_ascii=numbers.random() < 0.5)
    line = text.encode("utf-8", "surrogatepass")
    return _broken(numbers, line) if numbers.random() < 0.25 else line


def _odd(numbers: random.Random) -> Any:
    return copy.deepcopy(numbers.choice(ODD))


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a value."""
    found = [place]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _places(one, (*place, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            found += _places(one, (*place, at))
    return found


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        value = value[step]
    return value


def _changed(numbers: random.Random, value: Any) -> Any:
    places = _places(value)
    place = numbers.choice(places)
    if not place:
        return _odd(numbers) if numbers.random() < 0.1 else value
    inside, last = _at(value, place[:-1]), place[-1]
    match numbers.randrange(8):
        case 0 | 1 | 2:
            inside[last] = _odd(numbers)
        case 3:
            del inside[last]
        case 4:
            inside[last] = copy.deepcopy(_at(value, numbers.choice(places)))
        case 5:
            inside[last] = [inside[last]] if numbers.random() < 0.5 else {numbers.choice(KEYS): inside[last]}
        case 6 if isinstance(inside, dict):
            inside[numbers.choice(KEYS)] = _odd(numbers)
        case _:
            inside[last] = _text(numbers, inside[last])
    return value


def _text(numbers: random.Random, value: Any) -> Any:
    """A string with something put into it, a list with an item twice; anything else as a string."""
    if isinstance(value, list) and value:
        return [*value, numbers.choice(value)]
    text = value if isinstance(value, str) else str(value)
    at, odd = numbers.randint(0, len(text)), numbers.choice([one for one in ODD if isinstance(one, str)])
    return text[:at] + odd + text[numbers.randint(at, len(text)) :]


def _broken(numbers: random.Random, line: bytes) -> bytes:
    """The line with bytes changed: cut, repeated, or no JSON or no UTF-8 any more."""
    at = numbers.randint(0, len(line))
    opened, closed = numbers.choice(((b"[", b"]"), (b'{"a":', b"}")))
    ways = (
        line[:at],
        line[:at] + numbers.randbytes(numbers.randint(1, 8)) + line[at:],
        line[:at] + numbers.choice(BYTES) + line[at:],
        line + line,
        line.replace(b":", numbers.choice((b":NaN,", b":-Infinity}", b":1e99999,", b"::")), 1),
        opened * DEEP + line + closed * DEEP,
        line[:at] + line[numbers.randint(at, len(line)) :],
    )
    return numbers.choice(ways)


def mutated_text(numbers: random.Random, text: str) -> str:
    """A text file (TOML, say) with lines dropped, repeated and changed."""
    lines = text.splitlines()
    for _ in range(numbers.randint(1, 4)):
        at = numbers.randrange(len(lines)) if lines else 0
        match numbers.randrange(4):
            case 0 if lines:
                del lines[at]
            case 1 if lines:
                lines.insert(at, lines[numbers.randrange(len(lines))])
            case 2 if lines:
                lines[at] = _text(numbers, lines[at])
            case _:
                odd = numbers.choice(ODD)
                lines.insert(at, f"{numbers.choice(KEYS) or 'n'} = {json.dumps(odd)}")
    return "\n".join(lines)
