"""How programs are checked, for the tasks whose answer is code.

CheckSettings(sandbox="landlock", check_cpu=3.0).changed()      # {"sandbox": "landlock", "check_cpu": 3.0}
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from evals.programs.checks import DEFAULT_LIMITS, CheckLimits
from stages.settings.declare import Panel, setting


@dataclass(frozen=True)
class CheckSettings:
    """The sandbox, and the limits of one check."""

    sandbox: Literal["auto", "bubblewrap", "landlock"] = setting(
        "auto", "Sandbox that runs programs; auto takes the strongest that works here.", panel=Panel.CHECKS
    )
    unsafe_exec: bool = setting(
        False, "If no sandbox works, run programs with limits alone instead of refusing.", panel=Panel.CHECKS
    )
    check_cpu: float = setting(DEFAULT_LIMITS.cpu_s, "CPU seconds per check.", low=0.1, panel=Panel.CHECKS)
    check_wall: float = setting(DEFAULT_LIMITS.wall_s, "Wall-clock seconds per check.", low=0.1, panel=Panel.CHECKS)
    check_memory: int = setting(DEFAULT_LIMITS.memory_mib, "Memory per program, in MiB.", low=64, panel=Panel.CHECKS)

    def limits(self) -> CheckLimits:
        """The limits in the checker's form."""
        return CheckLimits(self.check_cpu, self.check_wall, self.check_memory)

    def changed(self) -> dict[str, Any]:
        """The settings that differ from their defaults, by name, for the manifest."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if value != field.default}
