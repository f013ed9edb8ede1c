"""`fork` against pairs written by hand: what is prefix, chosen and rejected, and what wrong paths lack."""

from __future__ import annotations

from typing import Any

import pytest

from stages.engines.scripted.engine import ScriptedEngine
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from tests.stages.fakes import chain_problem, path, work
from tests.stages.pairing.questions import label, rows_of


def rolled(right: bool, *texts: str | None) -> dict[str, Any]:
    """A label with a right rollout for each text (None: not kept) after a wrong one."""
    rollouts = [{"correct": False, "seed": 9, "tokens": 3, "text": "nothing"}]
    rollouts += [{"correct": True, "seed": 10 + i, "tokens": 5, "text": text} for i, text in enumerate(texts)]
    n = len(rollouts)
    return {"k": n, "draws": n, "hits": n - 1 if right else 0, "settled": True, "rollouts": rollouts}


END = "The answer is 76"
STEPS = ("40-15=25", "25*3=75", "75+1=76")
RIGHT = path(0, *STEPS, correct=True)
STRAYED = {
    **path(1, STEPS[0], "25*2=50", "50+1=51", answer="51"),
    "labels": [rolled(True, f"25+25=50\n50+26=76\n{END}", None), label(False), label(False)],
}
LOST = {**path(2, "40+15=55", answer="55"), "labels": [label(False)]}


def told(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str, str]]:
    return {row["id"].removeprefix("c#"): (row.get("prefix", ""), row["chosen"], row["rejected"]) for row in rows}


def test_right_rollouts_and_right_paths_go_above_the_wrong_continuation() -> None:
    problem = chain_problem(paths=[RIGHT, STRAYED, LOST], root=rolled(True, f"39+37=76\n{END}"))
    rows, report = rows_of(problem, "fork")
    wrong = "25*2=50\n50+1=51\nThe answer is 51"
    assert told(rows) == {
        "r10>1": ("40-15=25\n", f"25+25=50\n50+26=76\n{END}", wrong),
        "0>1": ("40-15=25\n", f"25*3=75\n75+1=76\n{END}", wrong),
        "r10>2": ("", f"39+37=76\n{END}", LOST["text"]),
        "0>2": ("", RIGHT["text"], LOST["text"]),
    }
    assert ["prefix" in row for row in rows] == [row["id"].endswith(">1") for row in rows]
    assert all(row["chosen_correct"] and not row["rejected_correct"] for row in rows)
    assert all(row["prompt"] == f"Question: {problem.question}\nAnswer:\n" for row in rows)
    assert report.rules["fork"].counts["problems with a pair"] == 1


def test_only_the_wrong_step_can_be_rejected() -> None:
    problem = chain_problem(paths=[STRAYED, LOST], root=rolled(True, END))
    rows, _ = rows_of(problem, "fork", reject="step")
    assert {name: (row[0], row[2]) for name, row in told(rows).items()} == {
        "r10>1": ("40-15=25\n", "25*2=50\n"), "r10>2": ("", "40+15=55\n"),
    }  # fmt: skip
    assert {(row["chosen_finish"], row["rejected_finish"]) for row in rows} == {("stop", "length")}


def test_a_rollout_that_adds_nothing_is_left_out_and_counted() -> None:
    empty = {**STRAYED, "labels": [rolled(True, "", f"25+25=50\n50+26=76\n{END}"), label(False), label(False)]}
    rows, report = rows_of(chain_problem(paths=[empty]), "fork")
    assert [row["id"] for row in rows] == ["c#r11>1"]
    assert report.rules["fork"].counts["rollouts left out: they add nothing to their prefix"] == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": None}, "no labels"),
        ({"labels": [label(True)] * 3}, "no wrong step"),
        ({"labels": [label(None), label(False), label(False)]}, "an undecided step"),
        ({"labels": [rolled(True, None), label(False), label(False)]}, "no right rollout was kept"),
    ],
)
def test_a_wrong_path_without_a_fork_says_what_it_lacks(change: dict[str, Any], reason: str) -> None:
    rows, report = rows_of(chain_problem(paths=[{**STRAYED, **change}]), "fork")
    assert rows == []
    assert report.rules["fork"].counts == {
        f"paths left out: not rejected: {reason}": 1, "problems without a pair: no fork with a right rollout": 1,
    }  # fmt: skip
    none = rows_of(chain_problem(paths=[RIGHT]), "fork")[1]
    assert none.rules["fork"].counts == {"problems without a pair: no wrong path": 1}


@pytest.mark.parametrize("strategy", ["first-error", "brute", "mcts"])
def test_what_simulate_keeps_is_enough(strategy: str) -> None:
    settings = SimulateSettings(strategy=strategy, k=6, root=True, keep_forks=2, seed=1)  # type: ignore[arg-type]  # a str
    paths = [path(1, STEPS[0], "25*2=50", "50+1=51", answer="51"), path(2, "40+15=55", answer="55")]
    problem, _ = work(Simulation(ScriptedEngine("gold:0.7"), settings), chain_problem(paths=paths))
    rows, _ = rows_of(problem, "fork")
    by = {row["rejected"] for row in rows}
    assert {"25*2=50\n50+1=51\nThe answer is 51", "40+15=55\nThe answer is 55"} <= by
    for row in rows:
        whole = row.get("prefix", "") + row["chosen"]
        assert whole.endswith(END)
        assert whole.startswith(row.get("prefix", ""))
