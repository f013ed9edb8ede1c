"""The `chain` task: math problems of the embedded world, prompted briefly and solved in one equation a line."""

from __future__ import annotations

from evals.tasks.math import MathTask

CHAIN = MathTask(
    name="chain",
    templates={"plain": "Question: {question}\nAnswer:\n"},
    max_tokens=96,
)
