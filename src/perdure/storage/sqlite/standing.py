"""What a commit needs to know of the instances that it touches: read once, kept up while the commit is applied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from perdure.model.commit_plan import CommitBatch, Message, NewInstance
from perdure.storage.sqlite.readiness import FINISHED, ORDINARY, is_open, least_control
from perdure.storage.sqlite.statements import SQL

_encode = msgspec.json.Encoder().encode


def json_list(values: Iterable[Any]) -> str:
    """A JSON array for `json_each`."""
    return _encode(list(values)).decode()


class Standing:
    """One instance as the commit sees it.

    `least` is the control that a message needs to move it. `payloads`: bits of input, output, custom status and state
    that have rows of their own. `ready` is 0, 1, or what `readiness.mode` said when the database decides.
    """

    __slots__ = (
        "cursor",
        "first_turn",
        "generation",
        "instance_id",
        "kind",
        "least",
        "n",
        "owner",
        "parent_generation",
        "parent_n",
        "parent_task",
        "parked",
        "payloads",
        "ready",
        "status",
        "turn",
    )

    def __init__(self, row: tuple[Any, ...]) -> None:
        (
            self.n,
            self.instance_id,
            self.owner,
            self.kind,
            self.turn,
            self.generation,
            self.status,
            self.cursor,
            self.parked,
            self.ready,
            self.first_turn,
            self.payloads,
            self.parent_n,
            self.parent_generation,
            self.parent_task,
        ) = row
        self.least = least_control(self.kind, self.status, self.parked)

    def reconsider(self) -> bool:
        """Bring `least` up to date; whether timers now wait that did not, or the other way round."""
        held = self.least > ORDINARY
        self.least = least_control(self.kind, self.status, self.parked)
        return held is not (self.least > ORDINARY)

    @property
    def is_open(self) -> bool:
        """Whether messages are kept for it."""
        return is_open(self.least, self.status)

    @property
    def is_finished(self) -> bool:
        return self.least == FINISHED


class Standings:
    """The instances of one commit, by number and by id."""

    __slots__ = ("by_id", "by_number")

    def __init__(self, connection: sqlite3.Connection, hub: int, batch: CommitBatch) -> None:
        self.by_number: dict[int, Standing] = {}
        self.by_id: dict[str, Standing] = {}
        numbers, ids = _mentioned(batch)
        for odd in [one for one in ids if "\0" in one]:
            # json_each ends a text there
            ids.remove(odd)
            numbers.update(row[0] for row in connection.execute(SQL.find, (hub, odd)))
        if numbers:
            self._add(connection.execute(SQL.standing_by_number, (json_list(numbers), hub)))
        if ids:
            self._add(connection.execute(SQL.standing_by_id, (hub, json_list(ids))))

    def _add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for row in rows:
            if row[0] not in self.by_number:
                self.add(Standing(row))

    def fetch(self, connection: sqlite3.Connection, hub: int, n: int) -> None:
        """Take note of an instance that the batch does not name."""
        if n and n not in self.by_number:
            self._add(connection.execute(SQL.standing_by_number, (json_list([n]), hub)))

    def add(self, standing: Standing) -> None:
        self.by_number[standing.n] = standing
        self.by_id[standing.instance_id] = standing

    def remove(self, standing: Standing) -> None:
        del self.by_number[standing.n]
        del self.by_id[standing.instance_id]

    def addressee(self, message: Message) -> Standing | None:
        return self.by_number.get(message.n) if message.n else self.by_id.get(message.instance_id)


def _mentioned(batch: CommitBatch) -> tuple[set[int], set[str]]:
    """Numbers and ids of all instances that the batch names."""
    numbers: set[int] = set()
    ids: set[str] = set()

    def message(message: Message) -> None:
        if message.n:
            numbers.add(message.n)
        else:
            ids.add(message.instance_id)

    def creation(new: NewInstance) -> None:
        ids.add(new.instance_id)
        if new.refusal is not None:
            message(new.refusal)

    for plan in batch.turns:
        numbers.add(plan.n)
        for sent in plan.messages:
            message(sent)
        for new in plan.creations:
            creation(new)
    for new in batch.creations:
        creation(new)
    for sent in batch.messages:
        message(sent)
    for result in batch.results:
        message(result.message)
    for purge in batch.purges:
        numbers.add(purge.n)
        if purge.parent_failure is not None:
            message(purge.parent_failure)
        for sent in purge.messages:
            message(sent)
    numbers.update(parking.n for parking in batch.parkings)
    numbers.update(chunk.n for chunk in batch.chunks)
    return numbers, ids
