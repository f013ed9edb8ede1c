"""The small file written last: its presence says that the output beside it is complete, and it records how it was made.

    problems.jsonl.manifest.json
    {"sipf": "0.1.0", "stage": "sample", "complete": true, "options": {"n": 8}, "facts": {"model": "..."},
     "shard": null, "input": {"path": "train.jsonl", "sha256": "...", "lines": 600},
     "output": {"sha256": "...", "lines": 599, "bytes": 81234, "one_each": true},
     "counts": {"problems": 599, "bad lines": 1, "failed": 0, "tokens": 70123}, "bad_lines": [[17, 17]],
     "gaps": [[17, 17]], "failed": [], "seconds": 12.5, "usage": {"tokens": 70123}, "started": "...", "finished": "...",
     "platform": {"python": "3.11.9", "torch": "2.13.0"}, "parents": [{"path": "train.jsonl", "sha256": "...", ...}]}

Line numbers count from 1, as editors do. `bad_lines` and `gaps` (the lines without a record: bad, blank, failed) are
[first, last] pairs; in a shard, a pair means every count-th line in between.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from evals.errors import DataError


def toolkit_version() -> str:
    """The installed version of the toolkit; "0" if it runs without being installed."""
    try:
        return version("sipf")
    except PackageNotFoundError:
        return "0"


def now() -> str:
    """The current time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def manifest_path(output: str) -> str:
    """The path of an output's manifest."""
    return f"{output}.manifest.json"


def hash_file(path: str) -> str:
    """The sha256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(path: str) -> None:
    """Make a rename into the folder of `path` survive a power cut, if the file system can."""
    with suppress(OSError):
        fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sync_tree(folder: str | os.PathLike[str]) -> None:
    """Bring all files below a folder, and their names, to the disk. A quota on a network disk may only be told of here.

    Raises:
        OSError: a file cannot be written.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(os.path.join(place, "any"))


def write_manifest(path: str, data: Mapping[str, Any]) -> None:
    """Write a manifest whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    prepare_manifest(path, data)
    try:
        publish_manifest(path)
    except BaseException:
        discard_prepared(path)
        raise


def prepare_manifest(path: str, data: Mapping[str, Any]) -> None:
    """Bring a manifest to the disk beside the place where it will appear; see `publish_manifest`.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    try:
        with open(_prepared(path), "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False, allow_nan=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        discard_prepared(path)
        raise


def publish_manifest(path: str) -> None:
    """Have a prepared manifest appear.

    Raises:
        OSError: it cannot; it stays as it is prepared.
    """
    os.replace(_prepared(path), path)
    sync_folder(path)


def discard_prepared(path: str) -> None:
    """Delete a prepared manifest that will not appear."""
    with suppress(OSError):
        os.unlink(_prepared(path))


def remove_manifest(output: str) -> None:
    """Delete the manifest of an output that is about to change. It must never lie beside data that it does not
    describe, not even after a power cut, which may keep a later change of names and not this one.

    Raises:
        OSError: it cannot be deleted.
    """
    with suppress(FileNotFoundError):
        os.unlink(manifest_path(output))
        sync_folder(output)


def recover_manifest(output: str) -> None:
    """Publish the prepared manifest of an output that a kill has left without one, if it describes the output.

    Raises:
        OSError: it cannot be published.
    """
    path = manifest_path(output)
    try:
        with open(_prepared(path), encoding="utf-8") as file:
            described = json.load(file)["output"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if described == hash_file(output):
        publish_manifest(path)


def _prepared(path: str) -> str:
    return f"{path}.tmp"


def read_manifest(output: str) -> dict[str, Any] | None:
    """The manifest of an output, or None if it has none.

    Raises:
        DataError: there is one, but it cannot be read.
    """
    path = manifest_path(output)
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "Delete it and run the command again.") from error
    if not isinstance(data, dict) or data.get("complete") is not True:
        raise DataError(f"{path}: is not the manifest of a complete output", "Delete it and run the command again.")
    return data


MODEL_MANIFEST = "manifest.json"
"""The manifest of a trained model, in the model's folder."""


def read_model_manifest(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The manifest in a model's folder, or None if it has none.

    Raises:
        DataError: there is one, but it cannot be read.
    """
    path = os.path.join(folder, MODEL_MANIFEST)
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "Train the model again.") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds no JSON object", "Train the model again.")
    return data


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping as it reads after a round trip through JSON (tuples become lists, keys strings)."""
    result: dict[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    return result


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def differences(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs between a recorded run and the wanted one, one phrase per difference.

    Compares `stage`, `options`, `facts`, `shard`, and the input's hash if both have it.
    """
    found = []
    for part in ("stage", "shard", "options", "facts"):
        prefix = "" if part in {"options", "facts"} else part
        old, new = dict(_flat(before.get(part), prefix)), dict(_flat(wanted.get(part), prefix))
        for name in [*old, *(name for name in new if name not in old)]:
            if not name or old.get(name) == new.get(name):
                continue
            was, is_now = (json.dumps(side.get(name), ensure_ascii=False) for side in (old, new))
            found.append(f"{name} was {was} and is now {is_now}")
    old_hash, new_hash = ((side.get("input") or {}).get("sha256") for side in (before, wanted))
    if old_hash is not None and new_hash is not None and old_hash != new_hash:
        found.append("the input's content has changed")
    return found


def parent_of(path: str, sha256: str | None) -> dict[str, Any]:
    """How an input was made: one level of its own manifest, if it has one that still fits its content."""
    parent: dict[str, Any] = {"path": path, "sha256": sha256}
    made = None if path == "-" else read_manifest(os.path.realpath(path))
    if made is None:
        return parent
    if made["output"]["sha256"] != sha256:
        return {**parent, "changed_since": made["finished"]}
    return {**parent, **{key: made.get(key) for key in ("sipf", "stage", "options", "facts", "shard", "counts")}}


def surroundings() -> dict[str, str]:
    """The versions a result may depend on; torch's only if it was used."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    if "torch" in sys.modules:
        found["torch"] = str(sys.modules["torch"].__version__)
    return found


@dataclass
class Ranges:
    """Ascending line numbers (from 0), kept as [first, last] pairs; the numbers in a pair are `step` apart."""

    step: int = 1
    pairs: list[list[int]] = field(default_factory=list)

    def add(self, n: int) -> None:
        """Add a number larger than all so far."""
        if self.pairs and n == self.pairs[-1][1] + self.step:
            self.pairs[-1][1] = n
        else:
            self.pairs.append([n, n])

    def __iter__(self) -> Iterator[int]:
        for first, last in self.pairs:
            yield from range(first, last + 1, self.step)

    def for_people(self) -> list[list[int]]:
        """The pairs, counted from 1."""
        return [[first + 1, last + 1] for first, last in self.pairs]

    @classmethod
    def from_people(cls, pairs: Sequence[Sequence[int]], step: int) -> Ranges:
        """What `for_people` wrote."""
        return cls(step, [[first - 1, last - 1] for first, last in pairs])
