"""Flags win over variables, variables over the configuration file, that over a preset, that over defaults."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sipf_cli import app as framework
from sipf_cli import presets
from sipf_cli.app import COMMANDS, LazyCommand, LazyGroup
from sipf_cli.configuration import option_names
from sipf_cli.generated import new_app
from sipf_cli.options import ConsoleOptions, PresetOptions
from stages.settings.declare import setting


@dataclass(frozen=True)
class SeedSettings:
    seed: int = setting(1, "Seed.", low=0)


@dataclass(frozen=True)
class ProbeSettings(SeedSettings):
    epochs: float = setting(1.0, "Passes.", low=0.0)
    top_p: float = setting(0.5, "Mass.", low=0.0, high=1.0)
    lora: bool = setting(False, "Adapter.")


PROBE = new_app()
"""A command with a few settings, which prints what it was given. It stands in for `train-prm`."""


@PROBE.command()
def probe(settings: ProbeSettings, console: PresetOptions) -> None:
    print(json.dumps(asdict(settings)))


@dataclass(frozen=True)
class ListSettings:
    rule: tuple[str, ...] = setting(("widest",), "Rules.")


LISTED = new_app()


@LISTED.command()
def listed(settings: ListSettings, console: PresetOptions) -> None:
    print(json.dumps(asdict(settings)))


NESTED = new_app()


@NESTED.callback()
def nested() -> None:
    """Stands in for `data`."""


@NESTED.command("chain")
def chain(settings: SeedSettings, console: ConsoleOptions) -> None:
    print(json.dumps(asdict(settings)))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the root app with the two commands above behind `train-prm` and `data`."""
    from sipf_cli.main import app

    behind = {"train-prm": PROBE, "data": NESTED}
    monkeypatch.setattr(LazyCommand, "load", lambda self: typer.main.get_command(behind[str(self.name)]))
    monkeypatch.setitem(presets.PRESETS, "trial", {"train-prm": {"epochs": 9, "seed": 9, "lora": True, "top_p": 0.9}})

    def invoke(*arguments: str, env: dict[str, str] | None = None) -> Any:
        return CliRunner().invoke(app, [*arguments], env=env, prog_name="sipf")

    return invoke


def given(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "loop.toml"
    path.write_text("[train-prm]\nseed = 5\nepochs = 5\ntop-p = 0.55\n[data.chain]\nseed = 6\n", encoding="utf-8")
    return path


def test_defaults_hold_when_nothing_is_said(run: Any) -> None:
    assert given(run("train-prm")) == {"seed": 1, "epochs": 1.0, "top_p": 0.5, "lora": False}


def test_each_source_wins_over_the_ones_below_it(run: Any, file: Path) -> None:
    result = run(
        "train-prm", "--preset", "trial", "--config", str(file), "--seed", "7", env={"SIPF_TRAIN_PRM_EPOCHS": "6"}
    )  # fmt: skip
    assert given(result) == {"seed": 7, "epochs": 6.0, "top_p": 0.55, "lora": True}


def test_the_order_of_config_and_preset_on_the_command_line_does_not_matter(run: Any, file: Path) -> None:
    one = run("train-prm", "--preset", "trial", "--config", str(file))
    other = run("train-prm", "--config", str(file), "--preset", "trial")
    before = run("--config", str(file), "train-prm", "--preset", "trial")
    assert given(one) == given(other) == given(before) == {"seed": 5, "epochs": 5.0, "top_p": 0.55, "lora": True}


def test_a_flag_wins_over_a_variable(run: Any) -> None:
    assert given(run("train-prm", "--seed", "3", env={"SIPF_TRAIN_PRM_SEED": "4"}))["seed"] == 3


def test_a_file_after_the_command_wins_over_one_before_it(run: Any, file: Path, tmp_path: Path) -> None:
    near = tmp_path / "near.toml"
    near.write_text("[train-prm]\nseed = 8\n", encoding="utf-8")
    values = given(run("--config", str(file), "train-prm", "--config", str(near)))
    assert (values["seed"], values["epochs"]) == (8, 5.0)


def test_the_file_may_be_named_by_a_variable_and_may_name_the_preset(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[train_prm]\npreset = 'trial'\nseed = 2\n", encoding="utf-8")
    for env in ({"SIPF_CONFIG": str(path)}, {"SIPF_TRAIN_PRM_CONFIG": str(path)}):
        values = given(run("train-prm", env=env))
        assert (values["seed"], values["epochs"]) == (2, 9.0)


def test_an_option_that_may_be_repeated_may_stand_alone_in_a_file(monkeypatch: Any, run: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(LazyCommand, "load", lambda self: typer.main.get_command(LISTED))
    path = tmp_path / "one.toml"
    for text, rules in (("rule = 'a'", ["a"]), ("rule = ['a', 'b']", ["a", "b"]), ("", ["widest"])):
        path.write_text(f"[train-prm]\n{text}\n", encoding="utf-8")
        for line in (("--config", str(path), "train-prm"), ("train-prm", "--config", str(path))):
            assert given(run(*line)) == {"rule": rules}


def test_a_command_within_a_command_has_a_table_within_a_table(run: Any, file: Path) -> None:
    assert given(run("--config", str(file), "data", "chain")) == {"seed": 6}
    assert given(run("data", "chain", "--config", str(file))) == {"seed": 6}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train-prm]\nsede = 1\n", "sede"),
        ("[smaple]\nseed = 1\n", "smaple"),
        ("seed = 1\n", "seed"),
        ("[train-prm]\ntop-p = 0.1\ntop_p = 0.2\n", "top_p"),
        ("[train-prm.seed]\nx = 1\n", "seed"),
        ("[train-prm]\nconfig = 'x.toml'\n", "config"),
        ("[train-prm]\nseed = 'many'\n", "--seed"),
        ("[train-prm\n", "TOML"),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_what_no_command_knows_is_refused_by_name(run: Any, tmp_path: Path, text: str, said: str, place: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    flags = ["--config", str(path)]
    result = run(*flags, "train-prm") if place == "before" else run("train-prm", *flags)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_unknown_key_of_a_nested_command_is_refused(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[data.chain]\nsede = 1\n", encoding="utf-8")
    for arguments in (["--config", str(path), "data", "chain"], ["data", "chain", "--config", str(path)]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "sede" in result.stderr


def test_a_missing_file_and_an_unknown_preset_are_refused(run: Any) -> None:
    assert run("--config", "nowhere.toml", "train-prm").exit_code == 2
    unknown = run("train-prm", "--preset", "papre")
    assert unknown.exit_code == 2
    assert "papre" in unknown.stderr
    assert run("data", "chain", env={"SIPF_DATA_CHAIN_SEED": "x"}).exit_code == 2


@pytest.mark.parametrize("name", [name for table in presets.PRESETS.values() for name in table])
def test_a_preset_only_names_options_its_command_has(name: str) -> None:
    command = LazyCommand(name).load()
    for preset in presets.PRESETS.values():
        assert set(preset.get(name, {})) <= set(option_names(command).values())


@pytest.mark.parametrize("name", COMMANDS)
def test_flag_variable_and_key_agree_for_every_option(name: str) -> None:
    command = LazyCommand(name).load()
    for leaf in getattr(command, "commands", {name: command}).values():
        for param in leaf.params:
            if param.param_type_name == "option":
                flags = {flag[2:].replace("-", "_") for flag in param.opts if flag.startswith("--")}
                assert not flags or param.name in flags, f"{name}: {param.name} is called {flags}"


def test_the_root_is_a_lazy_group() -> None:
    from sipf_cli.main import app

    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    assert list(root.commands) == list(framework.COMMANDS)
