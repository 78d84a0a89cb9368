"""What waits in a hub, for autoscalers and metrics: a few looks into indexes, each bounded."""

from __future__ import annotations

import sqlite3

from perdure.storage.provider import MOST_COUNTED, Backlog
from perdure.storage.sqlite.claims import owners_of_ready
from perdure.storage.sqlite.statements import SQL

#: starts of each owner among which the oldest is looked for
_LOOKED_AT = 1000


def backlog(connection: sqlite3.Connection, hub: int, now: int) -> Backlog:
    """Count it."""

    def number(statement: str) -> int:
        return int(connection.execute(statement, (hub, MOST_COUNTED)).fetchone()[0])

    waiting = number(SQL.count_unclaimed) + number(SQL.count_claimed_by_dead)
    since: list[int | None] = [row[0] for row in connection.execute(SQL.oldest_unclaimed, (hub,))]
    ready: set[int] = set()
    for owner in owners_of_ready(connection, hub):
        ready.update(n for (n,) in connection.execute(SQL.backlog_of_owner, (hub, owner, now, MOST_COUNTED)))
        since += connection.execute(SQL.oldest_start, (hub, owner, now, _LOOKED_AT)).fetchone()
    for due, n in connection.execute(SQL.backlog_of_timers, (hub, now, MOST_COUNTED)):
        ready.add(n)
        since.append(due)
    begun = [time for time in since if time is not None]
    return Backlog(
        min(waiting, MOST_COUNTED),
        number(SQL.count_claimed),
        min(len(ready), MOST_COUNTED),
        max(0, now - min(begun)) if begun else 0,
        connection.execute(SQL.count_hosts, (hub,)).fetchone()[0],
    )
