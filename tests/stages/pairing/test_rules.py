"""Each rule against pair sets written by hand, and against its definition said once more over many random questions."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from itertools import product
from typing import Any, get_args

import pytest

from evals.errors import DataError, UsageError
from stages.pairing import RULES
from stages.settings.pairs import PairSettings, RuleName
from tests.stages.pairing.questions import any_question, made, rows_of, solved

Path = dict[str, Any]

# mean scores: 0.9 and 0.6 right, 0.7 and 0.2 wrong
FOUR = [
    solved(0, "ab", True, scores=[0.9, 0.9], labels=[True, True], times=3),
    solved(1, "ab", True, scores=[0.9, 0.3], labels=[True, False], times=1),
    solved(2, "ab", scores=[1.0, 0.4], labels=[True, True], times=9),
    solved(3, "ab", scores=[0.4, 0.0], labels=[False, False], times=1),
]


def test_every_rule_that_can_be_asked_for_is_there() -> None:
    assert set(RULES) == set(get_args(RuleName))


def test_threshold_takes_all_pairs_with_the_gap_in_an_order_that_the_seed_decides() -> None:
    assert sorted(made(FOUR, "threshold", eta=0.1)[0]) == ["0>1", "0>2", "0>3", "1>3"]
    assert sorted(made(FOUR, "threshold", eta=0.5)[0]) == ["0>3"]
    assert sorted(made(FOUR, "threshold", eta=0.05, chosen_correct=False)[0]) == [
        "0>1", "0>2", "0>3", "1>3", "2>1", "2>3",
    ]  # fmt: skip
    firsts = {made(FOUR, "threshold", max_per_problem=1, seed=seed)[0][0] for seed in range(30)}
    assert firsts == {"0>1", "0>2", "0>3", "1>3"}
    assert (
        made(FOUR, "threshold", max_per_problem=1, seed=4)[0] == made(FOUR, "threshold", max_per_problem=1, seed=4)[0]
    )


def test_widest_takes_the_widest_gap_first() -> None:
    assert made(FOUR, "widest", max_per_problem=1)[0] == ["0>3"]
    assert sorted(made(FOUR, "widest")[0]) == sorted(made(FOUR, "threshold")[0])


def test_outcome_takes_right_above_wrong_whatever_the_scores() -> None:
    assert sorted(made(FOUR, "outcome")[0]) == ["0>2", "0>3", "1>2", "1>3"]
    rows, _ = rows_of(FOUR, "outcome")
    assert "chosen_score" not in rows[0]


def test_consistent_chooses_only_paths_whose_steps_are_all_right() -> None:
    names, report = made(FOUR, "consistent", by="labels")
    assert sorted(names) == ["0>2", "0>3"]
    assert report.rules["consistent"].counts["paths left out: not chosen: a wrong step"] == 1
    assert made(FOUR, "consistent", by="labels", rejected_fails=True)[0] == ["0>3"]
    assert sorted(made(FOUR, "consistent", pass_score=0.5)[0]) == ["0>2", "0>3"]
    assert sorted(made(FOUR, "consistent", pass_score=0.3)[0]) == ["0>2", "0>3", "1>2", "1>3"], "0.3 passes at 0.3"
    assert sorted(made(FOUR, "consistent", pass_score=0.3, rejected_fails=True)[0]) == ["0>3", "1>3"]


def test_the_summary_says_which_pass_score_keeps_which_share_of_the_right_paths() -> None:
    scores = [0.05, 0.9, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.5, 0.4]
    paths = [solved(i, "ab", True, scores=[score, 1.0]) for i, score in enumerate(scores)]
    paths.append(solved(10, "a", scores=[0.0]))
    for share, score in (("0.9", 0.1), ("0.5", 0.5), ("0.1", 0.9)):
        names, report = made(paths, "consistent", pass_score=score)
        assert report.summary()["rules"]["consistent"]["pass scores"][share] == score
        assert len(names) == 10 * float(share)
    assert "pass scores" not in made(FOUR, "consistent", by="labels")[1].summary()["rules"]["consistent"]


def test_a_pass_share_is_of_the_right_paths_with_as_many_steps() -> None:
    short = [solved(i, "a", True, scores=[0.5 + i / 10]) for i in range(4)]
    long = [solved(4 + i, "ab", True, scores=[0.1, 0.3 + i / 10]) for i in range(2)]
    paths = [*short, *long, solved(6, "a", scores=[0.9])]
    names, report = made(paths, "consistent", pass_share=0.5, aggregate="mean", max_per_problem=9)
    assert sorted(names) == ["2>6", "3>6", "5>6"], "the better half of each, though every short one scores higher"
    assert report.summary()["pass scores by steps"] == {"1": pytest.approx(0.7), "2": pytest.approx(0.25)}
    assert report.rules["consistent"].counts["paths left out: not chosen: not among the best-scored share"] == 3
    assert report.counts["paths"] == 7, "counted once"
    assert sorted(made(paths, "consistent", pass_share=0.0, max_per_problem=9)[0]) == ["3>6", "5>6"], "at least one"


def test_a_pass_share_needs_scores() -> None:
    unscored = [solved(0, "a", True), solved(1, "a")]
    names, report = made(unscored, "consistent", pass_share=0.5)
    assert names == []
    assert report.rules["consistent"].counts["paths left out: no score 'prm'"] == 1
    with pytest.raises(UsageError, match="--pass-share goes with --by scores"):
        PairSettings(rule=("consistent",), by="labels", pass_share=0.5)


@pytest.mark.parametrize(
    ("paths", "settings", "reason", "none"),
    [
        ([solved(0, "a", True, labels=[None]), solved(1, "a")], {}, "not chosen: an undecided step", True),
        ([solved(0, "a", True), solved(1, "a")], {}, "not chosen: no labels", True),
        ([solved(0, "", True, labels=[]), solved(1, "a")], {}, "not chosen: no steps", True),
        ([solved(0, "a", True), solved(1, "a")], {"by": "scores"}, "not chosen: no score 'prm'", True),
        ([solved(0, "a", True, labels=[True]), solved(1, "a")], {"rejected_fails": True},
         "not rejected: no labels", False),
        ([solved(0, "a", True, labels=[True]), solved(1, "a", labels=[True])], {"rejected_fails": True},
         "not rejected: no wrong step", False),
    ],
)  # fmt: skip
def test_consistent_says_what_its_paths_lack(
    paths: list[Path], settings: dict[str, Any], reason: str, none: bool
) -> None:
    names, report = made(paths, "consistent", **{"by": "labels", **settings})
    assert names == []
    why = "no right path whose steps are all right" if none else "no wrong path with a wrong step"
    assert report.rules["consistent"].counts == {
        f"paths left out: {reason}": 1, f"problems without a pair: {why}": 1,
    }  # fmt: skip


def test_frequent_chooses_paths_that_were_drawn_often_enough() -> None:
    names, report = made(FOUR, "frequent", min_times=3)
    assert sorted(names) == ["0>2", "0>3"]
    assert report.rules["frequent"].counts["paths left out: not chosen: drawn fewer than 3 times"] == 1
    assert sorted(made(FOUR, "frequent", min_times=1)[0]) == ["0>2", "0>3", "1>2", "1>3"]
    without = [{key: value for key, value in path.items() if key != "times"} for path in FOUR]
    names, report = made(without, "frequent")
    assert names == []
    assert report.rules["frequent"].counts["paths left out: not chosen: no count of draws"] == 2
    assert report.rules["frequent"].counts["problems without a pair: no right path drawn 3 times"] == 1


def test_sigma_rejects_near_the_mean_less_two_standard_deviations() -> None:
    # mean 0.5, deviation 0.2: the target is 0.1 at two sigmas, 0.3 at one
    scores = [0.9, 0.5, 0.5, 0.3, 0.1, 0.5, 0.5, 0.7, 0.5]
    paths = [solved(i, "a", i in (0, 7), scores=[score]) for i, score in enumerate(scores)]
    deviation = statistics.pstdev(scores)
    assert deviation == pytest.approx(0.2108, abs=1e-4)
    assert made(paths, "sigma", max_per_problem=2, sigmas=2.0)[0] == ["0>4", "7>3"], "each path once: the next nearest"
    assert made(paths, "sigma", max_per_problem=1, sigmas=1.0)[0] == ["0>3"]
    assert made(paths, "widest", max_per_problem=1)[0] == ["0>4"]


def test_shuffled_deals_the_questions_own_scores_out_anew() -> None:
    rows, _ = rows_of(FOUR, "shuffled", eta=0.0, chosen_correct=False)
    dealt = {row["id"].removeprefix("c#").partition(">")[0]: row["chosen_score"] for row in rows}
    dealt |= {row["id"].rpartition(">")[2]: row["rejected_score"] for row in rows}
    assert sorted(dealt.values()) == pytest.approx([0.2, 0.6, 0.7, 0.9])
    orders = {tuple(sorted(made(FOUR, "shuffled", eta=0.4, seed=seed)[0])) for seed in range(40)}
    assert ("0>3",) in orders, "some permutation leaves the scores as they are"
    assert len(orders) > 4
    assert all(name[0] in "01" for order in orders for name in order), "the chosen path is right all the same"


def mean(path: Path) -> float:
    return sum(path["scores"]["prm"]["steps"]) / len(path["scores"]["prm"]["steps"])


def has_gap(a: Path, b: Path) -> bool:
    return "scores" in a and "scores" in b and a["correct"] and mean(a) - mean(b) >= 0.2


def right_by_labels(path: Path) -> bool:
    return "labels" in path and all(one["hits"] > 0 for one in path["labels"])


def wrong_by_labels(path: Path) -> bool:
    return "labels" in path and any(one["hits"] == 0 and one["draws"] == 2 for one in path["labels"])


def passing(path: Path) -> bool:
    return "scores" in path and min(path["scores"]["prm"]["steps"]) >= 0.3


DEFINITIONS: dict[str, tuple[dict[str, Any], Callable[[Path, Path], bool]]] = {
    "threshold": ({"eta": 0.2}, has_gap),
    "widest": ({"eta": 0.2}, has_gap),
    "outcome": ({}, lambda a, b: a["correct"] and not b["correct"]),
    "consistent": (
        {"by": "labels", "rejected_fails": True},
        lambda a, b: a["correct"] and not b["correct"] and right_by_labels(a) and wrong_by_labels(b),
    ),
    "consistent ": (
        {"by": "scores", "pass_score": 0.3},
        lambda a, b: a["correct"] and not b["correct"] and passing(a),
    ),
    "frequent": ({"min_times": 2}, lambda a, b: a["correct"] and not b["correct"] and a.get("times", 0) >= 2),
    "sigma": ({}, lambda a, b: "scores" in a and "scores" in b and a["correct"] and mean(a) > mean(b)),
}


@pytest.mark.parametrize("rule", DEFINITIONS)
def test_a_rule_makes_the_pairs_of_its_definition(rule: str) -> None:
    settings, holds = DEFINITIONS[rule]
    found = 0
    for seed in range(80):
        paths = any_question(seed)
        expected = {
            f"{a['id'][2:]}>{b['id'][2:]}" for a, b in product(paths, paths) if a is not b and holds(a, b)
        }  # fmt: skip
        names, _ = made(paths, rule.strip(), **settings)
        assert (len(names), set(names)) == (len(expected), expected)
        found += len(names)
    assert found > 50


def test_only_the_wrong_step_of_a_path_is_rejected_and_it_does_not_end_there() -> None:
    paths = [
        solved(0, "abc", True, labels=[True] * 3, scores=[0.9] * 3),
        solved(1, "abc", labels=[True, False, False], scores=[0.4, 0.1, 0.1]),
        solved(2, "abc", labels=[True] * 3, scores=[0.9, 0.8, 0.2]),
    ]
    rows, report = rows_of(paths, "outcome", reject="step", by="labels")
    assert [(row["id"], row["rejected"], row["rejected_finish"]) for row in rows] == [
        ("c#0>1", "a+1=1\nb+1=1\n", "length"),
    ]  # fmt: skip
    assert (rows[0]["chosen"], rows[0]["chosen_finish"]) == (paths[0]["text"], "stop")
    assert report.rules["outcome"].counts["paths left out: not rejected: no wrong step"] == 1
    rows, _ = rows_of(paths, "threshold", reject="step", pass_score=0.3)
    assert {row["id"]: row["rejected"] for row in rows} == {
        "c#0>1": "a+1=1\nb+1=1\n",
        "c#0>2": "a+2=1\nb+2=1\nc+2=1\n",
    }
    with pytest.raises(DataError, match="c#1: steps: 2 steps, but the text has 3"):
        rows_of([paths[0], {**paths[1], "steps": paths[1]["steps"][:2], "labels": paths[1]["labels"][:2],
                            "scores": None}], "outcome", reject="step", by="labels")  # fmt: skip


def test_the_same_texts_make_one_pair() -> None:
    paths = [solved(0, "a", True), solved(1, "a"), {**solved(1, "a"), "id": "c#2"}]
    names, report = made(paths, "outcome")
    assert len(names) == 1
    assert report.rules["outcome"].counts["pairs left out: same texts as another pair"] == 1


def test_several_rules_give_the_pairs_of_all_each_once() -> None:
    names, report = made(FOUR, "consistent", "outcome", by="labels")
    assert sorted(names) == ["0>2", "0>3", "1>2", "1>3"]
    assert report.rules["outcome"].counts["pairs left out: made by a rule before it"] == 2
    assert (report.counts["pairs by consistent"], report.counts["pairs by outcome"]) == (2, 2)
    rows, _ = rows_of(FOUR, "outcome", "consistent", by="labels")
    assert {row["rule"] for row in rows} == {"outcome"}


def test_shares_mix_the_rules_as_they_say() -> None:
    rng = random.Random(5)
    paths = [solved(i, "a", i < 6, scores=[rng.random()], times=i % 4 + 1) for i in range(12)]
    rows, report = rows_of(paths, "frequent:1", "outcome:3", min_times=4)
    assert report.rules["frequent"].counts["pairs"] == 6
    assert report.rules["outcome"].counts["pairs"] == 36
    by = [row["rule"] for row in rows]
    assert (by.count("frequent"), by.count("outcome")) == (6, 18)
    assert report.counts["pairs left out: shares"] == 12
    rows, report = rows_of(paths, "frequent:0.5", "outcome:0.5", min_times=4, most=8)
    assert [row["rule"] for row in rows].count("frequent") == 4 == len(rows) / 2
    kept = {tuple(row["id"] for row in rows_of(paths, "frequent:1", "outcome:1", most=8, seed=s)[0]) for s in range(5)}
    assert len(kept) == 5, "which are drawn is the seed's choice"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (("best",), "there is no such rule"),
        (("outcome", "outcome:0.5"), "given twice"),
        (("outcome:0", "widest:1"), "no number above 0"),
        (("outcome:half", "widest:1"), "no number above 0"),
        (("outcome:0.5", "widest"), "some --rule have a share and some have none"),
        ((), "no --rule is given"),
    ],
)
def test_rules_that_cannot_be_mixed_are_refused(rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PairSettings(rule=rules)
