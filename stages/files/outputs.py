"""Outputs that a stage writes in one go: whole or not at all, the manifest last.

with atomic_lines("pairs.jsonl", identity={"stage": "pairs", "options": {"eta": 0.1}}) as out:
    if out.already is None:
        for pair in pairs:
            out.write(pair)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from evals.errors import UsageError
from evals.records import Record
from stages.files.atomic import AtomicFile, StreamOutput, atomic_file, cannot_write
from stages.files.interrupts import StopFlag
from stages.files.locks import CHOOSE_ANOTHER, output_lock, place_of, standing
from stages.files.manifest import (
    discard_prepared,
    manifest_path,
    now,
    plain,
    prepare_manifest,
    publish_manifest,
    surroundings,
    sync_folder,
    toolkit_version,
    write_manifest,
)

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_line(record: Record | Mapping[str, Any] | str) -> str:
    """A record as one line of JSON without its line end; a string is taken to be such a line."""
    if isinstance(record, str):
        return record
    if isinstance(record, Record):
        return record.to_json()
    return _encode(record)


class Lines:
    """An output being written. `already` is its manifest if it was complete before; then there is nothing to write."""

    def __init__(
        self, file: AtomicFile | StreamOutput | None, flag: StopFlag, already: dict[str, Any] | None = None
    ) -> None:
        self._file, self._flag = file, flag
        self.already = already
        self.extra: dict[str, Any] = {}
        """Further entries of the manifest, such as `counts`; filled in while writing."""
        self.one_each: bool | None = None
        """Whether each problem has exactly one line, if known."""

    def write(self, record: Record | Mapping[str, Any] | str) -> None:
        """Write one record, or one line of JSON without its line end.

        Raises:
            Interrupted: stopped, or the disk is full.
        """
        assert self._file is not None, "the output is complete already"
        self._flag.check()
        self._file.write(f"{to_line(record)}\n".encode())

    __call__ = write

    def facts(self) -> dict[str, Any]:
        """Hash, bytes and lines written so far."""
        assert self._file is not None, "the output is complete already"
        return {**self._file.facts(), **({} if self.one_each is None else {"one_each": self.one_each})}


def save_manifest(paths: list[str], data: Mapping[str, Any]) -> None:
    """Write the manifest to each of the paths.

    Raises:
        Interrupted: the disk is full.
    """
    for path in paths:
        try:
            write_manifest(os.path.realpath(path), data)  # a link stays one
        except OSError as error:
            raise cannot_write(path, error) from error


def copy_manifest(made: Mapping[str, Any], path: str | None) -> None:
    """Have an output's manifest under another path as well, if one is wanted; a kill may have come before that.

    Raises:
        Interrupted: it cannot be written.
    """
    if path is None:
        return
    try:
        with open(path, encoding="utf-8") as file:
            if json.load(file) == made:
                return
    except (OSError, ValueError):
        pass  # it is not there, or half there: written now
    save_manifest([path], made)


@contextmanager
def atomic_lines(
    output: str | os.PathLike[str],
    describe: Callable[[], Mapping[str, Any]] = dict,
    *,
    identity: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    manifest: str | None = None,
    flag: StopFlag | None = None,
) -> Iterator[Lines]:
    """Write an output as a whole; on any error nothing appears, and an earlier output is kept.

    Args:
        output: a file (compressed if its name ends in .gz), or `-`.
        describe: further entries of the manifest (counts, parents); called at the end.
        identity: stage, options, facts and input ({"path", "sha256"}): what decides the data. Without it there is no
            manifest, and an existing output is never taken for complete.
        manifest: also write the manifest here; for `-` only here.

    Raises:
        UsageError: the output is in use, or exists and is something else.
        Interrupted: stopped, or the disk is full.
    """
    output, flag = os.fspath(output), flag or StopFlag()
    wanted = None if identity is None else plain(identity)
    path = place_of(output)
    started, begun = now(), time.monotonic()

    def made(lines: Lines) -> dict[str, Any]:
        assert wanted is not None, "without an identity there is no manifest"
        empty: dict[str, Any] = {"stage": None, "options": {}, "facts": {}, "shard": None, "input": None}
        data = {"sipf": toolkit_version(), **empty, **wanted, "complete": True, "output": lines.facts()}
        data |= {"seconds": round(time.monotonic() - begun, 3), "started": started, "finished": now()}
        return {**data, "platform": surroundings(), **lines.extra, **describe()}

    if path is None:
        stream = StreamOutput(output, flag)
        try:
            lines = Lines(stream, flag)
            yield lines
        finally:
            stream.close()
        if manifest and wanted is not None:
            save_manifest([manifest], made(lines))
        return
    with output_lock(path):
        if wanted is None and os.path.exists(path) and os.path.getsize(path) and not overwrite:
            raise UsageError(f"{output} already exists", CHOOSE_ANOTHER)
        already = None if wanted is None else standing(path, wanted, overwrite)
        if already is not None:
            copy_manifest(already, manifest)
            yield Lines(None, flag, already)
            return
        if wanted is None:
            with atomic_file(path) as file:
                yield Lines(file, flag)
            return
        data: dict[str, Any] = {}

        def prepare() -> None:
            data.update(made(lines))
            prepare_manifest(manifest_path(path), data)
            sync_folder(path)  # a power cut must not keep the output and take the prepared manifest

        # prepared before the output appears: a kill between the two leaves an output that the next run knows
        with atomic_file(path, prepare, lambda: discard_prepared(manifest_path(path))) as file:
            lines = Lines(file, flag)
            yield lines
        try:
            publish_manifest(manifest_path(path))
        except OSError as error:
            raise cannot_write(manifest_path(path), error) from error
        copy_manifest(data, manifest)
