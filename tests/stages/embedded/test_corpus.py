"""What the embedded models read: only train problems, right solutions, and misread ones that are carried on from."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest

from evals.worlds import chain
from evals.worlds.chain import Story
from evals.worlds.truth import sound, true_steps
from stages.embedded import corpus
from stages.embedded.corpus import Mix, Part, text
from stages.embedded.make_base import CORPORA, PHASES, build_tokenizer
from stages.models.naming import EMBEDDED, resolve

EQUATION = re.compile(r"[-+*/0-9]+=\d+")


def world(story: Story) -> dict[str, object]:
    told = story.chain
    return {"start": told.start, "operations": [[one.sign, one.number, one.times] for one in told.operations]}


def read(monkeypatch: pytest.MonkeyPatch, mix: Mix, n: int, seed: int = 0) -> list[tuple[Story, list[Part]]]:
    """Texts with the stories they tell: the last one drawn for each."""
    drawn: list[Story] = []
    real = chain.draw_story

    def draw(*arguments: object) -> Story:
        drawn.append(real(*arguments))  # type: ignore[arg-type]  # what it was given
        return drawn[-1]

    monkeypatch.setattr(corpus.chain, "draw_story", draw)
    rng, made = random.Random(seed), []
    for _ in range(n):
        parts = text(rng, mix)
        made.append((drawn[-1], parts))
    return made


def test_stories_are_of_the_train_buckets_and_solved_in_right_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(monkeypatch, Mix(hard=0.5, misread=0, sums=0), 400)
    assert {story.chain.bucket() for story, _ in made} == set(range(2, 10))
    for story, parts in made:
        steps = [part.strip() for part, _ in parts[1:-1]]
        assert story.question in parts[0][0]
        assert sound(world(story), steps)
        assert all(learned for _, learned in parts[1:])
        assert re.search(rf"\b{story.chain.states()[-1]}\b", parts[-1][0])
    learned = Counter(parts[0][1] for _, parts in made)
    assert 0.2 < learned[True] / 400 < 0.4, "three in ten stories are learned, too"


def test_misread_lines_are_not_learned_and_the_rest_carries_on_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = 0
    for story, parts in read(monkeypatch, Mix(hard=0.5, misread=1, sums=0, ood=0), 300):
        lines = [(part.strip(), learned) for part, learned in parts[1:-1]]
        flags = true_steps(world(story), [line for line, _ in lines])
        if all(learned for _, learned in lines):
            continue  # what was to be misread could not be written, or was the last sentence and is left out
        wrong += not all(flags)
        unlearned = [i for i, (_, learned) in enumerate(lines) if not learned]
        assert flags[: unlearned[0]] == [True] * unlearned[0], "right up to the misread sentence"
        results = [line.rpartition("=")[2] for line, _ in lines]
        for i, (line, learned) in enumerate(lines[1:], 1):
            left = re.findall(r"\d+", line.rpartition("=")[0])
            followed = results[i - 1] in left or any(result in left for result in results[max(0, i - 2) : i])
            assert followed or not learned or line.endswith(f"*2={int(left[0]) * 2}"), parts
        assert results[-1] in parts[-1][0]
    assert wrong > 150


def test_sums_hold() -> None:
    rng = random.Random(1)
    for _ in range(40):
        ((lines, learned),) = text(rng, Mix(hard=0, sums=1))
        assert learned
        for line in lines.splitlines():
            assert EQUATION.fullmatch(line)
            left, result = line.split("=")
            assert eval(left) == int(result), line


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_shipped_models_have_the_scripts_tokenizer_and_are_small(name: str) -> None:
    from pathlib import Path

    folder = Path(resolve(name))
    shipped = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    made = json.loads(build_tokenizer(CORPORA.get(name, corpus)).backend_tokenizer.to_str())
    assert shipped["model"] == made["model"]
    assert shipped["pre_tokenizer"] == made["pre_tokenizer"]
    assert (folder / "model.safetensors").stat().st_size < 4_000_000


def test_both_models_share_their_trunk() -> None:
    base, teacher = PHASES["base"], PHASES["teacher"]
    assert base[:2] == teacher[:2]
    assert base[2].mix.hard < teacher[2].mix.hard
