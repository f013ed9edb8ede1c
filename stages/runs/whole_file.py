"""How a command writes one file as a whole from another, or not at all: `data`, `pairs` and `export`.

    run = WholeFile("export", "labels.jsonl", "stepwise.jsonl", {"labels": "hard"})
    run.write(rows, counts, bad).summary()        # {"paths": 48, "steps": 131, "bad lines": 1}

The rows may be made one by one while the input is read: the output appears under its name only after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from evals.errors import UsageError
from evals.records import Record
from stages.files.atomic import atomic_file
from stages.files.inputs import is_file
from stages.files.interrupts import catching_signals
from stages.files.locks import place_of
from stages.files.manifest import hash_file, parent_of, remove_manifest
from stages.files.outputs import atomic_lines, to_line
from stages.files.reading import BadLines


class Written(NamedTuple):
    """The manifest of an output, and whether the output was complete already, so that nothing was done."""

    manifest: Mapping[str, Any]
    already: bool = False

    def summary(self, part: str = "counts") -> dict[str, Any]:
        """A part of the manifest, preceded by "already complete" if nothing was done."""
        return {**({"already complete": True} if self.already else {}), **self.manifest[part]}


class Beside(NamedTuple):
    """A second file, written with an output and named after it: what its name ends in, and its rows (or lines), asked
    for after the output's last one."""

    ending: str
    rows: Callable[[], Iterable[Mapping[str, Any] | str]]


@dataclass(frozen=True, slots=True)
class WholeFile:
    """What is read, what is written, and what decides the data.

    Args:
        source: the file of lines that the rows are made from, or `-`; None if they come from elsewhere.
        options: what decides which rows there are.
        overwrite: replace an existing output that is something else.
        manifest: another path to write the manifest to.
    """

    stage: str
    source: str | None
    output: str
    options: Mapping[str, Any]
    overwrite: bool = False
    manifest: str | None = None

    def write(
        self,
        rows: Iterable[Record | Mapping[str, Any]],
        counts: Mapping[str, int],
        bad: BadLines | None = None,
        more: Callable[[], Mapping[str, Any]] = dict,
        beside: Beside | None = None,
    ) -> Written:
        """Write the rows, with a manifest beside them; a signal stops it at once and nothing is left behind.

        Args:
            rows: read one by one, unless the output is complete already.
            counts: what was seen and made; read after the last row.
            bad: the bad lines among those that the rows were made from; None if no line was read.
            more: further entries of the manifest; called after the last row.
            beside: a second file. It appears with the output, and the manifest has its hash; none is written beside
                stdout, a pipe or a device.

        Raises:
            UsageError: the output is in use, is the input, or exists and is something else.
            Interrupted: stopped by a signal, or the disk is full.
        """
        place = place_of(self.output)
        if self.source is not None and self.source != "-" and place is not None and place_of(self.source) == place:
            raise UsageError(f"the output {self.output} is the input", "Choose another -o.")
        sha256 = hash_file(self.source) if self.source is not None and is_file(self.source) else None
        read = None if self.source is None else {"path": self.source, "sha256": sha256}
        identity = {"stage": self.stage, "options": self.options, "input": read}
        with (
            catching_signals() as flag,
            atomic_lines(
                self.output, identity=identity, overwrite=self.overwrite, manifest=self.manifest, flag=flag
            ) as out,
        ):
            if out.already is not None:
                return Written(out.already, already=True)
            with flag.at_once():  # a row may take as long as the whole input
                for row in rows:
                    with flag.at_leisure():  # but never half a line
                        out.write(row)
            out.extra["counts"] = {**counts, **({} if bad is None else {"bad lines": bad.count})}
            out.extra |= more()
            if beside is not None and place is not None:
                # it appears first, so the output is never without it, and never with an older manifest beside it
                with atomic_file(place + beside.ending, lambda: remove_manifest(place)) as second:
                    for line in beside.rows():
                        flag.check()
                        second.write(f"{to_line(line)}\n".encode())
                out.extra["beside"] = {beside.ending: second.facts()}
            if self.source is not None:
                out.extra["parents"] = [parent_of(self.source, sha256)]
        return Written(out.extra)
