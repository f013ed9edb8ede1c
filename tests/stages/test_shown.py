"""What is shown of paths and pairs: verdicts, the first error, what is odd, and the branches of a pair."""

from __future__ import annotations

from typing import Any

import pytest

from evals.records import Path, StepLabel
from stages.shown import PathView, Piece, branches, label_text, pieces, reason_text, visible
from tests.stages.pairing.questions import solved


def view(steps: str, correct: bool, **given: Any) -> PathView:
    return PathView.of(Path.model_validate(solved(1, steps, correct, **given)), 0.5)


@pytest.mark.parametrize(
    ("correct", "labels", "scores", "first", "wrong_step", "disagree"),
    [
        (True, [True, True, True], None, None, False, []),
        (True, [True, False, True], None, 1, True, []),
        (False, [True, False, False], None, 1, False, []),
        (True, None, [0.9, 0.5, 0.49], 2, True, []),
        (True, [True, None, True], [0.9, 0.1, 0.2], None, False, [2]),
        (True, [True, False, True], [0.4, 0.6, 0.5], 1, True, [0, 1]),
        (False, None, None, None, False, []),
    ],
)
def test_the_labels_decide_then_the_scores_and_a_step_of_which_both_speak_may_be_odd(
    correct: bool, labels: Any, scores: Any, first: int | None, wrong_step: bool, disagree: list[int]
) -> None:
    seen = view("abc", correct, labels=labels, scores=scores)
    assert (seen.first_error, seen.wrong_step, seen.disagree) == (first, wrong_step, disagree)


def test_a_persons_mark_goes_before_labels_and_scores() -> None:
    assert view("abc", True, labels=[False, True, True], first_error=2).first_error == 2
    assert view("abc", True, labels=[False, True, True], first_error=-1).first_error is None
    assert view("abc", True, first_error=0).wrong_step


def test_a_likelihood_contradicts_no_label_and_says_of_no_step_that_it_is_wrong() -> None:
    made = solved(1, "ab", True, scores=[1e-7, 0.2], labels=[True, True])
    made["scores"]["prm"]["by"] = "likelihood"
    seen = PathView.of(Path.model_validate(made), 0.5)
    assert (seen.disagree, [step.passed for step in seen.steps]) == ([], [{}, {}])
    made["labels"] = None
    assert PathView.of(Path.model_validate(made), 0.5).verdicts == [None, None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"draws": 8, "hits": 1, "settled": True}, "1/8"),
        ({"draws": 0, "hits": 0, "settled": True, "gold": True}, "gold"),
        ({"draws": 0, "hits": 0, "settled": False, "inferred": "before-live"}, "before-live"),
        ({"draws": 3, "hits": 0, "settled": False, "inferred": "early-stop"}, "0/3 early-stop"),
        ({"draws": 1, "hits": 0, "settled": False}, "0/1 undecided"),
        ({"draws": 0, "hits": 0, "settled": False}, "undecided"),
        ({"draws": 0, "hits": 0, "settled": True, "given": False}, "given"),
        ({"draws": 8, "hits": 2, "settled": True, "value": 0.25}, "2/8 value 0.25"),
        ({"draws": 8, "hits": 2, "settled": True, "value": None}, "2/8 no value"),
    ],
)
def test_a_label_says_what_it_rests_on(fields: dict[str, Any], said: str) -> None:
    assert label_text(StepLabel.model_validate({"k": 8, **fields})) == said


def test_a_path_is_cut_into_its_steps_and_what_stands_between_them() -> None:
    path = Path(id="c#0", text="Well:\n1+1=2\n\n2+2=4\nThe answer is 4", steps=["1+1=2", "2+2=4"])
    assert pieces(path) == [
        Piece(None, "Well:"), Piece(0, "1+1=2"), Piece(1, "2+2=4"), Piece(None, "The answer is 4")
    ]  # fmt: skip
    astray = Path(id="c#0", text="3+3=6", steps=["9+9=18", "3+3=6"])
    assert pieces(astray) == [Piece(0, "9+9=18"), Piece(1, "3+3=6")]
    assert pieces(Path(id="c#0", text="")) == []


def test_the_branches_of_a_pair_begin_where_its_lines_differ() -> None:
    assert branches("", "a\nb\nc", "a\nx") == (["a"], ["b", "c"], ["x"])
    assert branches("a\n", "b\nc", "b\nd") == (["a", "b"], ["c"], ["d"])
    assert branches("a", "bc", "bd") == ([], ["abc"], ["abd"])
    assert branches("", "a\nb", "a") == (["a"], ["b"], [])


def test_control_characters_are_spelled_out_and_letters_of_any_script_are_kept() -> None:
    assert visible("a\x1b[31mb\x00\x7f\x9b") == "a\\x1b[31mb\\x00\\x7f\\x9b"
    assert visible("\ud800\ufffe\uffff") == "\\ud800\\ufffe\\uffff", "what no file of SVG may hold"
    assert visible("\u202eabc\u2066 \u2028") == "\\u202eabc\\u2066 \\u2028"
    assert visible("שלום 数学 é 🙂\n\tx") == "שלום 数学 é 🙂\n\tx"


def test_why_a_pair_or_a_path_is_missing_is_said_in_words() -> None:
    said = {
        "no pair by widest: no right path": {"rule": "widest", "reason": "no right path"},
        "path #3 left out: earlier round": {"path": "q#3", "reason": "earlier round"},
        "no pair is made of the gold solution (sipf pairs --gold)": {"path": "q#gold", "reason": "gold"},
        "2 pairs left out by fork: length gap": {"pairs": 2, "rule": "fork", "reason": "length gap"},
        "1 pair left out by fork: more than --most": {"pairs": 1, "rule": "fork", "reason": "most"},
    }
    for words, row in said.items():
        assert reason_text({"problem": "q", **row}, "q") == words
