"""Fine-tuning on a policy's own paths: which are learned, once each, and what is said of the others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from stages.models.templates import make_prompter
from stages.settings.training import OwnPaths, SftSettings, TrainSettings
from stages.sft import run_sft
from stages.training.own_paths import own_paths
from stages.training.sft_rows import sft_rows
from tests.lines import labelled_problem
from tests.models import build_model, build_tokenizer
from tests.stages.fakes import chain_problem, path

OTHER = ("40*3=120", "120-44=76")
THIRD = ("40+36=76",)
FOURTH = ("36+40=76",)


def scored(number: int, *steps: str, scores: list[float] | None = None, **fields: Any) -> dict[str, Any]:
    made = path(number, *steps, **{"correct": True, **fields})
    if scores is not None:
        values = {"steps": scores, "mean": sum(scores) / len(scores), "min": min(scores), "product": 0.5, "last": 0.5}
        made["scores"] = {"prm": values}
    return made


def sampled() -> Problem:
    return chain_problem(
        paths=[
            scored(0, "40-15=25", "25*3=75", "75+1=76", scores=[0.9, 0.9, 0.9]),  # the gold solution's own reasoning
            scored(1, *OTHER, scores=[0.5, 0.9]),
            scored(2, *OTHER, scores=[0.9, 0.9]),
            scored(3, *THIRD, scores=[0.4]),
            scored(4, "40-1=39", correct=False, answer="39", scores=[0.9]),
            scored(5, *FOURTH, finish="length"),
            scored(6, "76+0=76", correct=None),
            scored(7, "38*2=76", source="gold"),
        ]
    )


def learned(own: OwnPaths, *problems: Problem) -> tuple[list[str], dict[str, int]]:
    counts: Counter[str] = Counter()
    made = own_paths(problems or [sampled()], own, 42, counts)
    return [written.path.rpartition("#")[2] if written.path else "gold" for written in made], dict(counts)


def test_every_right_reasoning_is_learned_once_beside_the_gold_solution() -> None:
    names, counts = learned(OwnPaths())
    assert names == ["gold", "1", "3", "5"]
    assert counts == {
        "gold solutions": 1, "paths": 3, "paths from problems": 1,
        "paths left out: same reasoning as another": 2, "paths left out: wrong": 1, "paths left out: not judged": 1,
        "paths left out: gold": 1,
    }  # fmt: skip


def test_without_gold_solutions_their_reasoning_is_learned_where_a_path_has_it() -> None:
    names, counts = learned(OwnPaths(gold=False))
    assert names == ["0", "1", "3", "5"]
    assert counts["gold solutions"] == 0
    names, counts = learned(OwnPaths(), sampled().model_copy(update={"solution": None}))
    assert names == ["0", "1", "3", "5"]
    assert counts["no solution"] == 1


def test_a_threshold_looks_at_the_lowest_step_score_of_that_name() -> None:
    names, counts = learned(OwnPaths("prm", 0.5, gold=False))
    assert names == ["0", "1"]
    assert counts["paths left out: a step scores below 0.5"] == 1
    assert counts["paths left out: no score 'prm'"] == 1
    names, _ = learned(OwnPaths("prm", 0.6, gold=False))
    assert names == ["0", "2"], "of two paths with one reasoning the one that scores well enough"


def test_caps_are_kept_and_the_seed_decides_what_stays() -> None:
    problems = [sampled().model_copy(update={"id": f"c{i}"}) for i in range(20)]
    names, counts = learned(OwnPaths(gold=False, max_per_problem=2), *problems)
    assert len(names) == 40
    assert counts["paths left out: max-per-problem"] == 40
    names, counts = learned(OwnPaths(most=9), *problems)
    assert (names.count("gold"), len(names), counts["paths"]) == (20, 29, 9)
    assert counts["paths left out: most"] == 51
    kept = [[written.path for written in own_paths(problems, OwnPaths(most=9), seed, Counter())] for seed in (1, 1, 2)]
    assert kept[0] == kept[1] != kept[2]


def test_nothing_is_learned_of_the_end_of_a_path_that_was_cut_off() -> None:
    tokenizer = build_tokenizer()
    prompter = make_prompter(tokenizer, {"plain": "Question: {question}\nAnswer:\n"})
    rows, counts = sft_rows([sampled()], prompter, 500, own=OwnPaths(gold=False))
    ends = [row["input_ids"][-1] == tokenizer.eos_token_id for row in rows]
    assert (ends, counts["rows"]) == ([True, True, True, False], 4)
    asked = len(prompter.prompt_ids(sampled()))
    assert [row["labels"][: asked + 1] for row in rows] == [[-100] * asked + [row["input_ids"][asked]] for row in rows]


@pytest.mark.parametrize("text", ["wrong", "prm:", ":0.5", "prm:high", "prm:nan"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither right nor NAME:T"):
        SftSettings(paths=text)
    assert SftSettings(paths="a:b:0.25").own == OwnPaths("a:b", 0.25)


@pytest.mark.parametrize("alone", [{"gold": False}, {"most": 3}, {"max_per_problem": 1}])
def test_options_of_paths_do_not_stand_alone(alone: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="goes with --paths"):
        SftSettings(**alone)


def test_a_policy_learns_from_its_paths_and_the_manifest_says_from_which(tmp_path: Path) -> None:
    options = TrainSettings(epochs=1, batch=4, device="cpu")
    base = build_model(tmp_path / "base", "llama")
    problems = [labelled_problem(i) for i in range(6)]
    made = run_sft(problems, model=base, out=str(tmp_path / "m"), options=options, own=OwnPaths(gold=False))
    counts = {"rows": 6, "gold solutions": 0, "paths": 6, "paths from problems": 6, "paths left out: wrong": 6}
    assert made["counts"] == counts
    assert made["paths"]["gold"] is False
    assert made["result"]["steps"] == 2
