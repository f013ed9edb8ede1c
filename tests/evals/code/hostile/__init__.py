"""All hostile programs by name."""

from tests.evals.code.hostile.ending import CRASHING, SLOW
from tests.evals.code.hostile.reaching import REACHING
from tests.evals.code.hostile.verdicts import FORGERIES, VERDICT

CASES = {**SLOW, **CRASHING, **VERDICT, **FORGERIES, **REACHING}
