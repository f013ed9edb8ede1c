"""`<think>` blocks: the steps in them are steps, the answers in them are not answers."""

from __future__ import annotations

import pytest

from evals import thoughts
from evals.reading import answers, letters
from evals.tasks.code import CODE
from evals.tasks.math import GSM8K


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("no thought", "no thought"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),  # the prompt has opened it
        ("a<think>b", "a"),  # cut off inside
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("<think>a<think>b</think>c", "c"),
        ("a</think>b</think>c", "c"),
        ("<think></think>", ""),
        ("x <thinker>", "x <thinker>"),
    ],
)
def test_what_stands_outside(text: str, rest: str) -> None:
    assert thoughts.outside(text) == rest
    assert text[thoughts.after(text) :] in (rest, rest[-1:], "")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>Suppose the answer is 9. No.</think>\n3 packs of 4 make 12.", "12"),
        ("Maybe \\boxed{9}? Hmm, no.\n</think>\n\nSo there are 12.", "12"),
        ("<think>The answer is 12.</think>\nThere are 9 in all.", "9"),
        ("<think>The answer is 12.", None),  # nothing was said yet
        ("<think>\nQuestion: how many?\nThe answer is 9.\n</think>\nThe answer is 12", "12"),
    ],
)
def test_an_answer_inside_a_thought_is_none(text: str, answer: str | None) -> None:
    assert answers.robust(text) == answer
    assert answers.match("12", text)[1].robust == (answer == "12")
    if "The answer is 12" in thoughts.outside(text):
        assert answers.paper(text) == "12"
    else:
        assert answers.paper(text) is None
    assert letters.robust("<think>The answer is A.</think>The answer is B.") == "B"
    assert letters.paper("<think>The answer is A.</think>The answer is B.") == "B"


def test_lines_inside_a_thought_are_steps_whatever_they_say() -> None:
    text = (
        "<think>\nThe answer is 9?\n\n#### 9 is too few\n3*4=12\n</think>\n\nThere are 3*4=12.\n\n"
        "The answer is 12\nQuestion: next"
    )
    split = GSM8K.split(text)
    assert split.steps == ["The answer is 9?", "#### 9 is too few", "3*4=12", "There are 3*4=12."]
    assert split.prefix(text, 0) == "<think>\nThe answer is 9?\n\n"
    assert split.prefix(text, 2).endswith("3*4=12\n"), "whether it thinks on is the simulator's choice"
    assert split.prefix(text, 3).endswith("</think>\n\nThere are 3*4=12.\n\n")
    assert GSM8K.split("<think>3*4=12</think>The answer is 12").steps == [], "the line states the answer"
    assert GSM8K.split("The answer is 9?\n</think>\n3*4=12\nThe answer is 12").steps == ["The answer is 9?", "3*4=12"]
    assert GSM8K.split("<think>\nThe answer is 9").steps == ["The answer is 9"], "cut off inside"


def test_a_draft_inside_a_thought_is_no_program() -> None:
    draft, program = "def f(x):\n    return 0", "def f(x):\n    return x"
    fenced = f"<think>\n```python\n{draft}\n```\nNo.\n</think>\n```python\n{program}\n```\n"
    assert CODE.split(fenced).steps == program.split("\n")
    assert CODE.split(f"<think>\n{draft}\n</think>\n{program}").steps == program.split("\n")
    assert CODE.split(f"<think>\n```python\n{draft}\n```").steps == [], "cut off inside"
    assert CODE.split(f"<think>[BEGIN]\n{draft}</think>[BEGIN]\n{program}\n[DONE]").steps == program.split("\n")
