"""Where an option's value comes from when no flag and no variable gives it: `--config FILE`, then `--preset NAME`.

    [sample]                 # one table per command
    model = "google/gemma-2b"
    want-right = 4           # an option by its long name

    [data.chain]             # a command within a command
    seed = 3

Both only fill the context's map of defaults, so flags and variables take precedence. A table or key that no command
knows is refused by name (exit 2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DEBUG = "sipf.debug"
"""Key of the context's `meta`: whether --debug was given, before or after the command's name."""


def on_debug(ctx: typer.Context, debug: bool) -> bool:
    """Callback of --debug: remember it for when an error is shown."""
    if debug:
        ctx.meta[DEBUG] = True
    return debug


def on_config(ctx: typer.Context, config: Path | None) -> Path | None:
    """Callback of --config: the file's values override a preset's and those of an earlier --config."""
    if config is None or ctx.resilient_parsing:
        return config
    tables = read_config(config)
    if ctx.parent is None:
        refuse_unknown(tables, list(getattr(ctx.command, "commands", {})), f"{config}")
        ctx.default_map = tables
        return config
    names = command_names(ctx)
    root: Any = ctx.find_root().command
    refuse_unknown(tables, list(root.commands), f"{config}")
    table = lookup(tables, names)
    own = checked(table, ctx.command, f"{config}: [{'.'.join(names)}]")
    ctx.default_map = {**(ctx.default_map or {}), **own}
    return config


def on_preset(ctx: typer.Context, preset: str | None) -> str | None:
    """Callback of --preset: its values override the defaults and nothing else."""
    if preset is None or ctx.resilient_parsing:
        return preset
    from sipf_cli.presets import PRESETS

    names = command_names(ctx)
    if preset not in PRESETS:
        raise typer.BadParameter(f"{preset!r} is not one of {', '.join(PRESETS)}.")
    if " ".join(names) not in PRESETS[preset]:
        known = ", ".join(PRESETS[preset])
        raise typer.BadParameter(f"{preset!r} has no options for {' '.join(names)!r}, only for {known}.")
    table = checked(PRESETS[preset][" ".join(names)], ctx.command, f"preset {preset!r}")
    ctx.default_map = {**table, **(ctx.default_map or {})}
    return preset


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", callback=on_config, is_eager=True, metavar="FILE",
        help="TOML file with one table of options per command.",
    ),
]  # fmt: skip
"""Defined here and not with the other options, because the root takes it too and its help imports no settings."""
Debug = Annotated[
    bool, typer.Option("--debug", callback=on_debug, is_eager=True, help="Show the traceback of expected errors too.")
]
"""Defined here for the same reason as `Config`."""


def read_config(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, command names written with hyphens."""
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no TOML; no UTF-8; too many digits; too deep
        raise typer.BadParameter(f"{path} is not TOML ({error}).") from error
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}.") from error
    return {name.replace("_", "-"): value for name, value in tables.items()}


def command_names(ctx: typer.Context) -> list[str]:
    """The names typed after `sipf`, e.g. ["data", "chain"]."""
    names: list[str] = []
    node: Any = ctx
    while node.parent is not None:
        names.insert(0, str(node.info_name))
        node = node.parent
    return names


def lookup(tables: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A command's table, {} if the file has none."""
    found: Any = tables
    for name in names:
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def refuse_unknown(tables: dict[str, Any], commands: list[str], where: str) -> None:
    """Refuse a table that is not named after a command, and a value outside any table (exit 2)."""
    for name, value in tables.items():
        if not isinstance(value, dict):
            raise typer.BadParameter(f"{where}: {name!r} is outside any command's table.")
        if name not in commands:
            raise typer.BadParameter(f"{where}: no command is called [{name}]; there are {', '.join(commands)}.")


def checked(table: dict[str, Any], command: Any, where: str) -> dict[str, Any]:
    """The table, keyed by the command's parameter names; a key that the command does not know is refused (exit 2)."""
    nested = getattr(command, "commands", {})
    known = option_names(command)
    many = {param.name for param in command.params if getattr(param, "multiple", False)}
    result: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and key.replace("_", "-") in nested:
            name = key.replace("_", "-")
            result[name] = checked(value, nested[name], f"{where[:-1]}.{name}]")
            continue
        option = known.get(key.replace("-", "_"))
        if option is None or isinstance(value, dict):
            options = ", ".join(sorted({name.replace("_", "-") for name in known} | set(nested)))
            raise typer.BadParameter(f"{where}: there is no option {key!r}; there are {options}.")
        if option in result:
            raise typer.BadParameter(f"{where}: {key!r} is given twice.")
        result[option] = [value] if option in many and not isinstance(value, list) else value
    return result


def option_names(command: Any) -> dict[str, str]:
    """A command's options by long name (with underscores), each with the name of its parameter."""
    names: dict[str, str] = {}
    for param in command.params:
        if param.param_type_name != "option" or param.name in ("config", "help"):
            continue
        names[param.name] = param.name
        for flag in param.opts:
            if flag.startswith("--"):
                names[flag[2:].replace("-", "_")] = param.name
    return names
