"""Best of n against every subset, one by one."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import best_of
from evals.best_of import SUBSETS, VOTES, BestOf, best_by_score, best_by_vote, share_to_vote
from evals.metrics import pass_at_k

PATHS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.5, 0.9, float("-inf")]), st.booleans(), st.sampled_from([None, "1", "2", "3"])),
    min_size=1,
    max_size=6,
)


def by_score(scores: list[float], right: list[bool], subset: tuple[int, ...]) -> float:
    most = max(scores[i] for i in subset)
    tied = [i for i in subset if scores[i] == most]
    return sum(right[i] for i in tied) / len(tied)


def by_vote(answers: list[str | None], right: list[bool], subset: tuple[int, ...]) -> float:
    votes = Counter(answers[i] for i in subset if answers[i] is not None)
    tied = [vote for vote in votes if votes[vote] == max(votes.values())]
    good = [vote for vote in tied if any(right[i] for i in subset if answers[i] == vote)]
    return len(good) / len(tied) if tied else 0.0


@settings(max_examples=150, deadline=None)
@given(PATHS)
def test_every_pick_is_the_mean_over_all_subsets(paths: list[tuple[float, bool, str | None]]) -> None:
    scores, answers = [path[0] for path in paths], [path[2] for path in paths]
    right = [path[1] for path in paths]
    for n in range(1, len(paths) + 1):
        subsets = list(itertools.combinations(range(len(paths)), n))
        mean = sum(by_score(scores, right, s) for s in subsets) / len(subsets)
        assert best_by_score(scores, right, n) == pytest.approx(mean)
        mean = sum(by_vote(answers, right, s) for s in subsets) / len(subsets)
        assert best_by_vote(answers, right, n) == pytest.approx(mean)
        oracle = sum(any(right[i] for i in s) for s in subsets) / len(subsets)
        assert pass_at_k(len(right), sum(right), n) == pytest.approx(oracle)


def test_one_of_one_is_the_accuracy_and_a_perfect_score_is_the_oracle() -> None:
    right = [True, False, False, True, False]
    assert best_by_score([0.5] * 5, right, 1) == pytest.approx(2 / 5)
    assert best_by_score([float(r) for r in right], right, 3) == pytest.approx(pass_at_k(5, 2, 3))
    assert best_by_score([-float(r) for r in right], right, 5) == 0.0


def test_equal_answers_vote_together_however_they_are_written() -> None:
    assert best_by_vote(["18", "$18.00", "7"], [True, True, False], 3) == 1.0
    assert best_by_vote([None, None, "7"], [False, False, True], 3) == 1.0
    assert best_by_vote([None, None], [False, False], 2) == 0.0


def test_where_the_subsets_are_many_a_seeded_draw_stands_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [str(i % 5) for i in range(18)]
    right = [answer == "0" for answer in answers]
    drawn = best_by_vote(answers, right, 9, seed=1)
    assert drawn == best_by_vote(answers, right, 9, seed=1)
    assert drawn != best_by_vote(answers, right, 9, seed=2)
    monkeypatch.setattr(best_of, "SUBSETS", 10**9)
    exact = best_by_vote(answers, right, 9)
    assert drawn == pytest.approx(exact, abs=0.06)


@pytest.mark.parametrize("n", [0, 3])
def test_more_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"best of {n} out of 2 paths"):
        best_by_score([0.1, 0.2], [True, False], n)
    with pytest.raises(ValueError, match=f"best of {n} out of 2 paths"):
        best_by_vote(["1", "2"], [True, False], n)


def test_curves_added_up_are_the_means_of_the_problems_chances() -> None:
    found = BestOf(seed=3)
    problems = [
        ("a", [True, False, False], ["1", "2", "2"], [0.9, 0.5, 0.1]),
        ("b", [False, True], ["1", "2"], [0.3, 0.3]),
    ]
    for identity, right, answers, scores in problems:
        found.add(identity, right, answers, {"prm": scores})
    one, two = found.rows()
    assert found.picks == ["prm", "majority", "oracle"]
    assert [(row["n"], row["problems"]) for row in (one, two)] == [(1, 2), (2, 2)]
    assert one["oracle"]["rate"] == one["prm"]["rate"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert two["prm"]["rate"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert two["oracle"]["rate"] == pytest.approx((2 / 3 + 1) / 2)
    assert two["majority"]["rate"] == pytest.approx((1 / 3 + 1 / 2) / 2), "of 1,2 by lot; of 2,2 wrong"
    assert [row["n"] for row in BestOf((5,)).rows()] == [5]
    assert BestOf((5,)).rows()[0]["oracle"] is None


def test_the_share_to_vote_keeps_the_subsets_within_bounds() -> None:
    assert share_to_vote(1000, 4) == 1.0
    assert share_to_vote(0, 0) == 1.0
    for paths in (2, 8, 64):
        share = share_to_vote(100_000, paths)
        subsets = sum(min(SUBSETS, math.comb(paths, 2**i)) for i in range(paths.bit_length()))
        assert 100_000 * share * subsets == pytest.approx(VOTES) or share == 1.0
    assert share_to_vote(100_000, 64) < share_to_vote(100_000, 8) < 1
