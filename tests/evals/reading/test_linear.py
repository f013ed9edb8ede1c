"""Reading a model's answer takes time in proportion to its length, whatever it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.growth import LINEAR, growth


def _scanners() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "scanners.py"
    spec = importlib.util.spec_from_file_location("scanners", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SCANNERS = _scanners()


@pytest.mark.parametrize("name", SCANNERS.SCANNERS)
def test_four_times_the_length_takes_no_more_than_nine_times_the_time(name: str) -> None:
    scan, pieces = SCANNERS.SCANNERS[name]
    grown = {piece: growth(scan, piece) for piece in pieces}
    assert {piece: value for piece, value in grown.items() if value >= LINEAR} == {}


def test_a_quadratic_scanner_is_found() -> None:
    assert growth(lambda text: [text[i:].count("(") for i in range(0, len(text), 10)], "(") > LINEAR
