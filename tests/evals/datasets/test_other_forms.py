"""Lines in other tools' forms come back as they were."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.datasets import demonstrations, pairs, step_labels
from evals.datasets.math_shepherd import TAG
from evals.datasets.other_forms import SHARES, UNKNOWN, pair_row, sft_row, step_fault, step_row

NUMBER = re.compile(r"Step \d+: ")
ASK: list[dict[str, Any]] = [{"role": "user", "content": "1+1?"}]
text = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=12).map(str.strip)
words = text.filter(lambda part: part and not NUMBER.match(part) and "tep 1:" not in part)
marks = st.sampled_from(["", TAG, f"\u043e\u0447{TAG}", "Step 1: mix. Step 2: stir."])
steps = st.lists(st.tuples(words, st.booleans()), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(question=st.tuples(words, marks, words).map(" ".join), labelled=steps)
@pytest.mark.parametrize("form", ["openrlhf", "math-shepherd", "openr", "rlhflow", "prm800k"])
def test_a_labelled_path_comes_back(form: Any, question: str, labelled: list[tuple[str, bool]]) -> None:
    lines, labels = [step for step, _ in labelled], [label for _, label in labelled]
    if step_fault(form, question, lines) is not None:
        assert TAG in question + "".join(lines)
        return
    row = step_row(form, question, lines, labels, task="math", answer="2", correct=labels[-1])
    made = step_labels.problem(row, "x")
    (path,) = made.paths
    assert made.question == question
    assert [NUMBER.sub("", step, count=1) for step in path.steps] == lines
    assert [label.hard for label in path.labels or []] == labels
    assert path.correct is (None if form == "openr" or (form == "prm800k" and not labels[-1]) else labels[-1])


def test_only_some_forms_hold_shares_unknown_labels_and_white_space() -> None:
    (share,) = step_row("openrlhf", "q", ["a"], [0.25])["value"]
    assert share == 0.25
    assert SHARES == ("trl", "openrlhf")
    row = step_row("prm800k", "q", ["a", "  b"], [True, None], answer=None, correct=None)
    (path,) = step_labels.problem(row, "x").paths
    assert (path.steps, [label.hard for label in path.labels or []]) == (["a", "  b"], [True, None])
    assert "prm800k" in UNKNOWN
    assert step_fault("openr", "q", [" a"]) == "a step begins or ends with white space"
    assert "letters of the mark" in str(step_fault("openrlhf", f"x{TAG}", ["a"]))


def test_steps_that_are_numbered_are_not_numbered_again() -> None:
    row = step_row("openr", "q", ["Step 1: a", "Step 2: b"], [True, True])
    assert row["process"] == f"Step 1: a {TAG}\nStep 2: b {TAG}"


@pytest.mark.parametrize("form", ["trl", "openrlhf", "ms-swift"])
@pytest.mark.parametrize("prompt", ["1+1?", ASK], ids=["text", "messages"])
def test_a_pair_and_a_demonstration_come_back(form: Any, prompt: Any) -> None:
    back = pairs.pair(pair_row(form, prompt, " 2", " 3"))
    turns = demonstrations.demonstration(sft_row(form, prompt, " 2")).turns
    asked = ASK if form == "ms-swift" else prompt
    assert back == {"prompt": asked, "chosen": " 2", "rejected": " 3"}
    assert turns == ((asked, " 2"),)
