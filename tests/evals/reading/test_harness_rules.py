"""Strict and flexible are lm-evaluation-harness's filters and exact match; robust is right where those are not.

The oracle is written from the published task file (tasks/gsm8k/gsm8k.yaml, version 3): two regex filters, one that
takes the first finding and one the last, and an exact match of both sides after four patterns are taken out of them.
"""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.reading import answers
from tests.data import need

STRICT = (r"#### (\-?[0-9\.\,]+)", 0)
FLEXIBLE = (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
IGNORED = (",", r"\$", r"(?s).*#### ", r"\.$")
UNTIL = "Question:"


def filtered(text: str, rule: tuple[str, int]) -> str:
    """What a regex filter with `group_select` takes from a generation."""
    pattern, select = rule
    found = re.findall(pattern, text.partition(UNTIL)[0])
    if not found:
        return "[invalid]"
    chosen = found[select]
    return (chosen if isinstance(chosen, str) else next(group for group in chosen if group)).strip()


def exact(prediction: str, reference: str) -> bool:
    for pattern in IGNORED:
        prediction, reference = re.sub(pattern, "", prediction), re.sub(pattern, "", reference)
    return prediction.lower() == reference.lower()


def verdicts(gold: str, text: str) -> tuple[bool, bool]:
    return exact(filtered(text, STRICT), gold), exact(filtered(text, FLEXIBLE), gold)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_gold_solution_is_judged_as_the_harness_does(split: str) -> None:
    lines = need(f"gsm8k/{split}.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        gold = row["answer"]
        _, match = answers.match(gold, gold)
        assert (match.strict, match.flexible) == verdicts(gold, gold) == (True, True)
        wrong = gold + "1"
        _, match = answers.match(gold, wrong)
        assert (match.strict, match.flexible) == verdicts(gold, wrong) == (False, False)
        assert not match.robust


TABLE: list[tuple[str, str, bool]] = [
    ("18", "so 3*6\n#### 18", True),
    ("18", "#### 18.", True),
    ("18", "#### 18.0", True),
    ("18", "#### $18", True),
    ("18", "####18", True),
    ("18", "#### 17\n#### 18", True),
    ("18", "#### 18\n#### 17", False),
    ("18", "The answer is 18", True),
    ("18", "The answer is 18.", True),
    ("18", "The answer is 18.0", True),
    ("18", "The answer is 18.00.", True),
    ("18", "The answer is **18**", True),
    ("18", "**The answer is 18.**", True),
    ("18", "The answer is $18.00", True),
    ("18", "The answer is 18 dollars, 5 more than 13.", True),
    ("18", "The answer is 18, not 20.", True),
    ("18", "The answer is 1", False),
    ("1", "The answer is 18", False),
    ("18", "The answer is 180", False),
    ("18", "The answer is -18", False),
    ("18", "The answer is 18%", True),
    ("18", r"\boxed{18}", True),
    ("18", r"So $\boxed{18}$ apples in 3 days.", True),
    ("18", r"\boxed{17} is wrong, \boxed{18} is right", True),
    ("18", "Answer: 18", True),
    ("18", "Answer:\n18", True),
    ("18", "**Answer:** 18 apples", True),
    ("18", "He has 18 apples", True),
    ("18", "He has 18 apples...", True),
    ("18", "3*6=18", True),
    ("18", "The answer is 3*6=18", True),
    ("18", "The answer is 18 = 3*6", True),
    ("18", "The answer is 36/2", True),
    ("18", "no number at all", False),
    ("18", "", False),
    ("18", "...", False),
    ("18", "$", False),
    ("18", "The answer is eighteen", False),
    ("18", "The answer is 18\nQuestion: What is 2+3?\n#### 5", True),
    ("18", "The answer is 17\nQuestion: Next?\nThe answer is 18", False),
    ("1000", "#### 1,000", True),
    ("1000", "The answer is 1,000.", True),
    ("1000", "The answer is 1 000", True),
    ("1000", "The answer is $1,000.00", True),
    ("1000", "The answer is 1e3", True),
    ("1000", "The answer is 1,0000", False),
    ("1234.5", "The answer is $1,234.50 in all.", True),
    ("1,234", "#### 1234", True),
    ("-3", "#### -3", True),
    ("-3", "The answer is -3", True),
    ("-3", "The answer is \u22123", True),
    ("-3", "The answer is 3", False),
    ("-3", "The answer is -$3", True),
    ("-3", "10 - 13 = -3", True),
    ("0.5", "The answer is 1/2", True),
    ("0.5", "The answer is .5", True),
    ("0.5", "The answer is 0.50", True),
    ("0.5", r"\boxed{\frac{1}{2}}", True),
    ("0.5", "The answer is 1/3", False),
    ("1.5", "The answer is 1 1/2 cups", True),
    ("2/3", "The answer is 4/6", True),
    ("2/3", "The answer is 0.6666667", False),
    ("50", "The answer is 50 %", True),
    ("7", "The answer is 9**9**9**9", False),
    ("7", "The answer is 7:00", False),
    ("10000000", "The answer is 10,000,000", True),
    ("18", "The answer is \uff11\uff18", True),
    ("12", "There are 4 dozen... I mean, the final answer is: 12", True),
    ("12", "1. First 5\n2. Then 7\n3. The answer is 12", True),
    ("12", "12 eggs were there. The answer is unclear", False),
    ("12", "[invalid]", False),
]


def test_the_table_is_as_large_as_is_claimed() -> None:
    assert len(TABLE) == len({(gold, text) for gold, text, _ in TABLE}) >= 60


@pytest.mark.parametrize(("gold", "text", "right"), TABLE)
def test_crafted_answers(gold: str, text: str, right: bool) -> None:
    _, match = answers.match(gold, text)
    assert (match.strict, match.flexible) == verdicts(gold, text)
    assert match.robust is right


NUMBERISH = st.lists(
    st.sampled_from([*"0123456789.,$- \n#/*=", "#### ", "#### 18", "The answer is ", "18", "1,8", "apples"]),
    max_size=40,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["18", "1,000", "-3", "0.5", "so\n#### 18"]), NUMBERISH)
def test_any_text_is_judged_as_the_harness_does(gold: str, text: str) -> None:
    _, match = answers.match(gold, text)
    assert (match.strict, match.flexible) == verdicts(gold, text)


def test_nothing_found_is_no_match_even_of_the_harness_s_own_word_for_it() -> None:
    assert verdicts("[invalid]", "") == (True, True)
    _, match = answers.match("[invalid]", "")
    assert not any((match.strict, match.flexible, match.robust))
