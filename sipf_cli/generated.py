"""Options made from settings: how a command declares them, and how its help shows them.

    app = new_app()

    @app.command()
    def score(lines: o.Input, output: o.Output, settings: ScoreSettings, console: ConsoleOptions) -> None: ...

Every parameter that is a dataclass is replaced by its fields. Each becomes an option with the help, the bounds and the
default that the field declares (`stages.settings.declare`); the command is called with the dataclass built from them.
The help groups the options into panels, the most needed ones first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from stages.settings.declare import Declaration, Panel


class PanelCommand(TyperCommand):
    """A command whose help shows its options in panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each panel that has an option."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{panel: [] for panel in Panel}}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                own = getattr(param, "rich_help_panel", None)
                panel = "Arguments" if param.param_type_name == "argument" else own or Panel.MORE
                panels[panel].append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(str(panel)):
                    formatter.write_dl(records, col_max=26)


@dataclass(frozen=True, slots=True)
class Generated:
    """A settings field as a command's parameter: its option, and how what was typed becomes its value."""

    field: Field[Any]
    declared: Declaration
    hint: Any

    @property
    def parameter(self) -> inspect.Parameter:
        """The keyword parameter that Typer reads."""
        declared = self.declared
        hint, default, shown = self.hint, self.field.default, declared.shown
        if declared.parse is not None:
            hint, default = str | None, shown
            shown = None
        elif self._many:
            hint, default = GenericAlias(list, get_args(self.hint)[:1]) | None, None
        more: dict[str, Any] = {} if shown is None else {"show_default": shown}
        if default is MISSING:
            default = inspect.Parameter.empty
        option = typer.Option(
            *(declared.flags or ("--" + self.field.name.replace("_", "-"),)),
            help=declared.help,
            min=_whole(declared.low, hint),
            max=_whole(declared.high, hint),
            metavar=declared.metavar or _metavar(hint),
            rich_help_panel=declared.panel,
            **more,
        )
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.field.name, kind, default=default, annotation=Annotated[hint, option])

    def value(self, typed: Any) -> Any:
        """The field's value for what was typed."""
        if self._many:
            return self.field.default if typed is None else tuple(typed)
        if self.declared.parse is None or typed is None:
            return typed
        return self.declared.parse(typed)

    @property
    def _many(self) -> bool:
        return get_origin(self.hint) is tuple and get_args(self.hint)[1:] == (...,)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types that a hint allows, without None; for a list, those of its items."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType, list) else (hint,)
    return tuple(kind for part in parts if part is not NoneType for kind in (_kinds(part) if part != hint else (part,)))


def _metavar(hint: Any) -> str | None:
    """The placeholder for a value in the help; None for a switch, or where the choices are shown instead."""
    return {int: "INT", float: "FLOAT", str: "TEXT", Path: "FILE"}.get(_kinds(hint)[0])


def _whole(bound: float | None, hint: Any) -> float | int | None:
    """The bound as an int if the option is one, so that the help says 1 and not 1.0."""
    return int(bound) if bound is not None and float not in _kinds(hint) else bound


@dataclass(frozen=True)
class Expansion:
    """A settings class as the parameters of a command."""

    kind: type[Any]

    def classes(self) -> Iterator[type[Any]]:
        """The settings classes whose fields it has: itself, what it inherits from, and its parts."""
        yield from (kind for kind in self.kind.__mro__ if is_dataclass(kind))
        for each in fields(self.kind):
            if "part" in each.metadata:
                yield from Expansion(each.metadata["part"]).classes()

    def generated(self) -> Iterator[Generated]:
        """The parameters of its declared fields."""
        hints = get_type_hints(self.kind)
        for each in fields(self.kind):
            if "setting" in each.metadata:
                yield Generated(each, each.metadata["setting"], hints[each.name])

    def parameters(self) -> Iterator[inspect.Parameter]:
        """All parameters, including those of parts and those declared in Typer's own way."""
        hints = get_type_hints(self.kind, include_extras=True)
        for each in fields(self.kind):
            if "part" in each.metadata:
                yield from Expansion(each.metadata["part"]).parameters()
            elif "setting" not in each.metadata:
                yield inspect.Parameter(
                    each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name]
                )
        yield from (each.parameter for each in self.generated())

    def build(self, typed: dict[str, Any]) -> Any:
        """The settings; takes their values out of what was typed."""
        values = {each.field.name: each.value(typed.pop(each.field.name)) for each in self.generated()}
        for each in fields(self.kind):
            if "part" in each.metadata:
                values[each.name] = Expansion(each.metadata["part"]).build(typed)
            elif each.name not in values:
                values[each.name] = typed.pop(each.name)
        return self.kind(**values)


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """The function with each parameter that is a dataclass replaced by its fields, as keyword parameters."""
    hints = get_type_hints(function, include_extras=True)
    groups = {name: Expansion(hint) for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}
    own, shared = [], []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            shared += list(groups[name].parameters())
        else:
            own.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(function)
    def command(**typed: Any) -> None:
        for name, group in groups.items():
            typed[name] = group.build(typed)
        function(**typed)

    command.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]  # inspect reads it (PEP 362); mypy does not know it
    return command


class CommandApp(typer.Typer):
    """A Typer app whose commands are declared with settings and shown in panels."""

    def command(self, name: str | None = None, **how: Any) -> Callable[[Any], Any]:
        """Register a command, its settings expanded; a list of commands shows its first sentence whole."""
        register = super().command

        def decorate(function: Callable[..., None]) -> Callable[..., None]:
            sentence = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
            register(name, cls=PanelCommand, short_help=sentence, **how)(expanded(function))
            return function

        return decorate


def new_app(help: str | None = None) -> CommandApp:
    """The app of one command module: plain help, plain tracebacks."""
    return CommandApp(help=help, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
