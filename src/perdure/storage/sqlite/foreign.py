"""Noticing what other processes commit to the same file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from perdure.storage.sqlite.statements import SQL

#: seconds between two looks while other hosts are registered, and while none is
WITH_OTHERS, ALONE = 0.02, 1.0

_numbers: msgspec.json.Decoder[list[int]] = msgspec.json.Decoder(list[int])


class ForeignCommits:
    """Asks SQLite whether another connection committed, and if so which instances of the hub it changed."""

    __slots__ = ("_last", "_tell", "_version", "hub", "mine")

    def __init__(self, hub: int, tell: Callable[[list[int]], None]) -> None:
        """`tell` gets the numbers of the changed instances; an empty list says only that something changed."""
        self.hub = hub
        self._tell = tell
        self._version: tuple[int, int] | None = None
        self._last = 0
        #: tokens registered by this process
        self.mine: set[int] = set()

    def look(self, connection: sqlite3.Connection) -> float:
        """Look once; in how many seconds to look again."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        # the version counts for one connection; a new one starts over
        seen, self._version = self._version, (id(connection), version)
        if seen is None:
            (self._last,) = connection.execute("SELECT coalesce(max(number), 0) FROM change").fetchone()
        elif seen != self._version:
            self._report(connection)
        tokens = {row[0] for row in connection.execute(SQL.living_tokens, (self.hub,))}
        return WITH_OTHERS if tokens - self.mine else ALONE

    def _report(self, connection: sqlite3.Connection) -> None:
        changed: dict[int, None] = {}
        for number, hub, host, instances in connection.execute(SQL.changes_since, (self._last,)):
            self._last = number
            if hub == self.hub and host not in self.mine:
                changed.update(dict.fromkeys(_numbers.decode(instances)))
        self._tell(list(changed))
