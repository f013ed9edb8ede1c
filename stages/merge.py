"""Join the shards of one run: the bytes are those of the same run without shards.

merge(["a.jsonl", "b.jsonl"], "all.jsonl")
"""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.errors import DataError, UsageError
from stages.files.inputs import check_source, raw_lines
from stages.files.locks import place_of
from stages.files.manifest import Ranges, differences, hash_file, read_manifest
from stages.files.outputs import Lines, atomic_lines


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
    parts = _checked([_part(os.fspath(source)) for source in sources])
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


def _part(path: str) -> _Part:
    check_source(path)
    manifest = read_manifest(os.path.realpath(path))
    if manifest is None:
        raise UsageError(
            f"{path} is not complete: it has no manifest", "Run its command again until it is done, then merge."
        )
    if not isinstance(manifest.get("shard"), dict):
        raise UsageError(f"{path} is not a shard: its run had no --shard", "Merge takes the shards of one run.")
    return _Part(path, manifest)


def _checked(parts: Sequence[_Part]) -> list[_Part]:
    """The parts by index, if they are all shards of one run, each once."""
    if not parts:
        raise UsageError("there is nothing to merge", "Name the shards.")
    first = parts[0]
    by_index: dict[int, _Part] = {}
    for part in parts:
        found = differences({**first.manifest, "shard": first.count}, {**part.manifest, "shard": part.count})
        if found:
            said = "; ".join(found).replace("shard was", "the number of shards was")
            raise UsageError(
                f"{part.path} and {first.path} are of different runs: {said}", "Merge the shards of one run."
            )
        if part.index in by_index:
            raise UsageError(f"{part.path} and {by_index[part.index].path} are both shard {part.index}/{part.count}")
        by_index[part.index] = part
    missing = [f"{i}/{first.count}" for i in range(first.count) if i not in by_index]
    if missing:
        raise UsageError(f"shard {', '.join(missing)} is missing", "Name all shards of the run.")
    return [by_index[i] for i in range(first.count)]


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
