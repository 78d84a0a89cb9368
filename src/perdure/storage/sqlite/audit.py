"""Management operations, recorded in the commit that carries them out, and read again."""

from __future__ import annotations

import sqlite3

from perdure.model.commit_plan import Audit, CommitBatch, CreationVerdict, MessageVerdict, Verdict
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.writes import Rows, Writes

#: rows of the hub itself that are kept
KEPT = 1000


def record_operations(
    writes: Writes,
    batch: CommitBatch,
    messages: tuple[MessageVerdict, ...],
    creations: tuple[CreationVerdict, ...],
    purges: tuple[Verdict, ...],
) -> None:
    """Write what was asked for by whom, where it was done."""
    rows: Rows = []
    for message, sent in zip(batch.messages, messages, strict=True):
        if message.audit is not None and sent.seq:
            rows.append(_row(writes.hub, sent.n, message.audit))
    for new, created in zip(batch.creations, creations, strict=True):
        if new.audit is not None and created.verdict is Verdict.APPLIED:
            rows.append(_row(writes.hub, new.n, new.audit))
    own = [purge.audit for purge, verdict in zip(batch.purges, purges, strict=True) if verdict is Verdict.APPLIED]
    rows += [_row(writes.hub, 0, audit) for audit in (*own, *batch.audits) if audit is not None]
    if not rows:
        return
    writes.many(SQL.drop_audit, [(writes.hub, audit.time, audit.operation) for audit in batch.audits])
    writes.many(SQL.add_audit, rows)
    writes.connection.execute(SQL.trim_audit, (writes.hub, writes.hub, KEPT))


def _row(hub: int, n: int, audit: Audit) -> tuple[int, int, str, int, str, str, str | None, str]:
    return hub, n, audit.target, audit.time, audit.operation, audit.who, audit.reason, audit.result


def latest(connection: sqlite3.Connection, hub: int, target: str | None, n: int, limit: int) -> list[Audit]:
    """The latest operations, the last one first."""
    if target is None:
        rows = connection.execute(SQL.audit_of_hub, (hub, limit))
    else:
        rows = connection.execute(SQL.audit_of_instance, (n, hub, target, limit))
    return [Audit(row[0], row[1], row[2] or "", row[3], row[4], row[5] or "") for row in rows]
