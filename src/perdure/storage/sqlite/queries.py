"""Reading: listings by key, history, timers. No read holds a snapshot for longer than one slice."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import chain, takewhile
from typing import Any

import msgspec

from perdure.model.instance import InstanceFilter, InstanceRecord, Page
from perdure.storage.provider import DueTimer, StoreError
from perdure.storage.sqlite import rows as columns
from perdure.storage.sqlite.hosts import living
from perdure.storage.sqlite.payloads import history_body
from perdure.storage.sqlite.rows import record_of, tags_of
from perdure.storage.sqlite.statements import SQL

#: seconds that one slice of a listing may hold its snapshot
SLICE = 0.05
#: rows of history that one statement reads
HISTORY_WINDOW = 1000

_LAST = (1 << 63) - 1
Row = tuple[Any, ...]
Walk = Generator[tuple[list[int | str], Row], None, None]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a listing goes on: the order it has, and the key of the last row looked at."""

    order: str
    key: list[int | str]


_decode: msgspec.json.Decoder[Position] = msgspec.json.Decoder(Position)


def _resume(continuation: str | None, order: str, start: list[int | str]) -> list[int | str]:
    """The key to go on after. Raises `StoreError` on text that no page of this kind gave."""
    if not continuation:
        return start
    try:
        position = _decode.decode(continuation)
    except msgspec.DecodeError:
        position = Position("", [])
    same_shape = [type(part) for part in position.key] == [type(part) for part in start]
    if position.order != order or not same_shape:
        raise StoreError(f"unknown continuation {continuation!r}: pass on what the last page gave, or none")
    return position.key


class Listing:
    """One page in the making. `step` works for one slice; the page may need several."""

    def __init__(self, hub: int, filter: InstanceFilter, top: int, continuation: str | None) -> None:
        """Choose the index to walk. Raises `StoreError` on an unknown continuation."""
        self._hub = hub
        self._filter = filter
        self._top = top
        self._items: list[InstanceRecord] = []
        order: str
        start: list[int | str]
        walk: Callable[[sqlite3.Connection], Walk]
        if filter.id_prefix is not None:
            order, start, walk = "id", [filter.id_prefix], self._by_id
        elif filter.statuses and filter.created_from is None and filter.created_to is None:
            order, start, walk = "status", [-1], self._by_status
        else:
            order, start, walk = "created", [(filter.created_from or 0) - 1, _LAST], self._by_created
        self._order, self._walk = order, walk
        self._key = _resume(continuation, order, start)

    def step(self, connection: sqlite3.Connection) -> Page | None:
        """The page, or None when another step is needed."""
        end = time.monotonic() + SLICE
        with closing(self._walk(connection)) as walk:
            for key, row in walk:
                if self._matches(row):
                    if len(self._items) == self._top:
                        return Page(self._items, msgspec.json.encode(Position(self._order, self._key)).decode())
                    self._items.append(record_of(connection, row))
                self._key = key
                if time.monotonic() > end:
                    return None
        return Page(self._items, None)

    def _by_created(self, connection: sqlite3.Connection) -> Walk:
        to = _LAST if self._filter.created_to is None else self._filter.created_to
        created, n = self._key
        instant = connection.execute(SQL.page_of_instant, (self._hub, created, n))
        found = chain(instant, connection.execute(SQL.page_by_created, (self._hub, created)))
        for row in takewhile(lambda row: row[columns.CREATED] <= to, found):
            yield [row[columns.CREATED], row[columns.N]], row

    def _by_id(self, connection: sqlite3.Connection) -> Walk:
        prefix = self._filter.id_prefix or ""
        found = connection.execute(SQL.page_by_id, (self._hub, self._key[0], prefix + "\U0010ffff"))
        for row in takewhile(lambda row: row[columns.ID].startswith(prefix), found):
            # the least text above this id
            yield [row[columns.ID] + "\0"], row

    def _by_status(self, connection: sqlite3.Connection) -> Walk:
        """A merge of one walk for each status, by number."""
        cursors = [
            connection.execute(SQL.page_by_status, (self._hub, int(status), self._key[0]))
            for status in sorted(set(self._filter.statuses))
        ]
        heads = [cursor.fetchone() for cursor in cursors]
        while any(head is not None for head in heads):
            _, least = min((head[columns.N], at) for at, head in enumerate(heads) if head is not None)
            row = heads[least]
            heads[least] = cursors[least].fetchone()
            yield [row[columns.N]], row

    def _matches(self, row: Row) -> bool:
        """Whether the filter means the instance of this row."""
        filter = self._filter
        return (
            (not filter.statuses or row[columns.STATUS] in filter.statuses)
            and (filter.created_from is None or row[columns.CREATED] >= filter.created_from)
            and (filter.created_to is None or row[columns.CREATED] <= filter.created_to)
            and (not filter.kinds or row[columns.KIND] in filter.kinds)
            and (filter.name_prefix is None or row[columns.NAME].startswith(filter.name_prefix))
            and (filter.parent_id is None or row[columns.PARENT_ID] == filter.parent_id)
            and (not filter.tags or _has_tags(tags_of(row[columns.TAGS]), filter.tags))
        )


def _has_tags(tags: dict[str, str] | None, wanted: dict[str, str]) -> bool:
    return all((tags or {}).get(key) == value for key, value in wanted.items())


def find(connection: sqlite3.Connection, hub: int, ids: list[str]) -> list[InstanceRecord]:
    """The instances with these ids that exist, in the order asked for."""
    found = (connection.execute(SQL.find, (hub, one)).fetchone() for one in ids)
    return [record_of(connection, row) for row in found if row is not None]


def read_history(connection: sqlite3.Connection, n: int, generation: int) -> list[bytes]:
    """The rows of one generation in order of turns, read window by window."""
    bodies: list[bytes] = []
    last = -1
    while True:
        rows = connection.execute(SQL.read_history, (n, generation, last, HISTORY_WINDOW)).fetchall()
        bodies.extend(history_body(*row[1:]) for row in rows)
        if len(rows) < HISTORY_WINDOW:
            return bodies
        last = rows[-1][0]


def due_timers(connection: sqlite3.Connection, hub: int, token: int, until: int, limit: int) -> list[DueTimer]:
    """The earliest timers of instances that belong to this host or to no living one."""
    others = set(living(connection, hub)) - {token}
    found: list[DueTimer] = []
    for due, seq, n, owner, _ in connection.execute(SQL.due, (hub, until)):
        if len(found) == limit:
            break
        if owner not in others:
            found.append(DueTimer(due, seq, n))
    return found
