"""Counting by name and status, piece by piece: no piece holds its snapshot for long."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from perdure.model.instance import InstanceFilter, InstanceKind, RuntimeStatus
from perdure.storage.listing import CREATED, FEW, ID, LAST, STATUS, Key, Position, is_open, start
from perdure.storage.provider import Counts
from perdure.storage.sqlite.standing import json_list
from perdure.storage.sqlite.statements import SQL

#: seconds that one slice of a count works
SLICE = 0.05
#: instances that one statement looks at
PIECE = 10_000

_encode = msgspec.json.Encoder().encode


class Counting:
    """One count in the making. `step` works for one slice.

    A piece reaches from one key of the index that is walked to the next; all that were created in one instant are in
    one piece. Without names, a filter by status alone is answered by the index.
    """

    def __init__(self, hub: int, filter: InstanceFilter, by_name: bool) -> None:
        self._hub, self._filter = hub, filter
        self._statuses = sorted(set(map(int, filter.statuses or RuntimeStatus)))
        self._by_index = not by_name and filter == InstanceFilter(statuses=filter.statuses)
        self._by_name = by_name
        self._counts: Counts = {}
        self._order = ""
        self._key: Key | None = None
        self._times = (filter.created_from or 0, LAST if filter.created_to is None else filter.created_to)
        #: the filter as the statements take it, without the times
        self._wanted = (
            json_list(self._statuses),
            json_list(map(int, filter.kinds or InstanceKind)),
            filter.name_prefix or "",
            filter.parent_id,
            _encode(filter.tags).decode() if filter.tags else None,
        )

    def step(self, connection: sqlite3.Connection) -> Counts | None:
        """The counts, or None when another step is needed."""
        if not self._order:
            self._begin(connection)
        end = time.monotonic() + SLICE
        while self._key is not None:
            self._key = self._piece(connection, self._key)
            if time.monotonic() > end and self._key is not None:
                return None
        return self._counts

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Without a range of times or ids every status is walked, which is the order of the rows."""
        filter = self._filter
        if filter.id_prefix is None and filter.created_from is None and filter.created_to is None:
            filter = InstanceFilter(statuses=tuple(self._statuses))
        begin = beginning(connection, self._hub, filter)
        self._order, self._key = begin.order, [0, -1] if begin.order == STATUS else begin.key[:1]

    def _piece(self, connection: sqlite3.Connection, key: Key) -> Key | None:
        """Count from a key on; where the next piece begins, None when there is none."""
        pieces = {CREATED: self._by_created, STATUS: self._by_status, ID: self._by_id}
        return pieces[self._order](connection, key)

    def _by_created(self, connection: sqlite3.Connection, key: Key) -> Key | None:
        last = self._times[1]
        found = connection.execute(SQL.bound_by_created, (self._hub, key[0], last, PIECE)).fetchone()
        upto = last if found is None else found[0]
        self._add(connection.execute(SQL.count_by_created, (self._hub, key[0], upto, *self._wanted)))
        return None if found is None else [upto]

    def _by_id(self, connection: sqlite3.Connection, key: Key) -> Key | None:
        prefix = self._filter.id_prefix or ""
        end = prefix + "\U0010ffff"
        found = connection.execute(SQL.bound_by_id, (self._hub, key[0], end, PIECE)).fetchone()
        upto = end if found is None else found[0]
        self._add(connection.execute(SQL.count_by_id, (self._hub, key[0], upto, *self._wanted, *self._times, prefix)))
        return None if found is None else [upto]

    def _by_status(self, connection: sqlite3.Connection, key: Key) -> Key | None:
        place, n = int(key[0]), key[1]
        status = self._statuses[place]
        found = connection.execute(SQL.bound_by_status, (self._hub, status, n, PIECE)).fetchone()
        upto = LAST if found is None else found[0]
        if self._by_index:
            self._add(connection.execute(SQL.count_in_index, (self._hub, status, n, upto)))
        else:
            wanted = (*self._wanted[1:], *self._times)
            self._add(connection.execute(SQL.count_by_status, (self._hub, status, n, upto, *wanted)))
        if found is not None:
            return [place, upto]
        return [place + 1, -1] if place + 1 < len(self._statuses) else None

    def _add(self, rows: sqlite3.Cursor) -> None:
        for name, status, count in rows:
            key = (name if self._by_name else "", status)
            if count:
                self._counts[key] = self._counts.get(key, 0) + count


def beginning(connection: sqlite3.Connection, hub: int, filter: InstanceFilter) -> Position:
    """Where a walk over what a filter means begins."""
    few = False
    if is_open(filter):
        (count,) = connection.execute(
            SQL.few_of_status, (hub, json_list(map(int, filter.statuses)), FEW + 1)
        ).fetchone()
        few = count <= FEW
    return start(filter, few)
