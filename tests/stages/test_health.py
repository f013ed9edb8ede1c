"""health: a loop's folder, made to fail in each of the ways, and what is said about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from evals.metrics import mcnemar, wilson
from stages.health import health
from stages.report import report
from stages.rounds.lines import HEALTH, health_lines
from stages.rounds.signs import ADVICE, Sign
from stages.settings.health import HealthSettings
from tests.stages.rounds.folders import healthy_loop, paths, results, reward_model, trained

LATEST = HealthSettings()


def of_round(folder: Path, number: int, settings: HealthSettings = LATEST) -> dict[str, Any]:
    (found,) = health(folder, replace(settings, round=number))
    return found[0]


def said(folder: Path, number: int, settings: HealthSettings = LATEST) -> list[str]:
    return [sign["sign"] for sign in of_round(folder, number, settings)["signs"]]


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return healthy_loop(tmp_path / "loop", rounds=2)


def test_a_healthy_round_has_its_figures_and_no_sign(loop: Path) -> None:
    line = of_round(loop, 2)
    assert (line["round"], line["policy"], line["model"]) == (2, "round2", "m2")
    assert (line["accuracy"], tuple(line["interval"])) == (0.7, wilson(140, 200))
    assert (line["gain"], line["p"]) == (pytest.approx(0.2), mcnemar(0, 40))
    assert (line["gain_over_sft"], line["p_over_sft"]) == (pytest.approx(0.4), mcnemar(0, 80))
    assert line["splits"]["test"]["cut_off"] == pytest.approx(0.1)
    assert line["splits"]["test"]["tokens"] == 20
    assert line["pairs"] == {
        "pairs": 33, "problems": 90, "problems_with_a_pair": 20, "by_rule": {"consistent": 30, "outcome": 12},
    }  # fmt: skip
    assert line["labels"] == {
        "problems": 5, "steps": 40, "rollouts": 100, "tokens": 900, "seconds": 12.5,
        "of_brute_force": 100 / 320, "of_brute_force_tokens": 0.5,
    }  # fmt: skip
    assert line["reward_model"]["brier"] == 0.15
    assert line["drawn"]["distinct_per_draw"] == pytest.approx(3.5 / 4)
    assert line["training"]["loss"]["last"] == 0.5
    assert (line["signs"], line["best"], line["best_model"], line["stop"]) == ([], 2, "m2", None)


def test_the_first_round_is_compared_with_sft(loop: Path) -> None:
    line = of_round(loop, 1)
    assert (line["gain"], line["p"]) == (line["gain_over_sft"], line["p_over_sft"])


def plateau(loop: Path) -> None:
    results(loop, 3, range(1, 142))  # one lost, two won


def fall(loop: Path) -> None:
    results(loop, 3, 120)


def weak_reward_model(loop: Path) -> None:
    results(loop, 3, 180)
    reward_model(loop, 3, accuracy=0.66)


def divergence(loop: Path) -> None:
    results(loop, 3, 180)
    trained(loop, 3, [0.6, 0.5, 0.5, 0.6, 0.9, 1.4, 2.0, 2.2, 2.4])


def loss_of_diversity(loop: Path) -> None:
    results(loop, 3, 180)
    paths(loop, 3, [1, 2] * 20)


WAYS = {
    Sign.PLATEAU: plateau,
    Sign.FALLING: fall,
    Sign.WEAK: weak_reward_model,
    Sign.DIVERGING: divergence,
    Sign.SHRINKING: loss_of_diversity,
}


@pytest.mark.parametrize("sign", WAYS)
def test_a_round_made_to_fail_in_one_way_is_told_this_way_with_advice(loop: Path, sign: Sign) -> None:
    WAYS[sign](loop)
    (found,) = of_round(loop, 3)["signs"]
    assert (found["sign"], found["advice"]) == (sign, ADVICE[sign])
    assert found["why"]


def test_a_fall_on_other_problems_is_told_and_ends_no_loop(loop: Path) -> None:
    for number, right in enumerate((50, 60, 20)):
        results(loop, number, right, split="ood", n=100)
    line = of_round(loop, 2, replace(LATEST, stop_when="plateau"))
    assert [sign["sign"] for sign in line["signs"]] == ["falling elsewhere"]
    assert "ood -40.0 points" in line["signs"][0]["why"]
    assert line["stop"] is None
    assert line["accuracy"] == 0.7, "the test split's"


@pytest.mark.parametrize(
    ("way", "when", "stop"),
    [
        (plateau, "plateau", "plateau"),
        (plateau, "worse", None),
        (plateau, "never", None),
        (fall, "plateau", "falling accuracy"),
        (fall, "worse", "falling accuracy"),
        (divergence, "plateau", None),
    ],
)
def test_a_loop_ends_by_the_sign_that_it_was_told_to_end_by(loop: Path, way: Any, when: Any, stop: str | None) -> None:
    way(loop)
    line = of_round(loop, 3, replace(LATEST, stop_when=when))
    assert line["stop"] == (None if stop is None else {"when": when, "sign": stop})
    assert line["best"] == (2 if way is fall else 3)


def test_validation_problems_decide_where_there_are_some_and_test_problems_are_shown_only(loop: Path) -> None:
    for number, right in enumerate((20, 60, 30)):
        results(loop, number, right, kind="validation", split=None, n=100)
    line = of_round(loop, 2)
    assert (line["accuracy"], line["measured_on"]) == (
        0.3, {"file": "validation", "split": "validation", "n": 100},
    )  # fmt: skip
    assert (line["gain"], line["chosen_on"]) == (pytest.approx(-0.3), "validation")
    assert (line["best"], [sign["sign"] for sign in line["signs"]]) == (1, ["falling accuracy"])
    assert line["splits"]["test"]["gain"] == pytest.approx(0.2), "on test problems it rose, which decides nothing"
    assert list(line["splits"]) == ["validation", "test"]


def test_of_equally_good_rounds_the_first_is_the_best_and_sft_may_be(loop: Path) -> None:
    results(loop, 3, 140)
    assert of_round(loop, 3)["best"] == 2
    results(loop.parent / "bad", 0, 100)
    results(loop.parent / "bad", 1, 90)
    assert (of_round(loop.parent / "bad", 1)["best_model"]) == "m0"


def test_a_loop_without_feedback_from_steps_has_no_figures_of_it(tmp_path: Path) -> None:
    results(tmp_path, 0, 60)
    results(tmp_path, 1, 100)
    line = of_round(tmp_path, 1)
    for part in ("pairs", "labels", "reward_model", "drawn", "training"):
        assert line[part] is None
    assert line["signs"] == []


def test_m0_may_be_another_loops(loop: Path) -> None:
    arm = loop.parent / "arm"
    results(arm, 1, 80)
    assert of_round(arm, 1)["gain"] is None
    shared = replace(LATEST, sft_from=loop)
    assert of_round(arm, 1, shared)["gain"] == pytest.approx(0.1)
    assert said(arm, 1, shared) == []


def test_the_line_is_kept_once_and_replaced_only_by_another(loop: Path) -> None:
    assert [how for _, how in health(loop, LATEST)] == ["added", "added"]
    before = (loop / HEALTH).read_bytes()
    assert [how for _, how in health(loop, LATEST)] == ["unchanged", "unchanged"]
    assert (loop / HEALTH).read_bytes() == before
    reward_model(loop, 1, accuracy=0.1)
    assert [how for _, how in health(loop, LATEST)] == ["replaced", "unchanged"]
    lines = health_lines(loop)
    assert [line["round"] for line in lines] == [1, 2]
    assert lines[0]["reward_model"]["accuracy"] == 0.1
    (loop / HEALTH).write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    health(loop, replace(LATEST, round=1))
    assert [line["round"] for line in health_lines(loop)] == [1, 2], "in the order of the rounds"


def test_a_round_that_is_not_finished_is_refused_and_a_damaged_file_named(loop: Path) -> None:
    with pytest.raises(UsageError, match=r"no complete eval/round3\.jsonl"):
        health(loop, replace(LATEST, round=3))
    with pytest.raises(UsageError, match="no finished round"):
        health(loop.parent, LATEST)
    (loop / HEALTH).write_text('{"round": 1}\n{"round"')
    with pytest.raises(DataError, match=r"health\.jsonl:2: not JSON"):
        health(loop, LATEST)
    (loop / HEALTH).write_text("[]\n")
    with pytest.raises(DataError, match=r"health\.jsonl:1: round: missing"):
        health(loop, LATEST)


def test_the_report_names_the_best_round_and_what_ended_the_loop(loop: Path) -> None:
    assert report([loop])["best"] == []
    fall(loop)
    health(loop, replace(LATEST, stop_when="worse"))
    arm = loop.parent / "arm"
    results(arm, 1, 10)
    health(arm, replace(LATEST, sft_from=loop))
    assert report([loop, arm])["best"] == [
        {"loop": "loop", "round": 2, "policy": "loop/round2", "model": "m2", "chosen_on": "test", "rounds": 3,
         "ended_by": "falling accuracy"},
        {"loop": "arm", "round": 0, "policy": None, "model": "m0", "chosen_on": "test", "rounds": 1, "ended_by": None},
    ]  # fmt: skip
