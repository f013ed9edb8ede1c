"""The pool of earlier rounds: whose paths stay, and whose numbers and seeds go on."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evals.errors import DataError
from evals.records import Problem
from stages.counts import Tally
from stages.eval import Judging
from stages.joins.earlier_paths import EarlierPaths
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from tests.stages.fakes import Written, chain_problem, path, work

OLD = [path(0, "40-15=25", "25*3=75", "75+1=76", correct=True), path(3, "40+1=41", answer="41", round=1)]


def pool_file(folder: Path, *problems: Problem, name: str = "pool.jsonl") -> Path:
    file = folder / name
    data = "".join(problem.to_json() + "\n" for problem in problems).encode()
    file.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return file


@contextmanager
def opened(file: Path) -> Iterator[EarlierPaths]:
    pool = EarlierPaths(file)
    pool.open()
    try:
        yield pool
    finally:
        asyncio.run(pool.close())


def joined(pool: EarlierPaths, problem: Problem) -> tuple[Problem, Counter[str]]:
    tally = Tally()
    pool.join(problem, tally)
    return problem, tally.counts


def test_the_questions_own_label_comes_with_the_paths(tmp_path: Path) -> None:
    root = {"k": 2, "draws": 2, "hits": 1, "settled": True}
    with opened(pool_file(tmp_path, chain_problem(paths=OLD, root=root))) as pool:
        problem, _ = joined(pool, chain_problem())
        assert problem.root is not None
        assert problem.root.hits == 1
        problem, _ = joined(pool, chain_problem(root={**root, "hits": 0}))
        assert problem.root is not None
        assert problem.root.hits == 0, "its own stays"


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
def test_a_problem_is_given_its_earlier_paths_first_and_those_it_has_only_once(tmp_path: Path, name: str) -> None:
    others = [chain_problem(id=f"o{i}") for i in range(5)]
    file = pool_file(tmp_path, *others[:3], chain_problem(paths=OLD, drawn=7), *others[3:], name=name)
    new = path(9, "40+2=42", answer="42")
    with opened(file) as pool:
        problem, counts = joined(pool, chain_problem(paths=[new, OLD[1]]))
        assert [one.id for one in problem.paths] == ["c#0", "c#9", "c#3"]
        assert problem.paths[0].correct is True
        assert problem.drawn == 7
        assert counts["paths from the pool"] == 1
        stranger, counts = joined(pool, chain_problem(id="new"))
        assert stranger.paths == []
        assert not counts
        assert pool.unused() == 5


def test_numbers_and_seeds_go_on_after_the_pools_even_past_its_dropped_draws(tmp_path: Path) -> None:
    engine = Written(lambda request, draw: f"40+{draw.seed % 900}={40 + draw.seed % 900}\nThe answer is 1")
    settings = SampleSettings(n=4)
    first, _ = work(Sampler(engine, settings), chain_problem())
    first.paths = first.paths[:1]  # as if the later draws had all been dropped
    with opened(pool_file(tmp_path, first)) as pool:
        second, _ = work(Sampler(engine, settings, pool), chain_problem())
    assert [one.id for one in second.paths] == ["c#0", "c#4", "c#5", "c#6", "c#7"]
    assert second.drawn == 8
    assert set(engine.handed.values()) == {1}


def test_the_higher_count_of_draws_wins(tmp_path: Path) -> None:
    for mine, pools in ((11, 7), (7, 11)):
        with opened(pool_file(tmp_path, chain_problem(drawn=pools))) as pool:
            problem, _ = joined(pool, chain_problem(drawn=mine))
        assert problem.drawn == 11


def test_many_problems_may_ask_at_once(tmp_path: Path) -> None:
    problems = [chain_problem(id=f"p{i}", paths=[{**OLD[0], "id": f"p{i}#0"}]) for i in range(40)]
    with opened(pool_file(tmp_path, *problems)) as pool:
        stage = Judging(str(pool.source), pool)

        async def go() -> list[str]:
            done = await asyncio.gather(*(stage(chain_problem(id=f"p{i}"), Tally()) for i in reversed(range(40))))
            return [lines[0].paths[0].id for lines in done]

        assert asyncio.run(go()) == [f"p{i}#0" for i in reversed(range(40))]
        assert pool.unused() == 0


def test_without_a_pool_a_line_has_its_own_paths_alone() -> None:
    stage = Judging("answers.jsonl")
    problem, counts = work(stage, chain_problem(paths=OLD))
    assert len(problem.paths) == 2
    assert "paths from the pool" not in counts
    assert "pool" not in stage.facts()


def test_the_ids_stay_known_after_the_end(tmp_path: Path) -> None:
    with opened(pool_file(tmp_path, chain_problem(), chain_problem(id="d"))) as pool:
        joined(pool, chain_problem())
    assert pool.ids() == {"c", "d"}
    assert pool.unused() == 1


def test_a_bad_line_or_an_id_that_stands_twice_stops_the_run(tmp_path: Path) -> None:
    file = pool_file(tmp_path, chain_problem(), chain_problem(id="d"))
    with file.open("a") as lines:
        lines.write("\n{\n")
    with pytest.raises(DataError, match=r"pool\.jsonl:4: "):
        EarlierPaths(file).open()
    twice = pool_file(tmp_path, chain_problem(), chain_problem(id="d"), chain_problem())
    with pytest.raises(DataError, match=r"pool\.jsonl:3: id: 'c' is already used in line 1"):
        EarlierPaths(twice).open()


def test_the_facts_change_with_the_pools_content(tmp_path: Path) -> None:
    pools = (chain_problem(), chain_problem(drawn=1))
    facts = [EarlierPaths(pool_file(tmp_path, problem)).facts() for problem in pools]
    assert facts[0]["pool"] == facts[1]["pool"]
    assert facts[0]["pool_sha256"] != facts[1]["pool_sha256"]
