"""The names of rules: by which an answer is read and compared with the right one, and a path's score is computed.

    strict, flexible, robust    see `evals.reading.answers`, and `evals.reading.letters` for multiple choice
    paper                       the number behind the first "The answer is", float equality (arXiv 2412.08393)
    math-verify                 what math-verify finds and SymPy calls equal, see `evals.reading.math_verifier`

Light to import: settings name a rule before anything is read.
"""

from __future__ import annotations

from typing import Literal

AnswerRule = Literal["robust", "strict", "flexible", "paper", "math-verify"]
"""`robust` is what decides unless another one is asked for."""
Aggregate = Literal["mean", "min", "product", "last"]
"""How the score of a path is computed from its step scores."""
