"""relabel: the labels of a run with other settings, out of this one's rollouts; what they do not decide is refused."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.worlds import chain
from stages.engines.scripted.engine import ScriptedEngine
from stages.relabel import Relabelling
from stages.sample import Sampler
from stages.settings.labels import LabelKind, RelabelSettings
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.training.step_targets import path_targets
from tests.lines import labelled_problem
from tests.stages.fakes import work


def simulated(**options: Any) -> list[Problem]:
    lines = []
    for problem in chain.problems("train", 4, 6):
        drawn, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=5)), problem)
        lines.append(work(Simulation(ScriptedEngine("gold:0.3"), SimulateSettings(**options)), drawn)[0])
    return lines


def relabelled(problem: Problem, **options: Any) -> Problem:
    return work(Relabelling(RelabelSettings(**options)), problem.model_copy(deep=True))[0]


def flags(problem: Problem) -> list[list[bool | None]]:
    return [[label.hard for label in path.labels or []] for path in problem.paths]


@pytest.mark.parametrize(("k", "delta"), [(8, 1), (4, 0), (4, 3), (1, 0), (8, 0)])
def test_brutes_rollouts_give_the_labels_of_a_run_with_other_settings(k: int, delta: int) -> None:
    for all_draws, wanted in zip(
        simulated(strategy="brute"), simulated(strategy="brute", k=k, delta=delta), strict=True
    ):
        made = relabelled(all_draws, k=k, delta=delta)
        assert flags(made) == flags(wanted)
        for one, other, kept in zip(made.paths, wanted.paths, all_draws.paths, strict=True):
            assert [label.soft for label in one.labels or []] == [label.soft for label in other.labels or []]
            assert [label.draws for label in one.labels or []] == [label.draws for label in other.labels or []]
            assert [label.rollouts for label in one.labels or []] == [label.rollouts for label in kept.labels or []]
            assert one.text == kept.text
        assert relabelled(made, k=8, delta=0) == relabelled(all_draws, k=8, delta=0), "and back"


def test_the_question_is_labelled_again_with_its_paths() -> None:
    for problem in simulated(strategy="brute", root=True):
        made = relabelled(problem, delta=2)
        assert problem.root is not None
        assert made.root is not None
        assert (made.root.delta, made.root.hard) == (2, problem.root.hits > 2)
    (first, *_) = simulated(strategy="exact", root=True, k=8)
    assert first.root is not None
    assert first.root.draws < 8
    with pytest.raises(DataError, match="root: "):
        Relabelling(RelabelSettings(want="soft")).check(first.model_copy(update={"paths": []}))


@pytest.mark.parametrize("name", ["brute", "exact", "first-error", "binary", "mcts"])
def test_the_same_settings_change_nothing(name: str) -> None:
    for problem in simulated(strategy=name, trust_correct=name == "first-error", k=4):
        assert relabelled(problem, keep_undecided=True).to_json() == problem.to_json()


def test_a_soft_label_from_an_early_end_is_refused_naming_brute() -> None:
    problem = next(line for line in simulated(strategy="exact") if any(path.labels for path in line.paths))
    with pytest.raises(DataError, match=r"paths\.\d+\.labels\.\d+: settled after \d of 8 draws.*brute"):
        Relabelling(RelabelSettings(want="soft")).check(problem)
    Relabelling(RelabelSettings(want="soft")).check(simulated(strategy="brute")[0])
    for problem in simulated(strategy="first-error"):
        if any(label.inferred for path in problem.paths for label in path.labels or []):
            with pytest.raises(DataError, match=r"brute"):
                Relabelling(RelabelSettings(want="soft")).check(problem)


def test_a_delta_that_the_draws_do_not_decide_is_refused_or_written_as_undecided() -> None:
    refused = 0
    for problem in simulated(strategy="exact"):
        made = relabelled(problem, delta=1, keep_undecided=True)
        before, undecided = problem.to_json(), any(None in path for path in flags(made))
        with pytest.raises(DataError, match="--strategy exact --delta 1") if undecided else nullcontext():
            Relabelling(RelabelSettings(delta=1)).check(problem)
        assert problem.to_json() == before, "a check changes nothing"
        refused += undecided
        for path in made.paths:
            for label in path.labels or []:
                decided = label.gold or label.hits > 1 or label.hits + label.k - label.draws <= 1 or label.inferred
                assert (label.hard is not None) is bool(decided)
    assert refused > 1


def test_a_step_given_up_stays_wrong_at_a_higher_delta_and_is_undecided_at_a_lower_one() -> None:
    problem = labelled_problem(1)
    label = {"k": 8, "delta": 1, "draws": 3, "hits": 0, "settled": False, "inferred": "early-stop",
             "rollouts": [{"correct": False, "seed": i} for i in range(3)]}  # fmt: skip
    wrong = problem.paths[1].model_dump(exclude_unset=True)
    wrong["labels"] = [label, {**label, "draws": 0, "rollouts": [], "inferred": "after-dead"}]
    problem = Problem.model_validate({**problem.model_dump(exclude_unset=True), "paths": [wrong]})
    assert flags(relabelled(problem)) == flags(relabelled(problem, delta=2)) == [[False, False]]
    with pytest.raises(DataError, match="do not decide delta 0"):
        relabelled(problem, delta=0)
    assert flags(relabelled(problem, delta=0, keep_undecided=True)) == [[None, None]]


def test_rollouts_that_were_not_kept_allow_another_delta_and_no_other_k() -> None:
    problem = labelled_problem(1)  # 6, 2 and 0 hits of 8, without the rollouts
    assert flags(relabelled(problem, delta=2)) == [[True], [False, False]]
    with pytest.raises(DataError, match="its rollouts were not kept"):
        relabelled(problem, k=4)
    with pytest.raises(DataError, match="no step could be right"):
        relabelled(problem, delta=8)


def rooted(problem: Problem, hits: int = 3) -> Problem:
    """The problem with eight rollouts of its bare question, of which the first so many are right."""
    rollouts = [{"correct": i < hits, "seed": i} for i in range(8)]
    root = {"k": 8, "delta": 0, "draws": 8, "hits": hits, "settled": True, "rollouts": rollouts}
    return Problem.model_validate({**problem.model_dump(exclude_unset=True), "root": root})


@pytest.mark.parametrize("want", ["progress:0.8", "advantage", "threshold:0.5", "soft"])
@pytest.mark.parametrize("k", [2, 5, 8])
def test_the_verdict_follows_the_wanted_kind_of_the_first_k_draws(want: str, k: int) -> None:
    kind, seen = LabelKind.parse(want), set()
    for line in simulated(strategy="brute"):
        problem = rooted(line)
        made = relabelled(problem, want=want, k=k)
        assert made.root is not None
        assert (made.root.k, made.root.hits) == (k, min(3, k))
        for path in made.paths:
            targets = path_targets(kind, path.labels or [], made.root)
            for label, target in zip(path.labels or [], targets, strict=True):
                assert target is not None
                assert label.hits == sum(rollout.correct for rollout in label.rollouts[:k])
                right = label.hits > 0 if want == "soft" else target >= 0.5
                assert label.hard is (label.gold or right)
                seen.add(label.hard)
        assert relabelled(made, want="hard", k=8, delta=0).to_json() == problem.to_json(), "and back"
    assert seen == {True, False}


def test_kinds_that_the_draws_do_not_decide_are_refused_or_written_as_undecided() -> None:
    (problem, *_) = simulated(strategy="brute")
    with pytest.raises(DataError, match=r"paths\.0\.labels\.0: .* do not decide advantage .*--root does"):
        Relabelling(RelabelSettings(want="advantage")).check(problem)
    made = relabelled(problem, want="advantage", keep_undecided=True)
    firsts = [path.labels[0] for path in made.paths if path.labels and not path.labels[0].gold]
    assert [label.hard for label in firsts] == [None] * len(firsts)
    assert flags(Problem.model_validate_json(made.to_json())) == flags(made), "read back as it was written"
    with pytest.raises(UsageError, match="threshold"):
        RelabelSettings(want="threshold:0.5", delta=1)
    with pytest.raises(UsageError, match="medium"):
        RelabelSettings(want="medium")
