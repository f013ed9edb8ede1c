"""Write docs/options.md out of the commands: every option with its default, bounds and the place that declares it.

    python docs/make_options.py            # writes docs/options.md
    python docs/make_options.py --declared # lists every default and where it is declared; fails where one stands twice

The second form reads the source of `stages/` as well: a parameter with the name and the default of a setting would be
that default a second time.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from sipf_cli.app import COMMANDS, LazyCommand
from sipf_cli.generated import Expansion
from stages.settings.declare import Panel

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "options.md"
HEAD = """\
# Options

Every option of every command, written by `python docs/make_options.py` from the commands themselves. Options come from
flags, then `SIPF_<COMMAND>_<OPTION>` variables (`SIPF_SAMPLE_TOP_P`, `SIPF_DATA_CHAIN_SEED`), then `--config FILE` (a
TOML table per command, keys as the long flags without the dashes), then `--preset NAME`, then the defaults given here.
"""
COLUMNS = "| option | default | values | what it does | declared in |\n|---|---|---|---|---|\n"
NEUTRAL = {("temperature", "1.0"), ("top_p", "1.0")}
"""What changes nothing about a distribution: an engine's request may leave it out, whatever a stage's default is."""
SKIPPED = {"help", "config", "preset", "json", "debug"}
EVERYWHERE = """
Every command also takes `--config FILE`, `--json` (the summary as JSON), `--debug` (tracebacks of expected errors) and
`--help`; those that a preset knows take `--preset NAME`.
"""


@dataclass(frozen=True)
class Row:
    """One option of one command."""

    flags: str
    default: str
    bounds: str
    help: str
    panel: str
    declared: str


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the names that are typed for it."""
    for name in COMMANDS:
        command = LazyCommand(name).load()
        nested = getattr(command, "commands", None)
        if nested:
            yield from ((f"{name} {leaf}", part) for leaf, part in nested.items())
        else:
            yield name, command


def places(command: Any) -> dict[str, str]:
    """Where each parameter of a command is declared: the settings class that has the field, or the command's module."""
    function = command.callback
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    found: dict[str, str] = {}
    for hint in get_type_hints(function, include_extras=True).values():
        if isinstance(hint, type) and is_dataclass(hint):
            found |= {name: f"{kind.__module__}.{kind.__name__}" for name, kind in owners(hint)}
    return defaultdict(lambda: str(function.__module__), found)


def owners(kind: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    """Each field of a settings class, parts included, with the class whose body declares it."""
    for each in Expansion(kind).classes():
        for name in vars(each).get("__annotations__", {}):
            yield name, each


def rows(command: Any) -> Iterator[Row]:
    """The options of a command in the order of its help."""
    declared = places(command)
    order = {panel: i for i, panel in enumerate(Panel)}
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in SKIPPED]
    for param in sorted(options, key=lambda p: order[p.rich_help_panel or Panel.MORE]):
        shown = param.show_default if isinstance(param.show_default, str) else param.default
        default = (
            ""
            if shown is None or shown is False or param.required
            else str(shown).lower()
            if shown is True
            else str(shown)
        )
        low, high = getattr(param.type, "min", None), getattr(param.type, "max", None)
        choices = getattr(param.type, "choices", None)
        bounds = ", ".join(f"`{choice}`" for choice in choices) if choices else _bounds(low, high)
        typed = sorted((*param.opts, *param.secondary_opts), key=len, reverse=True)
        flags = ", ".join(f"`{flag}`" for flag in typed)
        text = (param.help or "") + (" Required." if param.required else "")
        yield Row(flags, default, bounds, text, str(param.rich_help_panel or Panel.MORE), declared[param.name])


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    return f"at most {high:g}" if high is not None else ""


def page() -> str:
    """The text of docs/options.md."""
    parts = [HEAD, EVERYWHERE]
    for name, command in commands():
        parts.append(f"\n## sipf {name}\n\n{command.help.partition(chr(10) * 2)[0].replace(chr(10), ' ')}\n")
        before = ""
        for row in rows(command):
            if row.panel != before:
                before = row.panel
                parts.append(f"\n**{row.panel}**\n\n{COLUMNS}")
            cells = (row.flags, f"`{row.default}`" if row.default else "", row.bounds, row.help, f"`{row.declared}`")
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(parts)


def settings_classes() -> set[type[Any]]:
    """Every class whose fields are options of a command."""
    found: set[type[Any]] = set()
    for _, command in commands():
        function = command.callback
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        for hint in get_type_hints(function, include_extras=True).values():
            if isinstance(hint, type) and is_dataclass(hint):
                found |= set(Expansion(hint).classes())
    return found


def twice() -> list[str]:
    """Defaults of settings that a function or class in stages/ repeats: same name, same value."""
    known: dict[tuple[str, str], str] = {}
    for kind in settings_classes():
        for generated in Expansion(kind).generated():
            if generated.field.name in vars(kind).get("__annotations__", {}):
                known[generated.field.name, repr(generated.field.default)] = f"{kind.__module__}.{kind.__name__}"
    found = []
    for path in sorted((ROOT / "stages").rglob("*.py")):
        if "settings" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name, value, line in _defaults(node):
                place = known.get((name, value))
                if place and value not in ("None", "False", "True") and (name, value) not in NEUTRAL:
                    found.append(f"{path.relative_to(ROOT)}:{line}: {name} = {value} stands in {place}")
    return found


def _defaults(node: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Name, value and line of each default that a function's parameters or a class's fields have."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        plain = [*node.args.posonlyargs, *node.args.args]
        pairs = [*zip(plain[len(plain) - len(node.args.defaults) :], node.args.defaults, strict=True)]
        pairs += [(arg, value) for arg, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value]
        for arg, value in pairs:
            if isinstance(value, ast.Constant):
                yield arg.arg, repr(value.value), arg.lineno
    if isinstance(node, ast.ClassDef):
        for each in node.body:
            if (
                isinstance(each, ast.AnnAssign)
                and isinstance(each.target, ast.Name)
                and isinstance(each.value, ast.Constant)
            ):
                yield each.target.id, repr(each.value.value), each.lineno


def main() -> int:
    """Write the page, or list defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--declared", action="store_true")
    if not parser.parse_args().declared:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    listed = {(row.declared, row.flags, row.default) for _, command in commands() for row in rows(command)}
    for declared, flags, default in sorted(listed):
        print(f"{declared:55} {flags:40} {default}")
    again = twice()
    print(f"\n{len(listed)} options declared once each; {len(again)} defaults that stand twice", *again, sep="\n")
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main())
