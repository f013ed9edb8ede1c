"""Right paths that were drawn often, above wrong ones.

How often a path was drawn is a sign of a sound one that costs nothing: a right answer by wrong steps is an accident,
and accidents repeat less. `sample` counts the draws of each distinct path (`times`). The rule favours easy questions,
as it needs repeats. We know of no paper that made pairs this way; self-consistency (arXiv 2203.11171) counts answers
for the same reason.
"""

from __future__ import annotations

from stages.pairing.gaps import FEW, NO_RIGHT, NO_WRONG
from stages.pairing.question import Found, Pair, Question


def frequent(question: Question) -> Found:
    """Right paths drawn at least `--min-times` times above wrong paths, in the seed's order."""
    least, often = question.settings.min_times, []
    for path in question.right:
        if path.times is None:
            question.leave_out(path, "not chosen: no count of draws")
        elif path.times < least:
            question.leave_out(path, f"not chosen: drawn fewer than {least} times")
        else:
            often.append(question.chosen(path))
    pairs = [Pair(chosen, side) for _, side in question.losers(question.wrong) for chosen in often]
    none = (
        FEW if len(question.paths) < 2
        else NO_RIGHT if not question.right
        else NO_WRONG if often
        else f"no right path drawn {least} times"
    )  # fmt: skip
    return Found(question.shuffle(pairs), none)
