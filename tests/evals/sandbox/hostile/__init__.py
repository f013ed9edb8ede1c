"""All hostile programs by name."""

from tests.evals.sandbox.hostile.base import Hostile
from tests.evals.sandbox.hostile.ending import CRASHING, SLOW
from tests.evals.sandbox.hostile.kernel import KERNEL
from tests.evals.sandbox.hostile.python import PYTHON
from tests.evals.sandbox.hostile.reaching import REACHING
from tests.evals.sandbox.hostile.verdicts import FORGERIES, VERDICT

CLASSES: dict[str, dict[str, Hostile]] = {
    "never end": SLOW,
    "end badly": CRASHING,
    "go for the verdict": VERDICT,
    "forge replies": FORGERIES,
    "reach outside": REACHING,
    "the kernel's rarer doors": KERNEL,
    "bend Python": PYTHON,
}
CASES = {name: case for cases in CLASSES.values() for name, case in cases.items()}
