"""The tokens of a prefix are those that the model wrote, also where blank lines stand between the steps."""

from __future__ import annotations

import pytest

from evals.tasks.math import MATH
from stages.models.templates import make_prompter
from tests.lines import labelled_problem
from tests.models import Family, build_tokenizer


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n\n"])
def test_a_prefix_has_the_first_tokens_of_its_path(family: Family, between: str) -> None:
    prompter = make_prompter(build_tokenizer(family), MATH.templates, "plain")
    text = between.join(["40+32=72", "72-5=67", "67-2 = 65", "The answer is 65"])
    problem = labelled_problem(1)
    whole = prompter.encode(problem, text, end=False).ids
    split = MATH.split(text)
    assert len(split.steps) == 3
    for step in range(3):
        prefix = prompter.begun(problem, split.prefix(text, step)).ids
        assert whole[: len(prefix)] == prefix
