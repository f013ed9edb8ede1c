"""`sipf recipes` lists and copies the loop, also where the toolkit came as a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest

from sipf_cli.recipes import RECIPES, RecipeName
from tests.sipf_cli.commands import environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_every_file_of_the_examples_belongs_to_a_recipe() -> None:
    listed = {file for recipe in RECIPES.values() for file in recipe.files}
    assert listed == {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert all(recipe.files[0].endswith(".sh") for recipe in RECIPES.values())


def test_ls_tells_what_each_recipe_is(inside: Any) -> None:
    listed = json.loads(inside("recipes", "ls", "--json").stdout)
    assert listed["gsm8k"]["files"] == ["loop.sh", "gsm8k.toml"]
    assert "GSM8K" in inside("recipes", "ls").stdout


def test_the_copied_loop_runs_from_any_folder(inside: Any, tmp_path: Path) -> None:
    inside("recipes", "cp", "demo", "my loop")
    for script in ("loop.sh", "demo.sh"):
        assert (tmp_path / "my loop" / script).read_bytes() == (EXAMPLES / script).read_bytes()
        assert os.access(tmp_path / "my loop" / script, os.X_OK)
    helped = subprocess.run([tmp_path / "my loop/loop.sh", "--help"], cwd="/", capture_output=True, text=True)
    assert helped.returncode == 0
    assert helped.stdout.startswith("usage: loop.sh")


def test_a_file_that_was_edited_is_only_replaced_when_asked(inside: Any, tmp_path: Path) -> None:
    inside("recipes", "cp", "gsm8k")
    inside("recipes", "cp", "gsm8k")
    (tmp_path / "gsm8k.toml").write_text("[sample]\nn = 4\n", encoding="utf-8")
    refused = inside("recipes", "cp", "gsm8k", code=2)
    assert "gsm8k.toml exists and differs" in refused.stderr
    inside("recipes", "cp", "gsm8k", "--overwrite")
    assert (tmp_path / "gsm8k.toml").read_bytes() == (EXAMPLES / "gsm8k.toml").read_bytes()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel of this tree puts into site-packages."""
    tree, wheels, site = (tmp_path_factory.mktemp(name) for name in ("tree", "wheels", "site"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tree / name).write_bytes((ROOT / name).read_bytes())
    for name in ("sipf_cli", "stages", "evals", "examples"):
        copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore_patterns("__pycache__"))
    build = ("pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels, tree)
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True, env=environment(), timeout=120)
    (wheel,) = wheels.glob("sipf-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_a_wheel_carries_the_recipes_and_the_embedded_model(unpacked: Path, tmp_path: Path) -> None:
    assert (unpacked / "stages/embedded/base/model.safetensors").is_file()
    copying = [sys.executable, "-m", "sipf_cli", "recipes", "cp", "demo"]
    subprocess.run(copying, cwd=tmp_path, check=True, env=environment(PYTHONPATH=str(unpacked)), timeout=60)
    for path in EXAMPLES.glob("demo.*"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    subprocess.run(
        [*copying[:-1], "slurm"], cwd=tmp_path, check=True, env=environment(PYTHONPATH=str(unpacked)), timeout=60
    )
    for file in RECIPES[RecipeName.slurm].files:
        assert (tmp_path / file).read_bytes() == (EXAMPLES / file).read_bytes()
