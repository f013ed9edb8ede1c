"""The audit: what it counts against patterns worked out by hand, what it costs, and that it changes no label."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.metrics import wilson
from evals.worlds import chain
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.audit import audit_report, claimed_error
from tests.stages.fakes import chain_problem, path, work
from tests.stages.strategies.truth import LONG, long_problem, pattern_engine, prefix_of


def test_the_comparison_is_that_of_patterns_worked_out_by_hand() -> None:
    # dead at step 2, live again at 3 and 4, dead from 5 on: binary search sees steps 3 (live), 5 (dead), 4 (live)
    patterns = {prefix_of(LONG, j): [j not in (2, 5, 6, 7)] * 4 for j in range(8)}
    problem = chain_problem(paths=[path(0, *LONG, answer="75")])
    stage = Simulation(pattern_engine(patterns), SimulateSettings(strategy="binary", k=4, gold=False, audit=1.0))
    labelled, counts = work(stage, problem)
    assert [one.hard for one in labelled.paths[0].labels or []] == [True] * 5 + [False] * 3
    report = audit_report(counts)
    low, high = wilson(7, 8)
    assert report["labels that agree with brute"] == {
        "rate": 87.5, "low": round(100 * low, 2), "high": round(100 * high, 2), "n": 8
    }  # fmt: skip
    assert report["wrong steps, precision"]["rate"] == 100.0
    assert (report["wrong steps, recall"]["rate"], report["wrong steps, recall"]["n"]) == (75.0, 4)
    assert (report["first errors that agree"]["rate"], report["first errors that agree"]["n"]) == (0.0, 1)
    assert report["paths live again behind a dead step"]["rate"] == 100.0
    assert counts["audit: steps live behind a dead one"] == 2
    assert report["before-live labels that agree"]["rate"] == pytest.approx(66.67)
    assert report["after-dead labels that agree"]["rate"] == 100.0


def test_the_audit_makes_only_the_draws_that_are_missing_and_counts_them_apart() -> None:
    plain = work(_stage(0.0), long_problem(3)[0])
    problem, engine = long_problem(3)
    audited = work(_stage(1.0, engine), problem)
    assert plain[0] == audited[0], "the labels stay the strategy's"
    assert plain[1]["rollouts"] == audited[1]["rollouts"] == 10
    assert audited[1]["audit: rollouts"] == 8 * 4 - 10
    assert set(engine.handed.values()) == {1}
    assert {name: n for name, n in audited[1].items() if not name.startswith("audit")} == plain[1]
    assert audit_report(plain[1]) == {}


def _stage(share: float, engine: object = None) -> Simulation:
    settings = SimulateSettings(strategy="first-error", k=4, gold=False, audit=share)
    return Simulation(engine or long_problem(3)[1], settings)  # type: ignore[arg-type]  # any engine


def test_steps_given_up_too_early_show_as_disagreement() -> None:
    patterns = {prefix_of(LONG, j): [False] * 7 + [j < 4] for j in range(8)}  # live by the last draw alone
    problem = chain_problem(paths=[path(0, *LONG, answer="75")])
    settings = SimulateSettings(strategy="first-error", gold=False, audit=1.0, confidence=0.8)
    _, counts = work(Simulation(pattern_engine(patterns), settings), problem)
    assert (counts["audit: early-stop"], counts["audit: early-stop, alike"]) == (1, 0)
    assert counts["audit: after-dead, alike"] == 4
    assert audit_report(counts)["first errors that agree"]["rate"] == 0.0


def test_the_audited_share_is_drawn_by_id_and_seed_independently_of_the_labelled_share() -> None:
    totals: Counter[str] = Counter()
    for problem in chain.problems("train", 60, 3):
        drawn, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=2)), problem)
        stage = Simulation(ScriptedEngine("gold:0.5"), SimulateSettings(k=2, share=0.5, audit=0.3))
        totals += work(stage, drawn)[1]
    assert totals["audit: problems"] / totals["problems labelled"] == pytest.approx(0.3, abs=0.2)
    assert totals["audit: steps"] == totals["audit: steps alike"] > 0, "exact agrees with brute"


def test_an_undecided_step_hides_the_first_error_only_where_it_could_be_it() -> None:
    problem, engine = long_problem(3)
    settings = SimulateSettings(strategy="first-error", k=4, gold=False, audit=1.0, budget=5)
    labelled, counts = work(Simulation(engine, settings), problem)
    assert claimed_error(labelled.paths[0].labels or []) is None
    assert counts["audit: first errors undecided"] == 1
    assert counts["audit: steps undecided"] == 6
    full, _ = work(_stage(0.0), long_problem(3)[0])
    assert claimed_error(full.paths[0].labels or []) == 3
    assert claimed_error((full.paths[0].labels or [])[:3]) == -1
