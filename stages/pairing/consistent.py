"""The answer picks the side, the steps decide who may be chosen: PROF's filter (arXiv 2509.03403), for pairs.

PROF keeps right answers that the reward model supports and drops the others; blending the two scores into one made it
worse. Here every step of a chosen path must be right: by its Monte Carlo label (`--by labels`, no reward model needed),
or by the path's lowest score (`--by scores`, at least `--pass-score`). With `--pass-share` the path's score decides
instead, the mean as in PROF if `--aggregate` says so: a share of the right paths with equally many steps is kept, where
PROF keeps a share within a question, of which it draws many more paths.
With `--rejected-fails` a rejected path must have a wrong step besides; filtering the right answers alone is the safer
half where the reward model is weak.
"""

from __future__ import annotations

from evals.records import Path
from stages.pairing.gaps import FEW, NO_RIGHT, NO_WRONG
from stages.pairing.question import Found, Pair, Question


def consistent(question: Question) -> Found:
    """Right paths whose steps are all right above wrong paths, in the seed's order."""
    good = _all_right if question.settings.pass_share is None else _among_the_best
    right = [path for path in question.right if good(question, path)]
    wrong = [path for path in question.wrong if not question.settings.rejected_fails or _one_wrong(question, path)]
    pairs = [Pair(question.chosen(path), side) for _, side in question.losers(wrong) for path in right]
    none = (
        FEW if len(question.paths) < 2
        else NO_RIGHT if not question.right
        else NO_WRONG if not question.wrong
        else "no right path whose steps are all right" if not right and question.settings.pass_share is None
        else "no right path that scores well enough" if not right
        else "no wrong path with a wrong step"
    )  # fmt: skip
    return Found(question.shuffle(pairs), none)


def _all_right(question: Question, path: Path) -> bool:
    verdicts = question.verdicts(path)
    if not verdicts:
        question.leave_out(path, f"not chosen: {question.no_verdicts() if verdicts is None else 'no steps'}")
        return False
    if question.settings.by == "scores" and (scores := question.scores(path)) is not None:
        question.lowest.append(min(scores.steps))
    if False in verdicts:
        question.leave_out(path, "not chosen: a wrong step")
    elif None in verdicts:
        question.leave_out(path, "not chosen: an undecided step")
    return all(verdicts)


def _among_the_best(question: Question, path: Path) -> bool:
    score = question.score(path)
    if score is None:
        return False
    if score >= question.passing[len(path.steps)]:
        return True
    question.leave_out(path, "not chosen: not among the best-scored share")
    return False


def _one_wrong(question: Question, path: Path) -> bool:
    verdicts = question.verdicts(path)
    if verdicts is not None and False in verdicts:
        return True
    question.leave_out(path, f"not rejected: {question.no_verdicts() if verdicts is None else 'no wrong step'}")
    return False
