"""How a setting is declared: once, as a field of a frozen dataclass that also gives its help, bounds and panel.

    @dataclass(frozen=True)
    class SampleSettings:
        n: int = setting(8, "Paths to draw per problem.", flags=("-n", "--n"), low=1)

From that field come the option with its help and bounds, the key of the configuration file, the SIPF_* variable, the
entry in the manifest and the row in docs/options.md. Nothing here imports pydantic or torch, so `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar

from evals.errors import UsageError

Settings = TypeVar("Settings")


class Panel(StrEnum):
    """The parts of a command's help, in their order."""

    MAIN = "What it does"
    MODEL = "Model and engine"
    CHECKS = "How programs are checked"
    FILES = "Files"
    SCALE = "Several processes and machines"
    MORE = "More"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a field declares as a setting; bounds are inclusive."""

    help: str
    panel: Panel = Panel.MAIN
    flags: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    metavar: str | None = None
    parse: Callable[[str], Any] | None = None
    """Makes the value from what is typed; raises UsageError."""
    shown: str | None = None
    """The default as a user would type it, if that is not simply the value."""
    source: str = ""
    """Where the default or the rule was published."""


def setting(
    default: Any,
    help: str,
    *,
    panel: Panel = Panel.MAIN,
    flags: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
    shown: str | None = None,
    source: str = "",
) -> Any:
    """A field of a settings dataclass, declared with its help, bounds and panel (see `Declaration`)."""
    declared = Declaration(help, panel, flags, low, high, metavar, parse, shown, source)
    return field(default=default, metadata={"setting": declared})


def part(kind: type[Any]) -> Any:
    """A field that holds a settings class, whose options are shown beside the others."""
    return field(default_factory=kind, metadata={"part": kind})


def declarations(kind: type[Any]) -> Iterator[tuple[Field[Any], Declaration]]:
    """The declared fields of a settings class in their order, without those of its parts."""
    for each in fields(kind):
        if "setting" in each.metadata:
            yield each, each.metadata["setting"]


def flag_of(name: str, declared: Declaration) -> str:
    """The setting's flag as a user types it."""
    return next((flag for flag in declared.flags if flag.startswith("--")), "--" + name.replace("_", "-"))


def check_bounds(settings: Any) -> None:
    """Refuse a value outside the bounds that its field declares.

    Raises:
        UsageError: `--k is 0; it must be at least 1`.
    """
    assert is_dataclass(settings), "settings are dataclasses"
    for each, declared in declarations(type(settings)):
        value = getattr(settings, each.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if declared.low is not None and not value >= declared.low:
            raise UsageError(f"{flag_of(each.name, declared)} is {value:g}; it must be at least {declared.low:g}")
        if declared.high is not None and not value <= declared.high:
            raise UsageError(f"{flag_of(each.name, declared)} is {value:g}; it must be at most {declared.high:g}")
