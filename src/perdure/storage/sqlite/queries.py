"""Reading: listings by key, history, timers. No read holds a snapshot for longer than one slice."""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import chain, takewhile
from typing import Any

from perdure.model.codec import decode_tags
from perdure.model.instance import InstanceFilter, InstanceRecord, Page
from perdure.model.operations import OpenActivity
from perdure.storage.listing import (
    CREATED,
    ID,
    LAST,
    PAGE_SIZE,
    STATUS,
    Key,
    Position,
    continuation_at,
    position_of,
    size_of,
)
from perdure.storage.provider import DueTimer
from perdure.storage.sqlite.counting import beginning
from perdure.storage.sqlite.hosts import holding
from perdure.storage.sqlite.payloads import history_body
from perdure.storage.sqlite.rows import record_of
from perdure.storage.sqlite.standing import json_list
from perdure.storage.sqlite.statements import SQL

#: seconds that one slice of a listing may hold its snapshot
SLICE = 0.05
#: rows of history that one statement reads
HISTORY_WINDOW = 1000

Row = tuple[Any, ...]
Walk = Generator[tuple[Key, Row], None, None]
#: the columns that filters look at
_N, _ID, _KIND, _NAME, _STATUS, _CREATED, _PARENT_ID, _TAGS = range(8)


class Listing:
    """One page in the making. `step` works for one slice; a page may need several."""

    def __init__(
        self, hub: int, filter: InstanceFilter, top: int, continuation: str | None, payloads: bool = True
    ) -> None:
        self._hub = hub
        self._filter = filter
        self._top = top
        self._continuation = continuation
        self._load = SQL.load if payloads else SQL.load_brief
        self._items: list[InstanceRecord] = []
        self._size = 0
        self._order = ""
        self._key: Key = []

    def step(self, connection: sqlite3.Connection) -> Page | None:
        """The page, or None when another step is needed. Raises `StoreError` on an unknown continuation."""
        if not self._order:
            self._begin(connection)
        end = time.monotonic() + SLICE
        with closing(self._walk(connection)) as walk:
            for key, row in walk:
                if self._matches(row):
                    if len(self._items) == self._top or self._size > PAGE_SIZE:
                        return Page(self._items, continuation_at(Position(self._order, self._key)))
                    loaded = connection.execute(self._load, (row[_N], self._hub)).fetchone()
                    self._items.append(record_of(connection, loaded))
                    self._size += size_of(self._items[-1])
                self._key = key
                if time.monotonic() > end:
                    return None
        return Page(self._items, None)

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Choose the index to walk, or go on in the one that the last page walked."""
        if self._continuation:
            begin = position_of(self._filter, self._continuation)
        else:
            begin = beginning(connection, self._hub, self._filter)
        self._order, self._key = begin.order, begin.key

    def _walk(self, connection: sqlite3.Connection) -> Walk:
        walks: dict[str, Callable[[sqlite3.Connection], Walk]] = {
            CREATED: self._by_created,
            STATUS: self._by_status,
            ID: self._by_id,
        }
        return walks[self._order](connection)

    def _by_created(self, connection: sqlite3.Connection) -> Walk:
        to = LAST if self._filter.created_to is None else self._filter.created_to
        created, n = self._key
        instant = connection.execute(SQL.page_of_instant, (self._hub, created, n))
        found = chain(instant, connection.execute(SQL.page_by_created, (self._hub, created)))
        for row in takewhile(lambda row: row[_CREATED] <= to, found):
            yield [row[_CREATED], row[_N]], row

    def _by_id(self, connection: sqlite3.Connection) -> Walk:
        prefix = self._filter.id_prefix or ""
        found = connection.execute(SQL.page_by_id, (self._hub, self._key[0], prefix + "\U0010ffff"))
        for row in takewhile(lambda row: row[_ID].startswith(prefix), found):
            # the least text above this id
            yield [row[_ID] + "\0"], row

    def _by_status(self, connection: sqlite3.Connection) -> Walk:
        """A merge of one walk for each status, by number."""
        walks = [
            connection.execute(SQL.page_by_status, (self._hub, int(status), self._key[0]))
            for status in sorted(set(self._filter.statuses))
        ]
        for row in heapq.merge(*walks):
            yield [row[_N]], row

    def _matches(self, row: Row) -> bool:
        """Whether the filter means the instance of this row."""
        filter = self._filter
        return (
            (not filter.statuses or row[_STATUS] in filter.statuses)
            and (filter.created_from is None or row[_CREATED] >= filter.created_from)
            and (filter.created_to is None or row[_CREATED] <= filter.created_to)
            and (not filter.kinds or row[_KIND] in filter.kinds)
            and (filter.name_prefix is None or row[_NAME].startswith(filter.name_prefix))
            and (filter.parent_id is None or row[_PARENT_ID] == filter.parent_id)
            and (not filter.tags or _has_tags(decode_tags(row[_TAGS])[0], filter.tags))
        )


def _has_tags(tags: dict[str, str] | None, wanted: dict[str, str]) -> bool:
    return all((tags or {}).get(key) == value for key, value in wanted.items())


def find(connection: sqlite3.Connection, hub: int, ids: list[str]) -> list[InstanceRecord]:
    """The instances with these ids that exist, in the order asked for."""
    found = (connection.execute(SQL.find, (hub, one)).fetchone() for one in ids)
    return [record_of(connection, row) for row in found if row is not None]


def open_activities(
    connection: sqlite3.Connection, n: int, generation: int, tasks: Sequence[int]
) -> list[OpenActivity]:
    """Where these activities of a generation are, by task."""
    rows = connection.execute(SQL.open_activities, (json_list(sorted(set(tasks))), n, generation))
    return [OpenActivity(*row) for row in rows]


def count_inbox(connection: sqlite3.Connection, numbers: list[int], now: int) -> dict[int, int]:
    """How many messages wait for each of these instances, without those that are due later."""
    return {n: connection.execute(SQL.count_inbox, (n, n, now)).fetchone()[0] for n in numbers}


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
    others = set(holding(connection, hub)) - {token}
    found: list[DueTimer] = []
    for due, seq, n, owner, *_ in connection.execute(SQL.due, (hub, until)):
        if len(found) == limit:
            break
        if owner not in others:
            found.append(DueTimer(due, seq, n))
    return found
