"""What a program is checked against, and what a check finds out.

    tests = CodeTests(code="assert add(1, 2) == 3", names=("add",))
    result = checker.check("def add(a, b):\\n    return a + b", tests)
    result.passed, result.outcome            # True, "passed"

The program is hostile until proven otherwise; the tests are trusted. A line's `tests` is `CodeTests.as_dict()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal[
    "passed", "wrong", "exception", "syntax", "timeout", "memory", "crash", "output-limit", "forbidden"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CodeTests:
    """The data set's own test code, and how it calls the program. Trusted, unlike the program.

    Args:
        code: test code; run by the trusted side with a proxy in place of each of `names`.
        names: what the program must define and the test code uses.
        entry_point: HumanEval's form: `code` defines `check(candidate)`, which is called with a proxy of this name.
        prelude: trusted code that runs before `code` (the reference's imports, the reference itself, set-up code).
        weak: the tests pass objects that are not plain data to the program. Both then run together in one process of
            the sandbox, and the verdict is only protected by a secret; a result says so.
    """

    code: str
    names: tuple[str, ...]
    entry_point: str | None = None
    prelude: str = ""
    weak: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values; empty ones are left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items() if value
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CodeTests:
        """The inverse of `as_dict`; unknown keys are ignored, as they are the user's own.

        Raises:
            ValueError: `field: what is wrong`.
        """
        code, names = data.get("code"), data.get("names")
        if not isinstance(code, str) or not code.strip():
            raise ValueError("code: must be test code")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("names: must be a list of names that the program defines")
        entry_point, prelude, weak = data.get("entry_point"), data.get("prelude", ""), data.get("weak", False)
        if entry_point is not None and not isinstance(entry_point, str):
            raise ValueError("entry_point: must be a name")
        if not isinstance(prelude, str):
            raise ValueError("prelude: must be code")
        if not isinstance(weak, bool):
            raise ValueError("weak: must be true or false")
        return cls(code, tuple(names), entry_point, prelude, weak)


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """What one check may take: CPU and wall seconds over the whole check, memory in MiB, open files, bytes written."""

    cpu_s: float = 10.0
    wall_s: float = 30.0
    memory_mib: int = 512
    files: int = 64
    output_bytes: int = 1 << 20


DEFAULT_LIMITS = CheckLimits()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check's outcome and cost. `message` is one line of at most 200 characters and may come from the program."""

    outcome: Outcome
    weak: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0
    message: str = ""
    rerun: bool = False
    """It timed out while other checks were running and was run again alone; this is the second result."""

    @property
    def passed(self) -> bool:
        """True when every test held."""
        return self.outcome == "passed"
