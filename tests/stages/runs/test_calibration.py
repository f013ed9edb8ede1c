"""A calibration runs a few problems through the stage, writes nothing, and estimates what is left of the whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from evals.errors import DataError, Interrupted, ModelError, SomeFailed, UsageError
from evals.records import Problem
from stages.counts import Count, Tally
from stages.files.reading import BadLines
from stages.files.shards import Shard
from stages.runs.calibration import Calibration, calibrate
from stages.runs.faults import ProblemFailed
from stages.runs.progress import More
from stages.runs.record import LineRun
from stages.runs.stage import Stage, line_run, run_stage
from stages.settings.files import FileSettings

SIZES = {"small": 1.0, "large": 10.0, "none": 0.0}


class Clerk:
    """An engine: takes `room` problems at once, each for a moment (None: any number, at once)."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.flying = self.peak = self.tokens = self.closed = 0
        self.asked: list[str] = []

    def facts(self) -> Mapping[str, Any]:
        return {"model": "none"}

    def open(self) -> None:
        pass

    def hungry(self) -> bool:
        return self.room is None or self.flying < self.room

    def fills(self) -> bool:
        return self.room is not None

    def written(self) -> int | None:
        return None

    def spent(self) -> Mapping[str, int]:
        return {"tokens": self.tokens, "prompt_tokens": 3 * len(self.asked)}

    async def write(self, problem: Problem) -> int:
        self.asked.append(problem.id)
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        await asyncio.sleep(0 if self.room is None else 0.005)
        self.flying -= 1
        tokens = tokens_of(problem.id)
        self.tokens += tokens
        return tokens

    async def close(self) -> None:
        self.closed += 1


class Unseen:
    """A display that shows nothing."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        pass

    def advance(self, tokens: int = 0, *, more: More | None = None) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def finish(self) -> None:
        pass


@dataclass(frozen=True)
class Settings:
    k: int = 1


@dataclass(frozen=True)
class Writing(Stage):
    """Writes some tokens for each problem; what `fail` is in the id of fails."""

    engine: Clerk = field(default_factory=Clerk)
    settings: Settings = Settings()
    fail: str = "never"
    name: ClassVar[str] = "writing"

    def check(self, problem: Problem) -> None:
        if "bad" in problem.id:
            raise DataError("id: it is bad")

    def estimate(self, problem: Problem) -> Mapping[str, int]:
        return {"draws": 1}

    def size(self, problem: Problem) -> float:
        return SIZES.get(problem.id.partition("/")[0], 1.0)

    async def __call__(self, problem: Problem, tally: Tally) -> Sequence[Problem]:
        if self.fail in problem.id:
            raise ProblemFailed("asked to")
        tally.count(Count.TOKENS, await self.engine.write(problem))
        return [problem]


def tokens_of(identity: str) -> int:
    """Between 50 and 149 tokens per unit of size, by the id."""
    part = 50 + int(hashlib.blake2b(identity.encode(), digest_size=4).hexdigest(), 16) % 100
    return int(part * SIZES.get(identity.partition("/")[0], 1.0))


def written(folder: Path, *ids: str) -> Path:
    file = folder / "in.jsonl"
    file.write_text("".join(json.dumps({"id": each, "task": "math", "question": "?"}) + "\n" for each in ids))
    return file


def calibrated(source: Path, stage: Stage, least: int, **files: Any) -> Calibration:
    bad = BadLines(strict=files.get("strict", False))
    return calibrate(planned(source, stage, **files), stage, least, Unseen(), bad)


def planned(source: Path, stage: Stage, **files: Any) -> LineRun:
    return line_run(stage, str(source), str(source.with_name("out.jsonl")), FileSettings(**files))


def tokens(found: Calibration) -> dict[str, Any]:
    assert found.estimate["usage"]["tokens"] == found.estimate["counts"]["tokens"]
    return dict(found.estimate["counts"]["tokens"])


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_tokens_of_the_whole_are_estimated_from_a_few_problems_and_nothing_is_written(tmp_path: Path) -> None:
    ids = [f"p/{i}" for i in range(400)]
    stage = Writing()
    found = calibrated(written(tmp_path, *ids), stage, 40)
    truth = sum(map(tokens_of, ids))
    assert len(stage.engine.asked) == found.estimate["from problems"] == 40
    assert found.estimate["of problems"] == found.counts["problems"] == found.counts["draws"] == 400
    assert tokens(found)["estimate"] == pytest.approx(truth, rel=0.1)
    assert tokens(found)["low"] < truth < tokens(found)["high"]
    assert tokens(found)["high"] / tokens(found)["low"] < 1.3
    assert found.estimate["usage"]["prompt_tokens"]["estimate"] == 3 * 400
    assert found.estimate["seconds"]["estimate"] > 0
    assert found.estimate["peak memory"]["resident"] > 1 << 20
    assert stage.engine.closed == 1
    assert names(tmp_path) == {"in.jsonl"}


def test_problems_are_chosen_over_the_whole_input_and_always_the_same(tmp_path: Path) -> None:
    source = written(tmp_path, *(f"p/{i}" for i in range(400)))
    first, second = Writing(), Writing()
    calibrated(source, first, 40)
    calibrated(source, second, 40)
    assert first.engine.asked == second.engine.asked
    places = [int(identity.partition("/")[2]) for identity in first.engine.asked]
    assert all(any(100 * part <= place < 100 * (part + 1) for place in places) for part in range(4))


def test_large_problems_count_as_large_and_those_without_work_are_not_run(tmp_path: Path) -> None:
    ids = [f"{kind}/{i}" for i in range(60) for kind in ("small", "none", "large")]
    stage = Writing()
    found = calibrated(written(tmp_path, *ids), stage, 30)
    assert not any(identity.startswith("none") for identity in stage.engine.asked)
    assert found.counts["problems"] == 180
    assert found.estimate["of problems"] == 120
    truth = sum(map(tokens_of, ids))
    assert tokens(found)["estimate"] == pytest.approx(truth, rel=0.1)
    assert tokens(found)["low"] < truth < tokens(found)["high"]


def test_an_engine_that_takes_many_at_once_is_filled(tmp_path: Path) -> None:
    source = written(tmp_path, *(f"p/{i}" for i in range(400)))
    stage = Writing(Clerk(room=100))
    found = calibrated(source, stage, 5)
    assert 100 <= stage.engine.peak < 140
    assert found.estimate["from problems"] == len(stage.engine.asked) < 140


def test_an_input_with_fewer_problems_than_asked_for_is_known_exactly(tmp_path: Path) -> None:
    ids = [f"p/{i}" for i in range(7)]
    found = calibrated(written(tmp_path, *ids), Writing(), 20)
    exact = sum(map(tokens_of, ids))
    assert found.estimate["from problems"] == 7
    assert tokens(found) == {"estimate": exact, "low": exact, "high": exact}


def test_only_what_a_resumed_run_has_left_is_estimated_and_the_journal_stays_as_it_is(tmp_path: Path) -> None:
    ids = [f"{'late' if i % 4 == 0 else 'p'}/{i}" for i in range(80)]
    source = written(tmp_path, *ids)
    stopped = Writing(fail="late")
    assert run_stage(planned(source, stopped), stopped, Unseen()).failed == 20
    part = tmp_path / "out.jsonl.part"
    with part.open("ab") as file:
        file.write(b"99\ttorn")
    before = part.read_bytes()
    stage = Writing()
    found = calibrated(source, stage, 50)
    assert (found.counts["resumed"], found.counts["problems"], found.counts["draws"]) == (60, 20, 20)
    assert all(identity.startswith("late") for identity in stage.engine.asked)
    assert tokens(found)["estimate"] == sum(tokens_of(each) for each in ids if each.startswith("late"))
    assert part.read_bytes() == before
    assert names(tmp_path) == {"in.jsonl", "out.jsonl.part"}


def test_an_unfinished_run_with_other_settings_is_refused_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    source = written(tmp_path, *(f"p/{i}" for i in range(9)))
    stopped = Writing(fail="/3")
    run_stage(planned(source, stopped), stopped, Unseen())
    before = (tmp_path / "out.jsonl.part").read_bytes()
    with pytest.raises(UsageError, match="k was 1 and is now 2"):
        calibrated(source, Writing(settings=Settings(k=2)), 5)
    found = calibrated(source, Writing(settings=Settings(k=2)), 5, overwrite=True)
    assert (found.counts["problems"], found.counts["resumed"]) == (9, 0)
    assert (tmp_path / "out.jsonl.part").read_bytes() == before


def test_a_complete_run_has_nothing_left(tmp_path: Path) -> None:
    source = written(tmp_path, "p/1", "p/2")
    done, stage = Writing(), Writing()
    run_stage(planned(source, done), done, Unseen())
    found = calibrated(source, stage, 5)
    assert found.already
    assert found.estimate == {}
    assert stage.engine.asked == []


def test_a_shard_estimates_its_own_lines(tmp_path: Path) -> None:
    ids = [f"p/{i}" for i in range(40)]
    found = calibrated(written(tmp_path, *ids), Writing(), 50, shard=Shard(1, 4))
    assert tokens(found)["estimate"] == sum(tokens_of(each) for each in ids[1::4])


def test_failed_problems_are_told_and_left_out_of_the_estimate(tmp_path: Path) -> None:
    ids = [*(f"p/{i}" for i in range(20)), "fails/1", "fails/2"]
    source = written(tmp_path, *ids)
    found = calibrated(source, Writing(fail="fails"), 30)
    assert found.estimate["failed in the calibration"] == 2
    assert found.estimate["from problems"] == 20
    with pytest.raises(SomeFailed, match="none of the 22 problems"):
        calibrated(source, Writing(fail="/"), 30)


def test_bad_lines_are_counted_and_strictly_refused(tmp_path: Path) -> None:
    source = written(tmp_path, "p/1", "bad/1", "p/2")
    assert calibrated(source, Writing(), 5).counts["bad lines"] == 1
    with pytest.raises(DataError, match="id: it is bad"):
        calibrated(source, Writing(), 5, strict=True)


@pytest.mark.parametrize(
    ("sort", "error"), [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)], ids=["term", "int"]
)
def test_a_signal_ends_a_calibration_and_says_that_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sort: signal.Signals, error: type[BaseException]
) -> None:
    stage, write = Writing(Clerk(room=3)), Clerk.write

    async def interrupted(clerk: Clerk, problem: Problem) -> int:
        if len(clerk.asked) == 4:
            os.kill(os.getpid(), sort)
        return await write(clerk, problem)

    monkeypatch.setattr(Clerk, "write", interrupted)
    with pytest.raises(error) as ended:
        calibrated(written(tmp_path, *(f"p/{i}" for i in range(90))), stage, 60)
    if isinstance(ended.value, Interrupted):
        assert (ended.value.message, ended.value.advice) == ("stopped by SIGTERM", "Nothing was written.")
    assert len(stage.engine.asked) < 60
    assert stage.engine.closed == 1
    assert names(tmp_path) == {"in.jsonl"}


def test_nothing_is_estimated_where_there_is_no_work(tmp_path: Path) -> None:
    found = calibrated(written(tmp_path, "none/1", "none/2"), Writing(), 5)
    assert found.estimate == {}
    assert found.counts["problems"] == 2


def test_an_engine_that_cannot_be_opened_ends_the_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Clerk) -> None:
        raise ModelError("no such model")

    monkeypatch.setattr(Clerk, "open", refuse)
    with pytest.raises(ModelError, match="no such model"):
        calibrated(written(tmp_path, "p/1", "p/2"), Writing(), 5)
