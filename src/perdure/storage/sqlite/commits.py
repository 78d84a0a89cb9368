"""The commit call inside an open transaction: the host row is checked, the batch applied, the answer recorded."""

from __future__ import annotations

import sqlite3

import msgspec

from perdure.model.commit_plan import CommitAnswer, CommitBatch
from perdure.storage.provider import StoreError
from perdure.storage.sqlite.application import apply
from perdure.storage.sqlite.standing import json_list
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.writes import Writes

#: rows of `change` that are kept at least, and how many more come before they are trimmed: the page that holds the
#: oldest is not written with every commit
CHANGES_KEPT, _TRIMMED_AT_ONCE = 1000, 100

_encode = msgspec.msgpack.Encoder().encode
_decode: msgspec.msgpack.Decoder[CommitAnswer] = msgspec.msgpack.Decoder(CommitAnswer)


def commit(connection: sqlite3.Connection, hub: int, batch: CommitBatch, now: int, threshold: int) -> CommitAnswer:
    """Apply the batch, or give the answer that is recorded for its number.

    Raises `StoreError` on a number below the last one.
    """
    host = connection.execute(SQL.committing_host, (batch.token,)).fetchone()
    if host is None:
        return CommitAnswer(batch.number, now, alive=False)
    dead, last, counter = host
    answer = recorded(connection, batch.token, batch.number) if batch.number == last else None
    if answer is not None:
        return answer
    if dead:
        return CommitAnswer(batch.number, now, alive=False)
    if batch.number <= last:
        raise StoreError(f"commit {batch.number} came after commit {last} of host {batch.token}")
    writes = Writes(connection, hub, batch, counter, threshold)
    given = apply(writes, batch, now)
    if writes.counter != counter:
        connection.execute(SQL.set_counter, (writes.counter, hub))
    connection.execute(SQL.record_answer, (now, batch.number, _encode(given), batch.token))
    row = (hub, batch.token, now, json_list(writes.touched))
    changed = connection.execute(SQL.add_change, row).lastrowid or 0
    if changed % _TRIMMED_AT_ONCE == 0:
        connection.execute(SQL.trim_changes, (changed - CHANGES_KEPT,))
    return given


def recorded(connection: sqlite3.Connection, token: int, number: int) -> CommitAnswer | None:
    """The answer recorded for this commit number, None when it was never applied."""
    host = connection.execute(SQL.host, (token,)).fetchone()
    return _decode.decode(host[2]) if host is not None and host[1] == number and host[2] is not None else None
