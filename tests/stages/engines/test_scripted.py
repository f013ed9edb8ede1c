"""The scripted engine: canned answers, and a policy whose truth is known."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from evals.errors import DataError, ModelError, UsageError
from evals.records import Problem
from evals.tasks import task_of
from evals.worlds import chain
from stages.engines.base import Draw, Request, generate
from stages.engines.scripted.engine import ScriptedEngine

GSM = Problem(
    id="g", task="gsm8k", question="?", answer="72",
    solution=["In May 48/2 = <<48/2=24>>24 clips.", "Altogether 48+24 = <<48+24=72>>72 clips."],
)  # fmt: skip


def write(script: str, problem: Problem, n: int, prefix: str = "", **settings: object) -> list[str]:
    request = Request(problem, tuple(Draw(seed) for seed in range(n)), prefix, **settings)  # type: ignore[arg-type]  # any settings
    return [completion.text for completion in asyncio.run(generate(ScriptedEngine(script), request))]


def right(problem: Problem, texts: list[str], prefix: str = "") -> float:
    task = task_of(problem)
    return sum(task.judge(problem, prefix + text).correct for text in texts) / len(texts)


@pytest.mark.parametrize("problem", [GSM, *chain.problems("train", 3, 1)], ids=lambda problem: problem.id)
def test_a_gold_policy_is_right_as_often_as_it_says(problem: Problem) -> None:
    for share in (0.0, 0.4, 1.0):
        assert right(problem, write(f"gold:{share}", problem, 2000)) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("problem", [GSM, *chain.problems("train", 3, 1)], ids=lambda problem: problem.id)
def test_from_a_prefix_it_is_right_only_while_the_prefix_is(problem: Problem) -> None:
    assert problem.solution is not None
    for steps in range(1, len(problem.solution) + 1):
        prefix = "\n".join(problem.solution[:steps]) + "\n"
        texts = write("gold:0.5", problem, 500, prefix)
        assert right(problem, texts, prefix) == pytest.approx(0.5, abs=0.08)
        assert all(task_of(problem).split(prefix + text).steps[:steps] == problem.solution[:steps] for text in texts)
        astray = f"{prefix}1+1=2\n"
        assert right(problem, write("gold:1.0", problem, 50, astray), astray) == 0.0


def test_wrong_paths_have_wrong_steps_at_different_places_and_sometimes_false_equations() -> None:
    texts = write("gold:0", GSM, 400)
    task = task_of(GSM)
    faults = Counter(
        next((j for j, step in enumerate(task.split(text).steps) if step != (GSM.solution or [])[j]), -1)
        for text in texts
    )
    assert min(faults[j] for j in (-1, 0, 1)) > 80
    false = sum(task.false_equation(text) is not None for text in texts)
    assert 20 < false < 200
    assert texts == write("gold:0", GSM, 400), "the same seeds write the same"


def test_a_script_file_answers_by_id_then_by_star_and_a_seed_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    lines = [{"id": "g", "completions": ["a one\nQ: more", "b", "c"]}, {"id": "*", "completions": ["other"]}]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert write(str(file), GSM, 4, stop=("\nQ:",)) == ["a one", "b", "c", "a one"]
    assert write(str(file), GSM.model_copy(update={"id": "h"}), 2) == ["other"] * 2
    engine = ScriptedEngine(str(file))
    asyncio.run(generate(engine, Request(GSM, (Draw(0), Draw(1)))))
    assert engine.spent()["completions"] == 2
    assert engine.spent()["tokens"] == 5
    with pytest.raises(ModelError, match="no log-likelihoods"):
        asyncio.run(engine.loglikelihood(GSM, ["A"]))


def test_scripts_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    for script in ("gold:1.5", "gold:x", "gold:", "gold:nan", str(tmp_path / "none.jsonl")):
        with pytest.raises(UsageError):
            ScriptedEngine(script)
    file = tmp_path / "s.jsonl"
    for line in ('{"id": "g"}', '{"id": "g", "completions": []}', '{"id": "g", "completions": [1]}', "[]", "{"):
        file.write_text(f'{{"id": "x", "completions": ["y"]}}\n{line}\n')
        with pytest.raises(DataError, match=":2: "):
            ScriptedEngine(str(file))
    file.write_text('{"id": "x", "completions": ["y"]}\n')
    with pytest.raises(DataError, match="no completions for problem 'g'"):
        write(str(file), GSM, 1)
    with pytest.raises(DataError, match="solution: missing"):
        write("gold:0.5", GSM.model_copy(update={"solution": None}), 1)


def test_a_delayed_answer_waits_for_a_row_and_says_the_same() -> None:
    async def go(delay: float) -> tuple[list[str], float, list[bool], int]:
        engine = ScriptedEngine("gold:0.5", delay, rows=2)
        loop, hungry = asyncio.get_running_loop(), []
        begun = loop.time()
        asked = [asyncio.create_task(generate(engine, Request(GSM, (Draw(i), Draw(i + 9))))) for i in range(3)]
        for _ in range(2):
            hungry.append(engine.hungry())
            await asyncio.sleep(0)
        rows = engine.rows()
        texts = [completion.text for one in asked for completion in await one]
        return texts, loop.time() - begun, hungry, rows

    at_once, slow = asyncio.run(go(0.0)), asyncio.run(go(0.05))
    assert slow[0] == at_once[0]
    assert slow[1] >= 3 * 0.05, "six answers, two at a time"
    assert slow[2] == [True, False]
    assert at_once[2] == [True, True]
    assert slow[3] <= 2
