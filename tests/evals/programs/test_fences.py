"""Which fenced block is the program, and what is left of a raw sample when it is cleaned."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.programs.clean import cleaned
from evals.programs.steps import StepRule
from evals.programs.text import program_in, program_span

GOOD = "def f(x):\n    return x"
BAD = "def f(x):\n    return -x"
STUB = "import math\n\ndef f(x):\n    '''Say so.'''\n"


@pytest.mark.parametrize(
    "text",
    [
        f"Install:\n```bash\npip install f\n```\nThen:\n```python\n{GOOD}\n```",
        f"It looks so:\n```\n>>> f(2)\n2\n```\nThe code:\n```python\n{GOOD}\n```",
        f"```python\n{BAD}\n```\nThat is wrong. Corrected:\n```python\n{GOOD}\n```",
        f"```python\n{GOOD}\n```\nUsage:\n```python\nprint(f(2))\n```",
        f"```python\n{GOOD}\n```\nUsage:\n```python\nprint(f(2",
        f"```python\n{GOOD}\n```\nIt prints:\n```text\n2\n```",
        f"<think>\n```python\n{BAD}\n```\n</think>\n```python\n{GOOD}\n```",
        f"```python\n{BAD}\n```\n<think>no</think>\n~~~py\n{GOOD}\n~~~",
        f"{BAD}\n```\nOr rather:\n```python\n{GOOD}\n```",
        "1. The code:\n\n   ```python\n   def f(x):\n       return x\n   ```\n2. Done.",
        "- ```python\n  def f(x):\n      return x\n  ```",
        f"```python\n{GOOD}\n```\n\n```python\ndef test_f():\n    assert f(2) == 2\n```",
        f"```\n{GOOD}\n```",
        f"```bash\nf=1\n```\n```python\n{GOOD}\n```",
        f"```{{.python}}\n{GOOD}\n```",
        f"````markdown\nThe code\n````\n```Python3\n{GOOD}\n```",
    ],
)
def test_the_program_is_the_last_block_that_defines_what_the_tests_call(text: str) -> None:
    assert program_in(text, "f").strip() == GOOD


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```sh\nls\n```\n```python\n    return x\n```", "    return x\n"),  # a body, behind a stub
        ("```python\nclass f:\n    pass\n```\n```python\nf()\n```", "class f:\n    pass\n"),
        ("```python\nfrom m import f\n```", "from m import f\n"),
        ("```text\nnothing\n```", "nothing\n"),
        ("```python\nasync def f(x):\n    return x\n```\n```\n2\n```", "async def f(x):\n    return x\n"),
        ("```python\ndef ff(x): pass\n```\n```python\ng = 1\n```", "def ff(x): pass\n"),
    ],
)
def test_without_such_a_block_it_is_the_first_that_may_be_python(text: str, program: str) -> None:
    assert program_in(text, "f") == program


PARTS = [
    "def f(x):", "    return x", "```", "```python", "```bash", "  ```python", "~~~", "[BEGIN]", "[DONE]", "Sure:",
    '    """', "x = 1", "import re", "<think>", "</think>", "def g(x):",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=14).map("\n".join), st.sampled_from(["lines:1", "lines:2", "blocks"]))
def test_a_prefix_has_the_first_steps_of_the_text_whatever_block_they_are_in(text: str, rule: str) -> None:
    start, end = program_span(text, "f", growing=True)
    assert 0 <= start <= end <= len(text)
    found = StepRule.parse(rule).split(text, start, end)
    for j in range(len(found.steps)):
        prefix = found.prefix(text, j)
        first, last = program_span(prefix, "f", growing=True)
        assert first == start
        again = StepRule.parse(rule).split(prefix, first, last).steps
        assert again == found.steps[: len(again)]
        assert len(again) > j


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"Here is the completed function:\n\n{GOOD}\n", f"{GOOD}\n"),
        (f"Here's it (as asked:\n\n{GOOD}\n\nIt's what you (asked for.\n", f"{GOOD}\n\n"),
        (f"Sure\nimport re\n\n{GOOD}\n\nprint(f(2))\nThis prints 2.\n", f"import re\n\n{GOOD}\n\n"),
        ("    return x\n\nThis function gives x back.\n", "    return x\n\n"),
        ("    return x<|endoftext|>", "    return x"),
        ("<s>    return x</s></s>and more", "    return x"),
        ("    return x\n<|im_end|>\n<|im_start|>user\nThanks", "    return x\n"),
        ("    return x\n\n\ndef g(x, y", "    return x\n\n\n"),
        ("    return g(x)\n\ndef g(x):\n    return x\n\ndef h(", "    return g(x)\n\ndef g(x):\n    return x\n\n"),
        ("return x", "    return x"),
        ("y = x\n    return y", "    y = x\n    return y"),
        ("y = x\nreturn y", "    y = x\n    return y"),
        (f"@cache\n{GOOD}\nThe end", f"@cache\n{GOOD}\n"),
        (f"<think>{BAD}</think>{GOOD}\nDone here.", f"{GOOD}\n"),
        (f"```python\n{GOOD}\n```<|im_end|>", f"```python\n{GOOD}\n```"),
        (f"{GOOD}\n\nassert f(1) == 5\n\ndef g(): pass\n", f"{GOOD}\n\ndef g(): pass\n"),
        ("    return x\n\nassert f(1) == 5\n", "    return x\n\n"),
        (f"Sure! [PYTHON]\n{GOOD}\n[/PYTHON]\nIt gives x.", f"{GOOD}\n"),
        ("I do not know.", "I do not know."),
        ("", ""),
    ],
)  # fmt: skip
def test_a_raw_sample_is_cleaned(text: str, program: str) -> None:
    assert cleaned(text, "f", STUB) == program


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*PARTS, "<|a|>", "(", ")", "It's so.", "return x", "@", "-" * 200]), max_size=10).map(
        "\n".join
    )
)
def test_cleaning_makes_nothing_up(text: str) -> None:
    words = cleaned(text, "f", STUB).split()
    at = 0
    everything = text.split()
    for word in words:  # in their order: only indentation is ever added
        at = next(n for n in range(at, len(everything)) if word in everything[n])


@pytest.mark.parametrize(
    "text",
    ["(" * 100_000, "-" * 100_000, "[" * 5_000, "not " * 30_000, "x = " * 20_000, "a\n" * 5_000, "```\n" * 20_000],
)
def test_hostile_samples_are_cleaned_and_searched_without_harm(text: str) -> None:
    for given_text in (text, f"{GOOD}\n{text}"):
        cleaned(given_text, "f", STUB)
        program_in(given_text, "f")
