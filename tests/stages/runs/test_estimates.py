"""From a sample to the whole: exact where all is known, unbiased, and as uncertain as it says."""

from __future__ import annotations

import random

import pytest

from stages.runs.estimates import Estimate, Moment, around, seconds_per_token, t_quantile, total


def test_what_is_known_of_all_units_is_exact() -> None:
    assert total([(1.0, 5), (2.0, 7), (1.0, 0)], 4.0, 3) == Estimate(12, 12, 12)
    assert total([], 0.0, 0) == Estimate(0, 0, 0)


def test_what_is_proportional_to_the_sizes_has_no_range() -> None:
    assert total([(1.0, 5), (3.0, 15)], 40.0, 20) == Estimate(200, 200, 200)


def test_one_unit_gives_an_estimate_without_an_upper_end() -> None:
    assert total([(2.0, 10)], 20.0, 10) == Estimate(100, 10, None)


def test_the_range_holds_the_truth_in_about_95_of_100_samples() -> None:
    draws = random.Random(3)
    sizes = [draws.uniform(1, 9) for _ in range(300)]
    amounts = [size * draws.uniform(5, 15) for size in sizes]
    truth, held, means = sum(amounts), 0, []
    for _ in range(600):
        chosen = draws.sample(range(300), 24)
        found = total([(sizes[i], amounts[i]) for i in chosen], sum(sizes), 300)
        assert found.high is not None
        held += found.low <= truth <= found.high
        means.append(found.value)
    assert 0.91 < held / 600 < 0.985
    assert sum(means) / 600 == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize(
    ("freedom", "exact"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (15, 2.131), (100, 1.984)]
)
def test_the_quantiles_are_those_of_students_t(freedom: int, exact: float) -> None:
    assert t_quantile(freedom) == pytest.approx(exact, rel=0.01)


def test_another_value_is_as_uncertain_as_the_known_one() -> None:
    assert around(10, Estimate(100, 80, 130)) == Estimate(10, 8, 13)
    assert around(10, Estimate(0, 0, 0)) == Estimate(10, 10, 10)
    assert around(10, Estimate(100, 10, None)) == Estimate(10, 1, None)


def course(per_written: float, per_prompt: float, *, noise: float = 0.0) -> list[Moment]:
    """A short run: prompts of 64 rows at once, 64 tokens a slice with now and then a new prompt, and a slow end."""
    draws = random.Random(1)
    moments, seconds, written, prompt = [Moment(0, 0, 0)], 0.0, 0, 0
    for number in range(200):
        new = 64 * 90 if number == 0 else 90 * draws.choice([0, 0, 1, 2])
        rows = 64 if number < 120 else max(1, 64 - (number - 120))
        took = per_written * rows + per_prompt * new if number < 120 else per_written * 64
        seconds += took * (1 + noise * draws.uniform(-1, 1))
        written, prompt = written + rows, prompt + new
        moments.append(Moment(seconds, written, prompt))
    return moments


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_the_two_kinds_of_tokens_take_is_told_apart_from_a_full_engine(noise: float) -> None:
    moments = course(2e-4, 5e-5, noise=noise)
    found = seconds_per_token(moments, moments[-1].written)
    assert found is not None
    assert found[0] == pytest.approx(2e-4, rel=0.01 + noise / 3)
    assert found[1] == pytest.approx(5e-5, rel=0.01 + noise)  # most prompts are computed in one slice


def test_prompts_that_come_with_their_tokens_are_not_told_apart() -> None:
    moments = [Moment(i, 10 * i, 30 * i) for i in range(40)]
    assert seconds_per_token(moments, 390) == pytest.approx((0.1, 0.0))


def test_a_course_of_few_moments_says_nothing() -> None:
    assert seconds_per_token([], 0) is None
    assert seconds_per_token([Moment(i, 10 * i, 0) for i in range(6)], 50) is None
    assert seconds_per_token([Moment(i, 0, 10 * i) for i in range(40)], 0) is None
