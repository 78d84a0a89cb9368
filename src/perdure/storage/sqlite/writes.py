"""What the parts of one commit share: the connection, the numbers given out, the instances it touches."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from perdure.model.commit_plan import CommitBatch, WorkItem
from perdure.storage.sqlite import readiness
from perdure.storage.sqlite.payloads import INLINE, pack, payload_row
from perdure.storage.sqlite.standing import Standing, Standings
from perdure.storage.sqlite.statements import SQL

Rows = list[tuple[Any, ...]]


class Writes:
    """The state of one commit. `counter` is the last number given to an inbox, work or payload row."""

    __slots__ = ("_payloads", "connection", "counter", "hub", "known", "threshold", "token", "touched")

    def __init__(
        self, connection: sqlite3.Connection, hub: int, batch: CommitBatch, counter: int, threshold: int
    ) -> None:
        self.connection = connection
        self.hub = hub
        self.token = batch.token
        self.threshold = threshold
        self.counter = counter
        self.known = Standings(connection, hub, batch)
        self.touched: dict[int, None] = {}
        self._payloads: Rows = []

    def many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement for each row."""
        if rows:
            self.connection.executemany(statement, rows)

    def owned(self, n: int) -> Standing | None:
        """The instance, if the committing host owns it."""
        standing = self.known.by_number.get(n)
        return standing if standing is not None and standing.owner == self.token else None

    def cell(self, n: int, text: str | None) -> str | int | None:
        """What a payload column of an instance holds for this text."""
        if text is None or len(text) <= INLINE:
            return text
        self.counter += 1
        self._payloads.append((self.counter, n, *payload_row(text, self.threshold)))
        return self.counter

    def write_payloads(self) -> None:
        """Write the payload rows that `cell` asked for."""
        self.many(SQL.add_payload, self._payloads)
        self._payloads = []

    def work_rows(self, items: Sequence[WorkItem], rows: Rows) -> None:
        """Add the rows of work items to `rows`."""
        hub, threshold, counter = self.hub, self.threshold, self.counter
        for item in items:
            counter += 1
            rows.append(
                (
                    item.n,
                    item.generation,
                    item.task,
                    hub,
                    counter,
                    item.name,
                    pack(item.input, threshold),
                    item.owner,
                    item.attempt,
                    item.suspect,
                    item.not_before,
                    item.scheduled,
                )
            )
        self.counter = counter

    def recheck(self, standing: Standing) -> None:
        """Make `ready` exact after a change of status, parking or cursor."""
        mode = readiness.mode(standing.least, standing.kind, standing.first_turn, standing.cursor)
        standing.ready = mode
        self.connection.execute(SQL.recheck, (mode, mode, mode, standing.n))
