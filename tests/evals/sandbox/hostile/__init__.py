"""All hostile programs by name."""

from tests.evals.sandbox.hostile.ending import CRASHING, SLOW
from tests.evals.sandbox.hostile.reaching import REACHING
from tests.evals.sandbox.hostile.verdicts import FORGERIES, VERDICT

CASES = {**SLOW, **CRASHING, **VERDICT, **FORGERIES, **REACHING}
