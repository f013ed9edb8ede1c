"""A small dose of `python -m tests.fuzz`, and that it would find something."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.errors import SipfError
from tests.fuzz.__main__ import feed
from tests.fuzz.environment import ENVIRONMENT
from tests.fuzz.model_folders import MODELS, forget
from tests.fuzz.mutations import KEYS, mutated
from tests.fuzz.servers import SERVERS
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_is_nearly_right_is_read_or_refused_in_one_line(target: Target, tmp_path: Path) -> None:
    for seed in range(6):
        count, fault = feed(target, seed, tmp_path)
        assert not fault
        assert count > 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner),
    max_leaves=20,
)
FILES = [target for target in TARGETS if target.name != "configuration"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.lists(JSON, max_size=3), st.booleans(), st.data())
def test_any_json_is_read_or_refused_in_one_line(
    tmp_path: Path, target: Target, values: list[object], is_first_good: bool, data: st.DataObject
) -> None:
    """Values of any shape as lines, or in the place of a field of a good line, behind a good line or not."""
    good = target.rows()[0]
    lines = [good] if is_first_good else []
    for value in values:
        field = data.draw(st.sampled_from([None, *good]))
        lines.append(value if field is None else {**good, field: value})
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with suppress(SipfError):
        target.read(file)


def test_a_model_folder_with_one_odd_file_is_loaded_or_refused_in_one_line(tmp_path: Path) -> None:
    for seed in range(40):
        assert not feed(MODELS, seed, tmp_path)[1]
    forget()


def test_odd_variables_end_in_a_known_exit_code(tmp_path: Path) -> None:
    for seed in range(60):
        assert not feed(ENVIRONMENT, seed, tmp_path)[1]


@pytest.mark.parametrize("target", SERVERS, ids=lambda target: target.name)
def test_a_server_may_answer_anything(target: Target, tmp_path: Path) -> None:
    for seed in range(25):
        assert not feed(target, seed, tmp_path)[1]


def test_a_reader_that_trips_is_found(tmp_path: Path) -> None:
    rows = [{"id": "a", "answer": "2"}]

    def read(file: Path) -> None:
        for line in file.read_bytes().splitlines():
            if b'"answer": "2"' not in line:
                raise KeyError(line)

    assert feed(Target("careless", lambda: rows, read), 0, tmp_path)[1].startswith("Traceback")


def test_a_reader_that_hangs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.HANG", 1)
    slow = Target("slow", lambda: [{"id": "a"}], lambda _: time.sleep(60))
    assert "not done after 1 seconds" in feed(slow, 0, tmp_path)[1]


def test_a_seed_makes_the_same_inputs_again() -> None:
    first, second, other = ([mutated(random.Random(seed), {"a": [1, "b"]}) for _ in range(2)] for seed in (1, 1, 2))
    assert first == second != other
