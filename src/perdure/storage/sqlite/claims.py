"""Claims inside an open transaction: whose owner is dead, or nobody, belongs to who asks first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from perdure.model.commit_plan import WorkItem
from perdure.storage.policies import function_key
from perdure.storage.provider import InboxRow, Loaded
from perdure.storage.sqlite.hosts import holding, is_alive
from perdure.storage.sqlite.rows import inbox_row_of, record_of, work_item_of
from perdure.storage.sqlite.standing import Standing, json_list
from perdure.storage.sqlite.statements import SQL

#: rows of an inbox that one read returns
INBOX_WINDOW = 256
#: waiting messages that one read lists
WAITING_WINDOW = 4096
_FIRST = -(1 << 63)


def claim(connection: sqlite3.Connection, hub: int, token: int, numbers: list[int]) -> list[Loaded]:
    """Own and load these instances; those of other living hosts are left out."""
    keeping = set(holding(connection, hub))
    if not numbers or token not in keeping:
        return []
    others = keeping - {token}
    rows = connection.execute(SQL.standing_by_number, (json_list(numbers), hub)).fetchall()
    standings = {row[0]: Standing(row) for row in rows}
    free = [n for n in dict.fromkeys(numbers) if n in standings and standings[n].owner not in others]
    return _own(connection, hub, token, free, {n: standings[n].owner for n in free})


def claim_ready(
    connection: sqlite3.Connection, hub: int, token: int, limit: int, now: int, passing_over: Sequence[str]
) -> list[Loaded]:
    """Own and load what has something to do and belongs to no living host, this one included."""
    alive = set(holding(connection, hub))
    if token not in alive:
        return []
    found: dict[int, int] = {}
    for owner in owners_of_ready(connection, hub):
        if owner not in alive and len(found) < limit:
            rows = connection.execute(SQL.ready_of_owner, (hub, owner, now))
            own = (row[0] for row in rows if not passing_over or function_key(*row[1:]) not in passing_over)
            found.update((n, owner) for n in islice(own, limit - len(found)))
    if len(found) < limit:
        for _, _, n, owner, not_before, kind, name in connection.execute(SQL.due, (hub, now)):
            if owner not in alive and not_before <= now and function_key(kind, name) not in passing_over:
                found.setdefault(n, owner)
                if len(found) == limit:
                    break
    return _own(connection, hub, token, list(found), found)


def waiting(connection: sqlite3.Connection, hub: int, token: int, now: int) -> list[tuple[int, int]]:
    """What waits for instances of this host: number and `seq`, (number, 0) without a message."""
    own = (hub, token, now, WAITING_WINDOW)
    rows: list[tuple[int, int]] = connection.execute(SQL.waiting_messages, own).fetchall()
    rows += connection.execute(SQL.waiting_timers, (hub, now, token, now, WAITING_WINDOW)).fetchall()
    rows += connection.execute(SQL.waiting_starts, own).fetchall()
    return sorted(rows, key=_by_seq)[:WAITING_WINDOW]


def _by_seq(row: tuple[int, int]) -> tuple[int, int]:
    return row[1], row[0]


def owners_of_ready(connection: sqlite3.Connection, hub: int) -> Iterator[int]:
    """Who owns ready instances: a seek in the index for each, however many instances there are."""
    owner = -1
    while True:
        (found,) = connection.execute(SQL.owners_of_ready, (hub, owner)).fetchone()
        if found is None:
            return
        owner = found
        yield owner


def _own(
    connection: sqlite3.Connection, hub: int, token: int, numbers: list[int], owners: dict[int, int]
) -> list[Loaded]:
    connection.executemany(SQL.own, [(token, n) for n in numbers if owners[n] != token])
    return [load(connection, hub, n) for n in numbers]


def load(connection: sqlite3.Connection, hub: int, n: int) -> Loaded:
    """An instance with the first window of its inbox."""
    record = record_of(connection, connection.execute(SQL.load, (n, hub)).fetchone())
    rows, more = read_inbox(connection, n, _FIRST)
    return Loaded(record, rows, more)


def read_inbox(connection: sqlite3.Connection, n: int, after: int) -> tuple[list[InboxRow], bool]:
    """A window of an inbox by `seq`, and whether more follows."""
    rows = connection.execute(SQL.read_inbox, (n, after, n, after, INBOX_WINDOW + 1)).fetchall()
    return [inbox_row_of(row) for row in rows[:INBOX_WINDOW]], len(rows) > INBOX_WINDOW


#: owner and key of a claimed activity
Claim = tuple[int, int, int, int]


def claim_work(
    connection: sqlite3.Connection, hub: int, token: int, names: tuple[str, ...], limit: int, now: int
) -> list[WorkItem]:
    """Claim the oldest unclaimed activities among these names."""
    if not names or not is_alive(connection, token):
        return []
    rows = connection.execute(SQL.unclaimed_work, (hub, now, json_list(names), limit)).fetchall()
    connection.executemany(SQL.claim_work, [(token, *row[:3]) for row in rows])
    return [work_item_of(row, token) for row in rows]


class DoubtfulClaims:
    """Claims made in transactions whose outcome nobody knows. The next claim gives them back first, so that an answer
    that got lost leaves no activity claimed that nobody runs."""

    __slots__ = ("_claims",)

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def add(self, claims: list[Claim]) -> None:
        """The answer to these claims got lost."""
        self._claims += claims

    def take(self) -> list[Claim]:
        """What the next claim has to give back."""
        claims, self._claims = self._claims, []
        return claims


def give_back(connection: sqlite3.Connection, claims: list[Claim]) -> None:
    """Free activities, if they are still claimed by the same host."""
    connection.executemany(SQL.free_work, [(n, generation, task, owner) for owner, n, generation, task in claims])
