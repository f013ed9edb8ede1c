"""Where finished problems go: into the journal, or straight out in input order, each as soon as its turn comes."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping

from evals.records import Problem
from stages.files.atomic import StreamOutput
from stages.files.records import Line
from stages.runs.journal import Journal
from stages.runs.record import RunRecord

_NOTE_EVERY = 1.0  # seconds between two notes of what was spent; kill -9 loses at most this much of the record


class JournalDelivery:
    """Writes finished problems to the journal."""

    def __init__(self, journal: Journal, record: RunRecord) -> None:
        self.digest = journal.digest
        self._journal, self._record, self._noted = journal, record, 0.0

    def admit(self, position: int) -> None:
        """Nothing to do: the journal takes problems in any order."""

    def deliver(self, line: Line[Problem], position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        """Write it down at once, and from time to time also what was spent."""
        self._journal.add(line.n, line.digest, counts, payload)
        if self._record.seconds - self._noted > _NOTE_EVERY:
            self._noted = self._record.seconds
            self._journal.note(self._noted, self._record.usage())

    def lose(self, position: int) -> None:
        """Nothing to do: the next attempt tries it again."""


class StreamDelivery:
    """Writes finished problems in input order: each waits for those before it, and nothing is kept afterwards."""

    def __init__(self, stream: StreamOutput) -> None:
        self._stream = stream
        self._order: OrderedDict[int, list[str] | None] = OrderedDict()
        self.sums: Counter[str] = Counter()
        self.one_each = True

    def digest(self, position: int) -> str | None:
        """None: there are no earlier attempts."""
        return None

    def admit(self, position: int) -> None:
        """Its turn comes after those admitted before it."""
        self._order[position] = None

    def deliver(self, line: Line[Problem], position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        """If it is its turn, write it and those that waited for it."""
        self.sums.update(counts)
        self.one_each = self.one_each and len(payload) == 1
        self._settle(position, payload)

    def lose(self, position: int) -> None:
        """Let the problems after it stop waiting for it."""
        self._settle(position, [])

    def _settle(self, position: int, payload: list[str]) -> None:
        self._order[position] = payload
        ready: list[str] = []
        while self._order:
            first, lines = next(iter(self._order.items()))
            if lines is None:
                break
            ready += lines
            del self._order[first]
        if ready:
            self._stream.write("".join(f"{text}\n" for text in ready).encode())
