"""Where the program stands in a text, what is put together to be run, and which programs are one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.programs.steps import StepRule
from evals.programs.text import joined, program_signature, program_span

CODE = "def f(x):\n    return x"
STUB = "import math\n\ndef helper(): return 1\n\ndef f(x):\n    '''say so'''\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (CODE, CODE),
        ("    return x\n", "    return x\n"),
        ("", ""),
        (f"[BEGIN]\n{CODE}\n[DONE]\nand more", f"{CODE}\n"),
        (f"{CODE}\n[DONE]\n\nYou are an expert\n[BEGIN]\ndef g(): pass", f"{CODE}\n"),
        (f"{CODE}\n[DONE]", f"{CODE}\n"),
        ("[BEGIN] x = 1", " x = 1"),
        (f"```python\n{CODE}\n```\nIt returns x.", f"{CODE}\n"),
        (f"Here it is:\n\n```\n{CODE}\n```\n```\nf(1)\n```", f"{CODE}\n"),
        (f"Here it is:\n```py\n{CODE}", CODE),
        (f"~~~\n{CODE}\n~~~", f"{CODE}\n"),
        (f"[BEGIN]\n```python\n{CODE}\n```\n[DONE]", f"{CODE}\n"),
        ("```", ""),
        ("Sure.\r\n```python\r\nx = 1\r\n```\r\n", "x = 1\r\n"),
        ("    return x\n```\n\nThis returns x.\n```python\nf(1)\n```", "    return x\n"),
        (f"{CODE}\n```\nwhich is it", f"{CODE}\n"),
        (
            'def f():\n    """\n```\n>>> f()\n```\n"""\n    return 1',
            'def f():\n    """\n```\n>>> f()\n```\n"""\n    return 1',
        ),
        ('```python\ndef f():\n    """\n```\n"""\n    return 1\n```', 'def f():\n    """\n```\n"""\n    return 1\n'),
        ("# Solution\n```\nx = 1\n```", "x = 1\n"),
    ],
)
def test_the_program_is_found_in_what_a_model_wrote(text: str, program: str) -> None:
    start, end = program_span(text)
    assert text[start:end] == program


@pytest.mark.parametrize(
    ("stub", "body", "program"),
    [
        ("", CODE, CODE),
        (STUB, "    return x", STUB + "    return x"),
        (STUB, CODE, "import math\n\ndef helper(): return 1\n\n" + CODE),
        (STUB, "import re\n" + CODE, "import math\n\ndef helper(): return 1\n\nimport re\n" + CODE),
        (STUB, "    return g(x)\n\ndef g(x): return x", STUB + "    return g(x)\n\ndef g(x): return x"),
        (STUB, "    def f(y): return y\n    return f(x)", STUB + "    def f(y): return y\n    return f(x)"),
        (STUB, "def f2(x): pass", STUB + "def f2(x): pass"),
    ],
)
def test_a_body_goes_behind_the_stub_and_a_whole_function_in_its_place(stub: str, body: str, program: str) -> None:
    assert joined(stub, "f", body) == program


PARTS = [
    "",
    "def f(x):",
    "    return x",
    "```",
    "```python",
    "[BEGIN]",
    "[DONE]",
    "Sure:",
    '    """',
    "'''",
    "x = 1",
    " ~~~",
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12).map("\n".join), st.sampled_from(["lines:1", "lines:2", "blocks"]))
def test_a_prefix_is_read_as_the_text_that_it_was_cut_from(text: str, rule: str) -> None:
    start, end = program_span(text)
    assert 0 <= start <= end <= len(text)
    found = StepRule.parse(rule).split(text, start, end)
    for j in range(len(found.steps)):
        prefix = found.prefix(text, j)
        first, last = program_span(prefix)
        assert first == start
        again = StepRule.parse(rule).split(prefix, first, last).steps
        assert again == found.steps[: len(again)]
        assert len(again) > j


def test_comments_and_spacing_make_no_other_program() -> None:
    one = program_signature("def f(x):\n    # add\n    y = x+1\n\n    return (y\n       )")
    assert one == program_signature("def f( x ) :\n  y = x + 1  # so\n  return ( y )\n")
    assert one != program_signature("def f(x):\n    y = x+2\n    return (y)")
    assert program_signature("if a:\n  b\nc") != program_signature("if a:\n  b\n  c")
    assert program_signature("x = 'a  b'") != program_signature("x = 'a b'")
    assert program_signature("if a:\n  if b:\n    c\n  d") == program_signature("if a:\n    if b:\n     c\n    d")
