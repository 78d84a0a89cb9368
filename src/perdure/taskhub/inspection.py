"""Everything about one instance that says why it moves or does not, read key by key.

The reads come one after the other: nothing has to be of one moment. Of the tasks that are open, the first few are
looked at closely: who has the activity, how the child is, who holds the lock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from perdure.engine.waiting import NAMED
from perdure.engine.waits import open_tasks, phrase
from perdure.model import history as h
from perdure.model.codec import decode_history
from perdure.model.instance import InstanceKind, InstanceRecord, decode_lock
from perdure.model.operations import Inspected, InspectInstance, LiveHost, Neighbour, OpenActivity, WaitingMessage
from perdure.storage.provider import Callback, HostRow, InboxRow, StoreError
from perdure.taskhub.hub import Answer, Hub
from perdure.taskhub.refusals import not_found, unavailable

T = TypeVar("T")
Story = tuple[list[h.HistoryEvent], list[WaitingMessage]]


class Inspection:
    """One inspection under way."""

    def __init__(self, hub: Hub, operation: InspectInstance, done: Answer) -> None:
        self._hub, self._operation, self._done = hub, operation, done
        self._activities: list[OpenActivity] = []
        self._neighbours: list[Neighbour] = []

    def begin(self) -> None:
        """Read on until `done` got the answer."""
        instance_id = self._operation.instance_id
        self._ask(partial(self._hub.store.find, [instance_id]), self._found)

    def _ask(self, call: Callable[[Callback[T]], None], then: Callable[[T], None]) -> None:
        def answered(answer: T | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._done(unavailable(answer))
            else:
                then(answer)

        call(answered)

    def _found(self, records: list[InstanceRecord]) -> None:
        if not records:
            self._done(not_found(self._operation.instance_id))
            return
        self._record = records[0]
        self._read(self._record, self._read_own)

    def _read(self, record: InstanceRecord, then: Callable[[Story], None]) -> None:
        """The history of the current generation, and what waits."""
        store = self._hub.store

        def with_history(rows: list[bytes]) -> None:
            history = [event for row in rows for event in decode_history(row)]

            def with_inbox(inbox: list[InboxRow]) -> None:
                then((history, [WaitingMessage(row.event, row.due) for row in inbox]))

            self._ask(partial(store.read_inbox, record.n, 0), with_inbox)

        self._ask(partial(store.read_history, record.n, record.generation), with_history)

    def _read_own(self, story: Story) -> None:
        self._story = story
        record = self._record
        if record.status.is_terminal:
            self._look_at([])
            return
        events = [task.event for task in open_tasks(*story, self._hub.committer.time())[:NAMED]]
        near = [event.instance_id for event in events if isinstance(event, h.SubOrchestrationInstanceCreated)]
        near += [event.entity for event in events if isinstance(event, h.EntityOperationCalled)]
        near += [one for event in events if isinstance(event, h.EntityLocksRequested) for one in event.entities[:NAMED]]
        lock = decode_lock(record.custom_status) if record.kind is InstanceKind.ENTITY and record.lock_holder else None
        if lock is not None:
            near.append(lock.locked_by)
        tasks = [event.event_id for event in events if isinstance(event, h.TaskScheduled)]

        def with_activities(activities: list[OpenActivity]) -> None:
            self._activities = activities
            self._look_at(near)

        if tasks:
            read = partial(self._hub.store.open_activities, record.n, record.generation, tasks)
            self._ask(read, with_activities)
        else:
            self._look_at(near)

    def _look_at(self, near: list[str]) -> None:
        """Read these instances, then the hosts."""
        known = {one.instance_id for one in self._neighbours}
        wanted = [one for one in dict.fromkeys(near) if one not in known and one != self._record.instance_id]
        if wanted:
            self._ask(partial(self._hub.store.find, wanted), lambda records: self._tell_of(wanted, records))
        else:
            self._ask(self._hub.store.hosts, self._with_hosts)

    def _tell_of(self, wanted: list[str], records: list[InstanceRecord]) -> None:
        """How each of them is; after them, those who hold their locks."""
        missing = {*wanted} - {record.instance_id for record in records}
        self._neighbours += [Neighbour(one, "" if one.startswith("@") else "it is gone") for one in sorted(missing)]
        holders: list[str] = []
        left = list(records)

        def next_one() -> None:
            if not left:
                self._look_at(holders)
                return
            record = left.pop(0)
            if record.kind is InstanceKind.ENTITY:
                lock = decode_lock(record.custom_status) if record.lock_holder else None
                locked_by = lock.locked_by if lock is not None else ""
                self._neighbours.append(Neighbour(record.instance_id, "", locked_by))
                holders.extend([locked_by] if locked_by else [])
                next_one()
                return

            def told(story: Story) -> None:
                text = phrase(record, *story, self._hub.committer.time())
                self._neighbours.append(Neighbour(record.instance_id, text))
                next_one()

            self._read(record, told)

        next_one()

    def _with_hosts(self, rows: list[HostRow]) -> None:
        hosts = [LiveHost(row.token, row.address, row.names, row.heard, row.ttl) for row in rows]
        history, inbox = self._story
        now = self._hub.committer.time()
        self._done(Inspected(self._record, history, inbox, hosts, now, self._activities, self._neighbours))
