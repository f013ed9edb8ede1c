"""simulate over whole lines: the share, gold paths, what is kept of rollouts, and the cost report."""

from __future__ import annotations

import pytest

from evals.errors import DataError
from evals.tasks import check_paths
from evals.worlds import chain
from stages.engines.base import Draw, Request
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.seeds import in_share
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.cost import cost_report
from tests.stages.fakes import Written, chain_problem, path, work

GOLD = ("40-15=25", "25*3=75", "75+1=76")


def right(request: Request, draw: Draw) -> str:
    return "then\nThe answer is 76"


def test_gold_solutions_join_as_paths_without_draws() -> None:
    engine = Written(right)
    problem, counts = work(Simulation(engine, SimulateSettings(k=4)), chain_problem(paths=[path(0, *GOLD[:2])]))
    sampled, gold = problem.paths
    assert (gold.id, gold.source, gold.steps, gold.correct) == ("c#gold", "gold", list(GOLD), True)
    assert [(one.gold, one.draws, one.hard, one.soft) for one in gold.labels or []] == [(True, 0, True, 1.0)] * 3
    assert [one.gold for one in sampled.labels or []] == [False, False]
    assert counts["gold paths"] == 1
    assert counts["steps labelled"] == 2, "gold steps are not counted among the labelled"
    again, counts = work(Simulation(engine, SimulateSettings(k=4)), problem)
    assert [one.id for one in again.paths] == ["c#0", "c#gold"]
    assert counts["gold paths"] == counts["rollouts"] == 0, "labelled paths are left alone"
    without, counts = work(Simulation(engine, SimulateSettings(gold=False)), chain_problem(paths=[]))
    assert without.paths == []
    _, counts = work(Simulation(engine, SimulateSettings()), chain_problem(solution=None))
    assert counts["problems without a gold solution"] == 1


def test_only_the_share_of_problems_is_labelled_and_the_choice_is_the_seeds() -> None:
    ids = [f"p{i}" for i in range(2000)]
    for share in (0.0, 0.2, 0.5, 1.0):
        assert sum(in_share(name, share, 0) for name in ids) / 2000 == pytest.approx(share, abs=0.03)
    assert {name for name in ids if in_share(name, 0.2, 0)} < {name for name in ids if in_share(name, 0.5, 0)}
    assert [in_share(name, 0.5, 0) for name in ids] != [in_share(name, 0.5, 1) for name in ids]
    engine = Written(right)
    problem, counts = work(Simulation(engine, SimulateSettings(share=0.0)), chain_problem(paths=[path(0, *GOLD)]))
    assert problem.paths[0].labels is None
    assert len(problem.paths) == 1
    assert not engine.asked
    assert counts == {"problems outside the share": 1}


def test_soft_labels_need_all_draws() -> None:
    for name, known in (("exact", False), ("brute", True)):
        engine = Written(right)
        stage = Simulation(engine, SimulateSettings(strategy=name, k=4, gold=False))
        problem, _ = work(stage, chain_problem(paths=[path(0, *GOLD)]))
        assert [(one.soft is not None, one.hard) for one in problem.paths[0].labels or []] == [(known, True)] * 3


def test_rollouts_keep_answer_verdict_seed_and_on_demand_their_text() -> None:
    for keep in (False, True):
        stage = Simulation(Written(right), SimulateSettings(k=2, keep_text=keep, strategy="brute", gold=False))
        problem, _ = work(stage, chain_problem(paths=[path(0, GOLD[0])]))
        (label,) = problem.paths[0].labels or []
        assert [(one.answer, one.correct, one.tokens) for one in label.rollouts] == [("76", True, 5)] * 2
        assert len({one.seed for one in label.rollouts}) == 2
        assert [one.text for one in label.rollouts] == ["then\nThe answer is 76" if keep else None] * 2
        assert ('"text":"then' in problem.to_json()) is keep


def test_a_rollout_is_asked_for_with_the_settings() -> None:
    engine = Written(right)
    work(Simulation(engine, SimulateSettings(k=1, top_p=0.9, max_tokens=7)), chain_problem(paths=[path(0, GOLD[0])]))
    (request,) = engine.asked
    assert (request.prefix, request.top_p, request.max_tokens) == ("40-15=25\n", 0.9, 7)
    assert "Question:" in request.stop


def test_the_cost_report_is_what_was_drawn_over_what_brute_force_draws() -> None:
    report = {}
    for name in ("brute", "exact"):
        counts = dict.fromkeys(("steps", "prefixes", "drawn"), 0)
        totals: dict[str, int] = {}
        for problem in chain.problems("train", 8, 1):
            drawn, _ = work(Sampler(ScriptedEngine("gold:0.6"), SampleSettings(n=6)), problem)
            stage = Simulation(ScriptedEngine("gold:0.5"), SimulateSettings(strategy=name, k=8))
            labelled, made = work(stage, drawn)
            sampled = [one for one in labelled.paths if one.source == "sample"]
            prefixes = {tuple(one.steps[: j + 1]): label for one in sampled for j, label in enumerate(one.labels or [])}
            counts["steps"] += sum(len(one.steps) for one in sampled)
            counts["prefixes"] += len(prefixes)
            counts["drawn"] += sum(label.draws for label in prefixes.values())
            for key, value in made.items():
                totals[key] = totals.get(key, 0) + value
        report[name] = cost_report(totals)
        assert report[name]["rollouts against brute, unique prefixes"] == counts["drawn"] / (8 * counts["prefixes"])
        assert report[name]["rollouts against brute, every prefix"] == counts["drawn"] / (8 * counts["steps"])
    assert report["brute"]["rollouts against brute, unique prefixes"] == 1
    assert report["brute"]["tokens against brute, unique prefixes"] == 1
    assert report["exact"]["rollouts against brute, unique prefixes"] < 0.9
    assert report["exact"]["tokens against brute, every prefix"] < report["brute"]["tokens against brute, every prefix"]
    assert cost_report({}) == {}


def test_paths_whose_steps_are_not_those_of_their_text_are_bad_lines() -> None:
    good = path(0, *GOLD)
    check_paths(chain_problem(paths=[good]))
    with pytest.raises(DataError, match=r"paths\.1\.steps: 1 steps, but the text has 3"):
        check_paths(chain_problem(paths=[good, {**good, "id": "c#1", "steps": ["40-15=25"]}]))


def test_steps_that_were_given_are_rolled_out_where_they_end_whatever_lines_they_have() -> None:
    given = {"id": "c#0", "text": "First,\n40-15=25.\n\n25*3=75", "steps": ["First,\n40-15=25.", "25*3=75"]}
    engine = Written(right)
    problem = chain_problem(paths=[{**given, "split": "given"}])
    check_paths(problem)
    problem, _ = work(Simulation(engine, SimulateSettings(k=1, gold=False)), problem)
    assert [request.prefix for request in engine.asked] == [
        "First,\n40-15=25.\n\n",
        "First,\n40-15=25.\n\n25*3=75\n\n",
    ]
    assert len(problem.paths[0].labels or []) == 2
    with pytest.raises(DataError, match=r"paths\.0\.steps: 2 steps, but the text has 3"):
        check_paths(chain_problem(paths=[given]))
    with pytest.raises(DataError, match=r"paths\.0\.steps\.1: 'no' does not stand in the text"):
        check_paths(chain_problem(paths=[{**given, "split": "given", "steps": ["25*3=75", "no"]}]))
