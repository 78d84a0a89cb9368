"""What an instance will be when the suspends and resumes that wait for it are carried out."""

from __future__ import annotations

from collections.abc import Callable

from perdure.model.history import ExecutionResumed, ExecutionSuspended
from perdure.model.instance import InstanceRecord, RuntimeStatus
from perdure.storage.provider import InboxRow, StoreError
from perdure.taskhub.interfaces import Store


def status_to_come(
    store: Store,
    record: InstanceRecord,
    then: Callable[[RuntimeStatus], None],
    failed: Callable[[StoreError], None],
) -> None:
    """`then` gets the status of an unfinished orchestration after what waits: no host may be up to carry it out."""
    status = record.status
    goes_on = RuntimeStatus.RUNNING if record.first_turn or record.generation else RuntimeStatus.PENDING
    becomes = {ExecutionSuspended: RuntimeStatus.SUSPENDED, ExecutionResumed: goes_on}

    def read(rows: list[InboxRow] | StoreError) -> None:
        nonlocal status
        if isinstance(rows, StoreError):
            failed(rows)
            return
        for row in rows:
            status = becomes.get(type(row.event), status)
        if rows:
            store.read_inbox(record.n, rows[-1].seq, read)
        else:
            then(status)

    store.read_inbox(record.n, 0, read)
