"""Rows of the tables as values."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from perdure.model.codec import decode_event, decode_tags
from perdure.model.commit_plan import WorkItem
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.storage.provider import HostRow, InboxRow
from perdure.storage.sqlite.payloads import payload_text, unpack
from perdure.storage.sqlite.statements import SQL

_decode_names: msgspec.json.Decoder[dict[str, tuple[str, ...]]] = msgspec.json.Decoder(dict[str, tuple[str, ...]])


def _text(connection: sqlite3.Connection, cell: Any) -> str | None:
    """A payload column: the text itself, or the number of its payload row."""
    if not isinstance(cell, int):
        return cell  # type: ignore[no-any-return]
    return payload_text(connection.execute(SQL.payload, (cell,)).fetchone()[0])


def record_of(connection: sqlite3.Connection, row: tuple[Any, ...]) -> InstanceRecord:
    """The record of a row of `load`."""
    tags, trace = decode_tags(row[23])
    return InstanceRecord(
        n=row[0],
        instance_id=row[1],
        kind=InstanceKind(row[2]),
        name=row[3],
        version=row[4],
        generation=row[5],
        turn=row[6],
        status=RuntimeStatus(row[7]),
        owner=row[8],
        created=row[9],
        started=row[10],
        updated=row[11],
        completed=row[12],
        parent_n=row[13],
        parent_generation=row[14],
        parent_task=row[15],
        parent_id=row[16],
        parked=row[17],
        suspect=row[18],
        not_before=row[19],
        lock_holder=row[20],
        cursor=row[21],
        first_turn=row[22],
        tags=tags,
        input=_text(connection, row[24]),
        output=_text(connection, row[25]),
        custom_status=_text(connection, row[26]),
        state=_text(connection, row[27]),
        trace=trace,
    )


def inbox_row_of(row: tuple[Any, ...]) -> InboxRow:
    """The value of a row of `inbox_queue`."""
    return InboxRow(row[0], decode_event(unpack(row[4])), row[1], row[2], row[3])


def work_item_of(row: tuple[Any, ...], owner: int) -> WorkItem:
    """The value of a row of `unclaimed_work`."""
    return WorkItem(
        n=row[0],
        generation=row[1],
        task=row[2],
        name=row[3],
        input=unpack(row[4]),
        owner=owner,
        attempt=row[5],
        instance_id=row[6],
        suspect=row[7],
        not_before=row[8],
        scheduled=row[9],
        trace=decode_tags(row[10])[1],
    )


def host_row_of(row: tuple[Any, ...]) -> HostRow:
    """The value of a row of `living_hosts`."""
    return HostRow(row[0], row[1], bool(row[2]), row[3], row[4], _decode_names.decode(row[5] or "{}"), *row[6:])
