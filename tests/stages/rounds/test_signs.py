"""The failure signs as functions of numbers: where each begins, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evals.metrics import mcnemar
from stages.rounds.signs import ADVICE, ENDS, Sign, diverging, falling, plateau, shrinking, signs, weak
from stages.rounds.training import course
from stages.settings.health import SignSettings

LIMITS = SignSettings()


@pytest.mark.parametrize(
    ("gain", "p", "fell", "flat"),
    [
        (0.03, 0.01, False, False),  # it rose
        (0.03, 0.30, False, False),  # it may have risen: another round is worth it
        (0.009, 0.30, False, True),
        (0.01, 0.30, False, False),
        (0.0, 1.0, False, True),
        (-0.02, 0.051, False, True),
        (-0.02, 0.05, True, False),
        (0.005, 0.01, False, False),  # little, but certain
    ],
)
def test_accuracy_falls_by_a_test_and_is_flat_by_a_test_and_a_least_gain(
    gain: float, p: float, fell: bool, flat: bool
) -> None:
    assert falling(gain, p, LIMITS) == fell
    assert plateau([(gain, p)], LIMITS) == flat


def test_patience_wants_several_flat_rounds_in_a_row() -> None:
    patient = replace(LIMITS, patience=2)
    flat, risen = (0.0, 1.0), (0.1, 0.001)
    assert not plateau([flat], patient), "there was one round only"
    assert plateau([risen, flat, flat], patient)
    assert not plateau([flat, risen, flat], patient)
    assert not plateau([], LIMITS)


def test_the_rule_ends_half_of_the_loops_that_gain_a_point_and_few_that_gain_more() -> None:
    """The chances that docs/running.md tells of, at 1,000 problems of which 150 are right in only one round."""

    def flat(won: int) -> bool:
        return plateau([((2 * won - 150) / 1000, mcnemar(150 - won, won))], LIMITS)

    assert [flat(won) for won in (65, 75, 79, 80, 90)] == [True, True, True, False, False]
    assert falling((2 * 62 - 150) / 1000, mcnemar(88, 62), LIMITS), "26 points of a thousand fewer"
    assert not falling((2 * 65 - 150) / 1000, mcnemar(85, 65), LIMITS)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, None),
        ({"accuracy": 0.7}, "right about 70.0% of 200"),
        ({"accuracy": 0.69}, "always one verdict: 70.0%"),
        ({"pair_accuracy": 0.64}, "first in 64.0% of pairs"),
        ({"pair_accuracy": 0.64, "pairs": 29}, None),  # too few to tell
        ({"pair_accuracy": None, "pairs": 0}, None),
        ({"accuracy": None, "majority_accuracy": None, "pair_accuracy": None, "steps": 0}, None),
    ],
)
def test_a_reward_model_is_weak_against_one_verdict_or_within_a_question(
    more: dict[str, Any], reason: str | None
) -> None:
    measured = {"steps": 200, "accuracy": 0.8, "majority_accuracy": 0.7, "pair_accuracy": 0.8, "pairs": 400, **more}
    found = weak(measured, LIMITS)
    assert found is None if reason is None else reason in str(found)


def training(losses: list[float], **more: Any) -> dict[str, Any]:
    return {"stage": "orpo", "keep": "last", "lines": len(losses), "not_finite": 0, "loss": course(losses), **more}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (training([1.0, 0.9, 0.8, 0.7, 0.6, 0.6]), None),
        (training([1.0, 0.7, 0.6, 0.6, 0.7, 0.8, 1.1, 1.2, 1.3]), "the loss rose from 0.633 to 1.2"),
        (training([0.60, 0.50, 0.64, 0.52, 0.66, 0.62]), None),  # noise
        (training([0.5, 0.6, 2.0]), None),  # too few lines
        (training([0.5] * 6) | {"not_finite": 2}, "no number in 2 of 6"),
        (training([0.5] * 6, held_out_loss={"first": 1.0, "lowest": 0.8, "last": 0.9}), "held-out loss rose from 0.8"),
        (training([0.5] * 6, held_out_loss={"first": 1.0, "lowest": 0.8, "last": 0.85}), None),
        (training([0.5] * 6, held_out_loss={"first": 1.0, "lowest": 0.8, "last": 0.9}, keep="best"), None),
        (training([0.5] * 6, chosen_logps=course([-0.1, -0.1, -0.2, -0.3, -0.4, -0.4])), "90.5% per token"),
        (training([0.5] * 6, chosen_logps=course([-0.4, -0.4, -0.3, -0.2, -0.1, -0.1])), None),
        # sums over whole completions: DPO's scale says nothing of a token
        (training([0.5] * 6, chosen_logps=course([-9.0, -9.1, -9.2, -9.3, -9.4, -9.5]), stage="dpo"), None),
    ],
)
def test_a_training_diverges_by_its_loss_or_by_what_it_does_to_chosen_paths(
    told: dict[str, Any], reason: str | None
) -> None:
    found = diverging(told, LIMITS)
    assert found is None if reason is None else reason in str(found)


def drawn(distinct: float, error: float | None = 0.01, draws: float = 4.0) -> dict[str, Any]:
    return {"distinct_per_draw": distinct, "standard_error": error, "draws_per_question": draws}


@pytest.mark.parametrize(
    ("now", "shrank"),
    [
        (drawn(0.8), False),
        (drawn(0.61), False),  # a quarter is 0.6
        (drawn(0.6), True),
        (drawn(0.5, 0.2), False),  # it may be chance
        (drawn(0.5, None), False),  # one question
        (drawn(0.5, draws=8.0), False),  # of more draws more are the same
    ],
)
def test_diversity_shrinks_by_a_share_and_by_a_test_where_draws_are_as_many(now: dict[str, Any], shrank: bool) -> None:
    assert (shrinking(now, drawn(0.8), LIMITS) is not None) == shrank


def test_a_round_without_anything_to_judge_has_no_sign_and_all_signs_may_come_together() -> None:
    assert signs([], None, None, None, None, {}, LIMITS) == []
    measured = {"steps": 9, "accuracy": 0.5, "majority_accuracy": 0.7}
    found = signs(
        [(-0.1, 0.001)], measured, training([0.5] * 6) | {"not_finite": 1}, drawn(0.1), drawn(0.9),
        {"ood": (-0.2, 0.01), "other": (0.2, 0.01)}, LIMITS,
    )  # fmt: skip
    assert [one.sign for one in found] == [
        Sign.FALLING, Sign.WEAK, Sign.DIVERGING, Sign.SHRINKING, Sign.ELSEWHERE,
    ]  # fmt: skip
    assert "other" not in found[-1].why
    assert all(one.as_dict()["advice"] == ADVICE[one.sign] for one in found)


def test_every_sign_has_advice_that_names_an_option_and_only_accuracy_ends_a_loop() -> None:
    assert set(ADVICE) == set(Sign)
    assert all("--" in text for text in ADVICE.values())
    assert ENDS == {"never": (), "plateau": (Sign.PLATEAU, Sign.FALLING), "worse": (Sign.FALLING,)}
