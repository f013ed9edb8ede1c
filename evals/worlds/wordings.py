"""How the sentences of a chain story are worded.

    SPLITS.plain["+"]        # "{She} buys {n} more." and others: they say what they do
    SPLITS.hard["+"]         # "{O} loses {n} to {her}.": one has to read who gives and who gets
    SPLITS.asides            # "{She} is {n} years old.": a number that changes nothing

`OOD` holds the wordings of the out-of-domain split; no sentence of one set is in the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEOPLE = ("Mia", "Tom", "Ana", "Ben", "Eva", "Leo", "Ida", "Max", "Zoe", "Sam", "Amy", "Jon")
PRONOUNS = {name: ("She", "her") if i % 2 == 0 else ("He", "him") for i, name in enumerate(PEOPLE)}
ITEMS = ("pens", "books", "coins", "cards", "apples", "shells", "stamps", "beads", "nuts", "eggs", "keys", "cups")


@dataclass(frozen=True, slots=True)
class Wordings:
    """The sentences of a set of splits.

    The keys of `plain` are "+", "-", "*2", "*3", "/2" and "/3"; those of `hard` are "+", "-", and "again" or "twice"
    with a sign, whose number is that of the sentence before. Fields: She, her, O and T (other people), item, item2, n.
    """

    plain: Mapping[str, tuple[str, ...]]
    hard: Mapping[str, tuple[str, ...]]
    asides: tuple[str, ...]


SPLITS = Wordings(
    plain={
        "+": ("{She} buys {n} more.", "{She} finds {n} {item}.", "{O} gives {her} {n}.", "{She} wins {n}."),
        "-": ("{She} gives {n} to {O}.", "{She} loses {n}.", "{She} sells {n} {item}.", "{n} of them break."),
        "*2": ("{She} doubles the {item}.",),
        "*3": ("{She} triples the {item}.",),
        "/2": ("{She} keeps half of them.", "Half of them break."),
        "/3": ("{She} keeps a third of them.",),
    },
    hard={
        "+": (
            "{O} loses {n} to {her}.",
            "{O} sells {her} {n}.",
            "{She} borrows {n} from {O}.",
            "{She} wins {n} from {O}.",
            "{n} are handed to {her}.",
        ),
        "-": (
            "{She} loses {n} to {O}.",
            "{O} buys {n} from {her}.",
            "{O} borrows {n} from {her}.",
            "{O} wins {n} from {her}.",
            "{n} are stolen from {her}.",
        ),
        "again+": ("{O} gives {her} the same number.", "{She} finds just as many again."),
        "again-": ("{She} sells the same number.", "Just as many of them break."),
        "twice+": ("{O} gives {her} twice that number.", "{She} buys twice as many after that."),
        "twice-": ("{She} loses twice that number.", "{She} sells twice as many after that."),
    },
    asides=(
        "{O} finds {n} {item}.",
        "{O} gives {T} {n}.",
        "{O} has {n} {item}.",
        "{T} loses {n} to {O}.",
        "{She} buys {n} {item2}.",
        "{She} loses {n} {item2}.",
        "{She} is {n} years old.",
        "Each of them costs {n} dollars.",
        "{She} wants to sell {n} but keeps them.",
        "{She} nearly loses {n}.",
    ),
)

OOD = Wordings(
    plain={
        "+": ("Then {n} are added.", "{She} picks up another {n}.", "{n} more come by mail."),
        "-": ("Then {n} are taken away.", "{She} throws out {n} of the {item}.", "{n} go missing."),
        "*2": ("Soon there are two times as many.",),
        "*3": ("Soon there are three times as many.",),
        "/2": ("Only one of every two is left.",),
        "/3": ("Only one of every three is left.",),
    },
    hard={
        "+": ("{O} hands {n} over to {her}.", "{n} of the {item} that {O} had are now with {her}."),
        "-": ("{She} hands {n} over to {O}.", "{n} of the {item} that went to {O} were from {her}."),
        "again+": ("The same number is added again.",),
        "again-": ("The same number is taken away again.",),
        "twice+": ("Then two times that number are added.",),
        "twice-": ("Then two times that number are taken away.",),
    },
    asides=("{O} picks up {n} {item}.", "{She} throws out {n} {item2}.", "This takes {n} minutes."),
)
