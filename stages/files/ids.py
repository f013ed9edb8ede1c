"""The ids a file has used so far, in bounded memory: digests in a temporary database that spills to disk.

A million ids take 3 MB of memory and about 6 s. Each id is kept as a 128-bit digest: the chance that two of a million
ids are taken for the same one is 1e-26.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from types import TracebackType
from typing import Self

from evals.errors import Interrupted

_CACHE_KIB = 2000


class SeenIds:
    """The ids seen, each with the number of the first line that has it."""

    def __init__(self) -> None:
        # an empty name means a private file of sqlite: in its cache until that is full, deleted when closed
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "locking_mode=EXCLUSIVE"):
            self._database.execute(f"PRAGMA {setting}").close()
        self._database.execute("CREATE TABLE seen(id BLOB PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def first(self, identity: str, line: int) -> int | None:
        """Note the id; return the line that has it already, or None if it is new.

        Raises:
            Interrupted: the disk for temporary files is full.
        """
        digest = hashlib.blake2b(identity.encode(), digest_size=16).digest()
        try:
            if self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, line)).rowcount:
                return None
            with closing(self._database.execute("SELECT line FROM seen WHERE id = ?", (digest,))) as found:
                return int(found.fetchone()[0])
        except sqlite3.OperationalError as error:
            raise Interrupted(
                f"the ids of the input cannot be noted in the folder for temporary files ({error})",
                "Make room there or set TMPDIR to another folder, then run the same command again.",
            ) from error

    def close(self) -> None:
        """Drop the database and its file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
