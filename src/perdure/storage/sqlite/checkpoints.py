"""When the write-ahead log goes back into the database (design 6.2): between commits, under the write lock."""

from __future__ import annotations

import sqlite3

#: pages in the log from which on a checkpoint is tried
PASSIVE = 4000
#: pages from which on the writer waits shortly for readers, so that the log starts over (64 MB of 4 kB pages)
RESTART = 16384
_PAUSE = 100


class Checkpoints:
    """Counts changed rows, learns how many pages they make, and checkpoints the writer's connection in time."""

    __slots__ = ("_changes", "_last", "_pages_per_change", "_tried")

    def __init__(self) -> None:
        self._last = 0
        self._changes = 0
        self._tried = 0
        self._pages_per_change = 1.0

    def committed(self, connection: sqlite3.Connection) -> None:
        """Take note of a commit, and checkpoint when it is time."""
        changes = connection.total_changes
        self._changes += changes - self._last
        self._last = changes
        if (self._changes - self._tried) * self._pages_per_change >= PASSIVE:
            self.run(connection)

    def run(self, connection: sqlite3.Connection) -> None:
        """Checkpoint now; the caller holds the write lock."""
        # should it fail, the next commit does not try at once again
        self._tried = self._changes
        _, pages, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages > 0 and self._changes > 0:
            self._pages_per_change = min(max(pages / self._changes, 0.01), 100.0)
        if pages > RESTART and done < pages:
            connection.execute(f"PRAGMA busy_timeout = {_PAUSE}")
            _, pages, done = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        # else a reader keeps pages back, and as many more come before the next try
        if done == pages:
            self._changes = self._tried = 0

    def reset(self) -> None:
        """A new connection counts from 0."""
        self._last = 0


_BUSY_MILLISECONDS = 5000
