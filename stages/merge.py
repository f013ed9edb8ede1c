"""Join the shards of one run: the bytes are those of the same run without shards.

merge(["a.jsonl", "b.jsonl"], "all.jsonl")
"""

from __future__ import annotations

import heapq
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.errors import DataError, UsageError
from stages.files.commands import as_typed, for_shard
from stages.files.inputs import check_source, raw_lines
from stages.files.locks import place_of
from stages.files.manifest import Ranges, differences, hash_file, read_manifest
from stages.files.outputs import Lines, atomic_lines
from stages.files.shards import Shard


@dataclass(frozen=True)
class _Part:
    """One shard's output and what its manifest says."""

    path: str
    manifest: Mapping[str, Any]

    @property
    def index(self) -> int:
        return int(self.manifest["shard"]["index"])

    @property
    def count(self) -> int:
        return int(self.manifest["shard"]["count"])

    def lines(self) -> Iterator[str]:
        """The output's lines, without line ends."""
        for raw in raw_lines(self.path):
            assert raw is not None, "a reader that waits gets lines only"
            yield raw.decode().removesuffix("\n")

    def numbers(self) -> Iterator[int]:
        """The input line numbers (from 0) that have a record."""
        gaps = iter(Ranges.from_people(self.manifest["gaps"], self.count))
        gap = next(gaps, None)
        for n in range(self.index, self.manifest["input"]["lines"], self.count):
            if n == gap:
                gap = next(gaps, None)
            else:
                yield n

    def numbered(self) -> Iterator[tuple[int, str]]:
        """The lines, each with its input line number."""
        try:
            yield from zip(self.numbers(), self.lines(), strict=True)
        except ValueError as error:
            raise DataError(f"{self.path}: its lines do not match its manifest", "Make it again.") from error


def merge(
    sources: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], overwrite: bool = False
) -> dict[str, Any]:
    """Write the lines of all shards in input order, with a manifest like that of the run without shards.

    If a stage wrote several records or none for a problem, the shards follow one another instead; see `order`.

    Returns:
        output, stage, shards, lines, order ("input" or "shard"), bad, failed, already.

    Raises:
        UsageError: a shard is missing, given twice, incomplete, or from another run; or the output is in use.
        DataError: a shard was changed after it was made.
    """
    output = os.fspath(output)
    parts = _checked([os.fspath(source) for source in sources])
    _refuse_own_parts(parts, output)
    in_order = all(part.manifest["output"]["one_each"] or not part.manifest["output"]["lines"] for part in parts)
    first = parts[0].manifest
    identity = {key: first[key] for key in ("stage", "options", "facts")}
    # inputs without a hash (pipes, which are never known to be equal) were refused by `_checked`
    identity |= {"shard": None, "input": first["input"]}
    joined = _joined(parts)
    with atomic_lines(output, identity=identity, overwrite=overwrite) as out:
        if out.already is None:
            _write(parts, out, in_order)
            out.one_each = in_order
            out.extra = {**joined, "parents": _parents(parts)}
    written = out.facts() if out.already is None else out.already["output"]
    return {
        "output": output,
        "stage": first["stage"],
        "shards": len(parts),
        "lines": written["lines"],
        "order": "input" if in_order else "shard",
        "bad": joined["counts"].get("bad lines", 0),
        "failed": joined["counts"].get("failed", 0),
        "already": out.already is not None,
    }


def _write(parts: Sequence[_Part], out: Lines, in_order: bool) -> None:
    for part in parts:
        if hash_file(part.path) != part.manifest["output"]["sha256"]:
            raise DataError(f"{part.path}: was changed after it was made", "Make it again with --overwrite.")
    if not in_order:
        for part in parts:
            for line in part.lines():
                out.write(line)
        return
    streams = [part.numbered() for part in parts]
    for _, line in heapq.merge(*streams, key=lambda numbered: numbered[0]):
        out.write(line)


def _part(path: str) -> _Part | None:
    """A shard's output; None if it is not complete."""
    if os.path.exists(path):
        check_source(path)
    manifest = read_manifest(os.path.realpath(path))
    if manifest is None or not os.path.exists(path):
        return None
    if not isinstance(manifest.get("shard"), dict):
        raise UsageError(f"{path} is not a shard: its run had no --shard", "Merge takes the shards of one run.")
    return _Part(path, manifest)


def _checked(paths: Sequence[str]) -> list[_Part]:
    """The parts by index, if they are all shards of one run, each once.

    Raises:
        UsageError: they are not; where some are missing or incomplete, with the command of each.
    """
    if not paths:
        raise UsageError("there is nothing to merge", "Name the shards.")
    found = {path: _part(path) for path in paths}
    parts = [part for part in (found[path] for path in paths) if part is not None]
    unfinished = [path for path in found if found[path] is None]
    if not parts:
        raise _incomplete(unfinished, {}, None)
    first = parts[0]
    by_index: dict[int, _Part] = {}
    for part in parts:
        changed = differences({**first.manifest, "shard": first.count}, {**part.manifest, "shard": part.count})
        if changed:
            said = "; ".join(changed).replace("shard was", "the number of shards was")
            raise UsageError(
                f"{part.path} and {first.path} are of different runs: {said}", "Merge the shards of one run."
            )
        if part.index in by_index:
            raise UsageError(f"{part.path} and {by_index[part.index].path} are both shard {part.index}/{part.count}")
        by_index[part.index] = part
    if unfinished or len(by_index) < first.count:
        raise _incomplete(unfinished, by_index, first)
    return [by_index[i] for i in range(first.count)]


def _incomplete(unfinished: Sequence[str], complete: Mapping[int, _Part], known: _Part | None) -> UsageError:
    """Which shards are missing or incomplete, and the command that makes each."""
    begun = {path: begun for path in unfinished if (begun := _begun(path)) is not None}
    shards = {shard.index: (path, shard, words) for path, (shard, words) in begun.items()}
    count = known.count if known is not None else max((shard.count for _, shard, _ in shards.values()), default=0)
    said = [f"{path} is not complete: it has no manifest" for path in unfinished]
    missing = [index for index in range(count) if index not in complete and index not in shards]
    if missing and len(missing) + len(begun) > len(unfinished):
        said.append(f"shard {', '.join(f'{index}/{count}' for index in missing)} is missing")
    commands = [for_shard(words, shard, path, shard.index) for path, shard, words in shards.values() if words]
    if known is None and shards:
        path, shard, words = next(iter(shards.values()))
        pattern = (words, path, shard.index)
    else:
        pattern = ([], "", 0) if known is None else (known.manifest.get("command") or [], known.path, known.index)
    if pattern[0]:
        unknown = [path for path in unfinished if path not in begun]
        named = unknown[0] if len(unknown) == len(missing) == 1 else None
        commands += [for_shard(pattern[0], Shard(index, count), *pattern[1:], named) for index in missing]
    advice = "Run its command again until it is done, then merge." if unfinished else "Name all shards of the run."
    if commands:
        advice = "\n      ".join(
            ["Where they are not running any more, run again, then merge:", *map(as_typed, commands)]
        )
    return UsageError("; ".join(said), advice)


def _begun(path: str) -> tuple[Shard, list[str]] | None:
    """The shard that an output is to become, and the command that began it, from its journal; None without one."""
    try:
        with open(f"{os.path.realpath(path)}.part", "rb") as file:
            header = json.loads(file.readline())
        return Shard(header["shard"]["index"], header["shard"]["count"]), list(header.get("command") or [])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refuse_own_parts(parts: Sequence[_Part], output: str) -> None:
    place = place_of(output)
    for part in parts:
        if place is not None and os.path.realpath(part.path) == place:
            raise UsageError(f"the output {output} is one of the shards", "Choose another -o.")


def _union(parts: Sequence[_Part], key: str) -> list[list[int]]:
    union = Ranges()
    for n in heapq.merge(*(Ranges.from_people(part.manifest[key], part.count) for part in parts)):
        union.add(n)
    return union.for_people()


def _joined(parts: Sequence[_Part]) -> dict[str, Any]:
    """The fields of the merged manifest that combine those of the shards."""
    counts: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    for part in parts:
        counts.update(part.manifest["counts"])
        usage.update(part.manifest.get("usage") or {})
    manifests = [part.manifest for part in parts]
    return {
        "counts": dict(counts),
        "bad_lines": _union(parts, "bad_lines"),
        "gaps": _union(parts, "gaps"),
        "failed": sorted((one for made in manifests for one in made["failed"]), key=lambda one: int(one["line"])),
        "seconds": round(sum(made["seconds"] for made in manifests), 3),
        "usage": dict(usage),
        "started": min(made["started"] for made in manifests),
        "finished": max(made["finished"] for made in manifests),
    }


def _parents(parts: Sequence[_Part]) -> list[dict[str, Any]]:
    kept = ("sipf", "stage", "options", "facts", "shard", "counts")
    return [
        {"path": part.path, "sha256": part.manifest["output"]["sha256"], **{key: part.manifest[key] for key in kept}}
        for part in parts
    ]
