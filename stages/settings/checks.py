"""How programs are checked, for the tasks whose answer is code.

CheckSettings(sandbox="landlock", check_cpu=3.0).changed()      # {"sandbox": "landlock", "check_cpu": 3.0}
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from evals.programs.checks import CheckLimits

_LIMITS = CheckLimits()


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The sandbox and what one check may take.

    Args:
        sandbox: which sandbox; "auto" is the first of the others that works.
        unsafe_exec: where no sandbox works, run programs with limits alone instead of refusing.
        check_cpu: CPU seconds.
        check_wall: wall-clock seconds.
        check_memory: MiB.
    """

    sandbox: Literal["auto", "bubblewrap", "landlock"] = "auto"
    unsafe_exec: bool = False
    check_cpu: float = _LIMITS.cpu_s
    check_wall: float = _LIMITS.wall_s
    check_memory: int = _LIMITS.memory_mib

    def limits(self) -> CheckLimits:
        """The same for the checker."""
        return CheckLimits(self.check_cpu, self.check_wall, self.check_memory)

    def changed(self) -> dict[str, Any]:
        """The settings that are not the default, by name, for the manifest."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if value != field.default}
