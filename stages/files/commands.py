"""The command line that a manifest records, and what the same command is for another shard.

for_shard(["sipf", "sample", "in.jsonl", "--shard", "slurm/4", "-o", "p.{shard}.jsonl"], Shard(2, 4), "p.0.jsonl", 0)
# ["sipf", "sample", "in.jsonl", "--shard", "2/4", "-o", "p.{shard}.jsonl"]
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence

from stages.files.shards import Shard

_SHARD, _OUTPUT = ("--shard",), ("--output", "-o")


def as_typed(words: Iterable[str]) -> str:
    """The words as a line for a shell."""
    return shlex.join(words)


def for_shard(command: Sequence[str], shard: Shard, output: str, index: int, named: str | None = None) -> list[str]:
    """The command of a run's other shard.

    Args:
        command: of shard `index`, whose output is the file `output`.
        shard: the one that is wanted.
        named: the file that is to be its output, if it is known.

    Returns:
        The words with that shard, and an output of its own: where the name has no `{shard}`, it is `named`, or the
        shard's number in it is replaced, or added.
    """
    words = _with_value(command, _SHARD, str(shard))
    given = _value(command, _OUTPUT)
    if given is not None and "{shard}" in given:
        return words
    return (
        words if index == shard.index else _with_value(words, _OUTPUT, named or _other_name(output, index, shard.index))
    )


def _other_name(output: str, index: int, wanted: int) -> str:
    folder, name = os.path.split(output)
    numbers = [found for found in re.finditer(r"\d+", name) if int(found[0]) == index]
    if len(numbers) == 1:
        digits = str(wanted).zfill(len(numbers[0][0]))
        name = name[: numbers[0].start()] + digits + name[numbers[0].end() :]
    else:
        stem, dot, ending = name.partition(".")
        name = f"{stem}.{wanted}{dot}{ending}"
    return os.path.join(folder, name)


def _value(words: Sequence[str], names: Sequence[str]) -> str | None:
    for place, word in enumerate(words):
        if word in names and place + 1 < len(words):
            return words[place + 1]
        inside = _inside(word, names)
        if inside is not None:
            return word[len(inside) :]
    return None


def _with_value(words: Sequence[str], names: Sequence[str], value: str) -> list[str]:
    """The words with an option's value replaced, or with the option at the end."""
    changed = list(words)
    for place, word in enumerate(words):
        if word in names and place + 1 < len(words):
            changed[place + 1] = value
            return changed
        inside = _inside(word, names)
        if inside is not None:
            changed[place] = inside + value
            return changed
    return [*changed, names[0], value]


def _inside(word: str, names: Sequence[str]) -> str | None:
    """What stands before the value in a word that holds both: "--shard=" or "-o"."""
    for name in names:
        before = f"{name}=" if name.startswith("--") else name
        if word.startswith(before) and len(word) > len(before) and (name.startswith("--") or word[1] != "-"):
            return before
    return None
