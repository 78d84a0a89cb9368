"""Rows of the tables as values."""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.model.codec import decode_event, decode_tags
from perdure.model.commit_plan import Audit, WorkItem
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.storage.provider import HostRow, InboxRow, Loaded

_decode_names: msgspec.json.Decoder[dict[str, tuple[str, ...]]] = msgspec.json.Decoder(dict[str, tuple[str, ...]])


def record_of(row: Any) -> InstanceRecord:
    """The record of a row of `instance`."""
    tags, trace = decode_tags(row["tags"])
    return InstanceRecord(
        n=row["n"],
        instance_id=row["id"],
        kind=InstanceKind(row["kind"]),
        name=row["name"],
        version=row["version"],
        generation=row["generation"],
        turn=row["turn"],
        status=RuntimeStatus(row["status"]),
        owner=row["owner"],
        created=row["created"],
        started=row["started"],
        updated=row["updated"],
        completed=row["completed"],
        parent_n=row["parent_n"],
        parent_generation=row["parent_generation"],
        parent_task=row["parent_task"],
        parent_id=row["parent_id"],
        parked=row["parked"],
        suspect=row["suspect"],
        not_before=row["not_before"],
        lock_holder=row["lock_holder"],
        cursor=row["cursor"],
        first_turn=row["first_turn"],
        tags=tags,
        input=row["input"],
        output=row["output"],
        custom_status=row["custom_status"],
        state=row["state"],
        trace=trace,
    )


def loaded_of(row: Any, window: int) -> Loaded:
    """The value of a row of `load@`, which holds one inbox row more than the window when there are more."""
    columns = (row["seqs"], row["bodies"], row["generations"], row["tasks"], row["dues"])
    rows = [] if columns[0] is None else [inbox_row_of(cells) for cells in zip(*columns, strict=True)]
    return Loaded(record_of(row), rows[:window], len(rows) > window)


def inbox_row_of(row: Any) -> InboxRow:
    """The value of seq, body, generation, task and due."""
    seq, body, generation, task, due = row
    return InboxRow(seq, decode_event(body), generation, task, due)


def work_item_of(row: Any, owner: int) -> WorkItem:
    """The value of a row of `claim_work@`."""
    return WorkItem(
        n=row["n"],
        generation=row["generation"],
        task=row["task"],
        name=row["function"],
        input=row["input"],
        owner=owner,
        attempt=row["attempt"],
        instance_id=row["id"],
        suspect=row["suspect"],
        not_before=row["not_before"],
        scheduled=row["scheduled"],
        trace=decode_tags(row["tags"])[1],
    )


def host_row_of(row: Any) -> HostRow:
    """The value of a row of `host`."""
    names = _decode_names.decode(row["names"])
    return HostRow(
        row["token"],
        row["beat"],
        row["dead"],
        row["address"],
        row["instance_id"],
        names,
        row["heard"],
        row["ttl"],
    )


def audit_of(row: Any) -> Audit:
    """The value of a row of `audit`."""
    return Audit(
        row["operation"], row["instance_id"], row["who"] or "", row["time"], row["reason"], row["result"] or ""
    )
