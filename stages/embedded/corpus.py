"""The texts that the chain world's models are pre-trained on: stories with their solutions, and sums.

A text is a list of parts, each with a flag: whether the model learns to write it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from evals.worlds import chain
from evals.worlds.chain import Operation, Story
from evals.worlds.wordings import ITEMS, OOD, PEOPLE, PRONOUNS, SPLITS

Part = tuple[str, bool]

PROMPT = "Question: {question}\nAnswer:\n"
HEADS = ("{question}\n", "{question}\nSteps:\n", PROMPT)
TAILS = ("That leaves {answer} {item}.", "So {who} ends up with {answer}.")
PROMPT_TAIL = "The answer is {answer}"
PIECES = r" ?\p{L}+|\p{N}{1,2}| |\n|[^\s\p{L}\p{N}]"
"""What the tokenizer cuts texts into: words, numbers of up to two digits, signs."""
HARD_STORY = 0.5
"""Chance that a sentence of a hard story is hard to read; a plain story has no such sentence."""


@dataclass(frozen=True)
class Mix:
    """What a text is made from; all are shares of texts.

    `hard` stories are hard to read, `misread` ones have one sentence misread and carried on from, `ood` ones are
    worded as the out-of-domain split, `sums` are drills: sums, or programs of one operation. `doubled` is the share of
    the misread stories whose misread sentence is taken for a doubled number, which has a line of its own. `varied` is
    that of `chain.solution_lines`. The last two are the chain world's alone.
    """

    hard: float
    misread: float = 0.15
    ood: float = 0.12
    long_ood: float = 0.25
    sums: float = 0.15
    story_learned: float = 0.3
    varied: float = chain.VARIED
    doubled: float = 0.0


def text(rng: random.Random, mix: Mix) -> list[Part]:
    """One pre-training text, of a skeleton in the train split's buckets: no other split's problem is ever seen."""
    if rng.random() < mix.sums:
        return [(_sums(rng), True)]
    while True:
        ood = rng.random() < mix.ood
        lengths = (6, 8) if ood and rng.random() < mix.long_ood else (2, 5)
        hard = HARD_STORY if rng.random() < mix.hard else 0.0
        story = chain.draw_story(rng, OOD if ood else SPLITS, *lengths, hard)
        if story.chain.bucket() >= 2:
            break
    head = rng.choice(HEADS)
    tail = PROMPT_TAIL if head == PROMPT else rng.choice(TAILS)
    lines = _misread(rng, story, mix.doubled) if rng.random() < mix.misread else None
    if lines is None:
        written = chain.solution_lines(rng, story.start, story.chain.operations, mix.varied)
        lines = [(line, True) for line in written]
    answer = lines[-1][0].rpartition("=")[2]
    return [
        (head.format(question=story.question), rng.random() < mix.story_learned),
        *((f"{line}\n", learned) for line, learned in lines),
        (tail.format(answer=answer, item=story.item, who=story.who), True),
    ]


def _misread(rng: random.Random, story: Story, doubled: float) -> list[Part] | None:
    """A solution in which one sentence is misread and the rest carries on from there; None if that cannot be written.

    The lines that show the misreading are not learned, those that carry on are: so a model follows what is written,
    right or wrong, instead of calculating from the story again.
    """
    at = rng.randrange(len(story.sentences))
    meant = story.sentences[at]
    signs: list[Operation | None] = [Operation("+", meant.number), Operation("-", meant.number)]
    others = [Operation(sign, rng.randint(*chain.NUMBERS)) for sign in "+-"]
    wrong = rng.choice([None, *signs, *others, Operation("*", 2), Operation("/", 2)])
    if doubled and rng.random() < doubled:
        wrong = Operation(rng.choice("+-"), rng.randint(chain.NUMBERS[0], chain.MOST_TWICE // 2), 2)
    if wrong == meant.operation:
        return None
    state, lines, unlearned = story.start, list[Part](), 0
    for i, sentence in enumerate(story.sentences):
        operation = wrong if i == at else sentence.operation
        if i == at and operation is None:
            unlearned = 1  # a sentence that was left out shows in the next line
        if operation is None:
            continue
        if operation.after(state) is None:
            return None
        written, state = chain.told_lines(state, [operation])
        lines += [(line, i != at and not unlearned) for line in written]
        unlearned = 0
    return lines or None


def _sums(rng: random.Random) -> str:
    """Ten to fourteen equations of the kinds that solutions have."""
    lines: list[str] = []
    for _ in range(rng.randint(10, 14)):
        kind, state, result = rng.random(), rng.randint(1, chain.LIMIT), None
        while result is None:
            state = rng.randint(1, chain.LIMIT)
            sign = rng.choice("++++----*/")
            least, most = (2, 3) if sign in "*/" else (2, 12) if kind < 0.7 else (2, chain.MOST_TWICE)
            number = rng.randint(least, most)
            result = Operation(sign, number).after(state)
        second = Operation(rng.choice("+-"), rng.randint(*chain.NUMBERS))
        joined = second.after(result)
        if kind < 0.15 and sign in "+-" and joined is not None:
            lines.append(f"{state}{sign}{number}{second.sign}{second.number}={joined}")
        elif kind < 0.2:
            lines.append(f"{number}+{second.number}={number + second.number}")
        elif kind < 0.25:
            lines.append(f"{number}*2={number * 2}")
        else:
            lines.append(f"{state}{sign}{number}={result}")
    return "\n".join(lines)


def vocabulary() -> list[str]:
    """Texts whose pieces become tokens."""
    sentences = [
        wording.format(She=she, her=her, O=name, T=name, item=item, item2=item, n=1)
        for wordings in (SPLITS, OOD)
        for group in (*wordings.plain.values(), *wordings.hard.values(), wordings.asides)
        for wording in group
        for name, item in zip(PEOPLE, ITEMS, strict=True)
        for she, her in [PRONOUNS[name]]
    ]
    ends = [
        f" How many {item} does {name} have? {name} has 1 {item}." for name, item in zip(PEOPLE, ITEMS, strict=True)
    ]
    frames = [part.format(question="", answer=1, item="", who="") for part in (*HEADS, *TAILS, PROMPT_TAIL)]
    # A word is one token with a space before it; those that begin a line are one token without it as well.
    return [
        *(f" {one}" for one in sentences),
        *ends,
        *(f" {one}" for one in frames),
        *frames,
        *PEOPLE,
        *map(str, range(100)),
    ]
