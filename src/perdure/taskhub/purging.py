"""Instances that are deleted: one, a family, all that match, the whole hub (design 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from perdure.engine.lifecycle import open_tasks, unlocks
from perdure.model.codec import decode_history
from perdure.model.commit_plan import Audit, CreationVerdict, Message, NewInstance, Purge, Verdict
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
)
from perdure.model.instance import TERMINAL, InstanceKind, InstanceRecord, Page
from perdure.model.operations import OperationAnswer, Purged, PurgeInstance, PurgeInstances, RefusalCode, Refused
from perdure.storage.provider import StoreError, UnknownContinuation
from perdure.taskhub.audit import audit, described
from perdure.taskhub.entity_storage import EntityPurge
from perdure.taskhub.hub import Answer, Hub
from perdure.taskhub.malformed import FIRST_TIME, LAST_TIME
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.refusals import not_found, unavailable

#: instances that one step of a purge deletes; then it rests for as long as the step took, so that others come first
PAGE = 100
#: how soon an instance that was busy is purged again, and how often before it is ended to get hold of it
_BUSY_SECONDS = 0.05
_PATIENCE = 20

_PURGED = "The sub-orchestration '{id}' was purged before it finished."
_REPLACED = "The sub-orchestration '{id}' was replaced by a new start of the same id before it finished."

Judged = Callable[["Verdict | StoreError"], None]


class OrchestrationPurge:
    """Deletes one orchestration, and starts another in its place (`new`) in the same commit.

    One that has not finished gives back the locks that it holds, which its history tells; so it goes only as it was
    read, and is read again when it has moved on. One that moves too fast for that is ended first.
    """

    def __init__(
        self,
        hub: Hub,
        record: InstanceRecord,
        judged: Judged,
        recorded: Audit | None = None,
        new: NewInstance | None = None,
    ) -> None:
        """`judged` gets APPLIED when it is gone by this, REFUSED when it was gone before. With `new`: APPLIED when that
        is there, REFUSED when another instance has come or the orchestration has finished."""
        self._hub, self._record, self._judged = hub, record, judged
        self._recorded, self._new = recorded, new
        self._left: list[Message] = []
        self._tries = 0

    def begin(self) -> None:
        """Read what it holds, and delete it."""
        record = self._record
        if record.status in TERMINAL or not record.first_turn:
            self._commit(())
            return

        def read(answer: list[bytes] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._judged(answer)
                return
            tasks = open_tasks(event for row in answer for event in decode_history(row))
            shift = self._hub.shift
            messages = unlocks(record.n, record.generation, self._hub.committer.time(), shift.next_number(), tasks)
            shift.use_numbers(len(messages))
            self._commit(tuple(messages))

        self._hub.store.read_history(record.n, record.generation, read)

    def _commit(self, messages: tuple[Message, ...]) -> None:
        record, committer = self._record, self._hub.committer
        text = _PURGED if self._new is None else _REPLACED
        parent = _orphaned(record, text)
        self._left = [*messages, *([parent] if parent is not None else [])]
        purge = Purge(record.n, parent, messages, record.turn, audit=self._recorded)
        if self._new is None:
            committer.purge(purge, self._purged)
        else:
            committer.replace(purge, self._new, self._replaced)

    def _replaced(self, verdicts: tuple[Verdict, CreationVerdict] | StoreError) -> None:
        if isinstance(verdicts, StoreError):
            self._judged(verdicts)
            return
        purged, created = verdicts
        if purged is Verdict.APPLIED:
            forget(self._hub, self._record)
            self._deliver()
        if created.verdict is Verdict.REFUSED and purged is Verdict.FENCED:
            self._purged(purged)
        else:
            self._judged(created.verdict)

    def _purged(self, verdict: Verdict | StoreError) -> None:
        if verdict is not Verdict.FENCED:
            if verdict is Verdict.APPLIED:
                self._deliver()
            self._judged(verdict)
            return
        self._tries += 1
        if self._tries == _PATIENCE and self._record.status not in TERMINAL:
            self._end()
        self._hub.clock.later(_BUSY_SECONDS, self._again)

    def _deliver(self) -> None:
        """What it left behind was committed with its end: a parent and entities learn of it now."""
        registry = self._hub.registry
        entities = [message.instance_id for message in self._left if message.instance_id]
        for message in self._left:
            if not message.instance_id:
                registry.arrived(message.n)

        def found(answer: list[InstanceRecord] | StoreError) -> None:
            # what the store does not tell now, the hosts find when they look
            for record in [] if isinstance(answer, StoreError) else answer:
                registry.arrived(record.n)

        if entities:
            self._hub.store.find(entities, found)

    def _end(self) -> None:
        """Its children go on, as after a purge."""
        committer, registry = self._hub.committer, self._hub.registry
        message = Message(self._record.n, ExecutionTerminated(None, False, committer.time()))

        def sent(verdict: object) -> None:
            if not isinstance(verdict, StoreError):
                registry.message_committed(message, verdict)  # type: ignore[arg-type]

        committer.send(message, sent)

    def _again(self) -> None:
        def found(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._judged(answer)
            elif answer and answer[0].n == self._record.n:
                self._record = answer[0]
                self.begin()
            else:
                self._judged(Verdict.REFUSED)

        self._hub.store.find([self._record.instance_id], found)


def _orphaned(record: InstanceRecord, text: str) -> Message | None:
    """What the parent of an unfinished child is told when the child goes."""
    if not record.parent_n or record.status in TERMINAL:
        return None
    said = text.format(id=record.instance_id)
    kind = "InstancePurged" if text is _PURGED else "InstanceReplaced"
    failed = SubOrchestrationInstanceFailed(record.parent_task, said, None, FailureDetails(kind, said))
    return Message(record.parent_n, failed, record.parent_generation, record.parent_task)


def forget(hub: Hub, record: InstanceRecord) -> None:
    """An instance was deleted: what is kept of it elsewhere goes, too."""
    if record.parked is not None:
        ParkedList(hub.store, hub.clock).remove(record.n)
    instance = hub.registry.get(record.n)
    if instance is not None:
        hub.registry.abandon(instance)


def purge_records(
    hub: Hub,
    records: list[InstanceRecord],
    then: Callable[[int], None],
    failed: Callable[[StoreError], None],
    record_of: Callable[[InstanceRecord], Audit | None] = lambda record: None,
) -> None:
    """Delete these instances, each only if it is still the one that was read; `then` gets how many it were, or `failed`
    why the store did not take one of them."""
    left, count = len(records), 0
    failure: StoreError | None = None
    if not left:
        then(0)

    def purged(record: InstanceRecord) -> Judged:
        def judged(verdict: Verdict | StoreError) -> None:
            nonlocal left, count, failure
            left -= 1
            if isinstance(verdict, StoreError):
                failure = verdict
            elif verdict is Verdict.APPLIED:
                count += 1
                forget(hub, record)
            if left == 0 and failure is not None:
                failed(failure)
            elif left == 0:
                then(count)

        return judged

    for record in records:
        if record.kind is InstanceKind.ENTITY:
            EntityPurge(hub, record, purged(record), record_of(record)).begin()
        else:
            OrchestrationPurge(hub, record, purged(record), record_of(record)).begin()


def _refusing(done: Answer) -> Callable[[StoreError], None]:
    return lambda error: done(unavailable(error))


def purge_one(hub: Hub, operation: PurgeInstance, done: Answer) -> None:
    """`PurgeInstance`, of an instance of any status."""
    time = hub.committer.time()

    def recorded(record: InstanceRecord) -> Audit | None:
        return audit("purge", record.instance_id, operation.by, time)

    def found(answer: list[InstanceRecord] | StoreError) -> None:
        if isinstance(answer, StoreError):
            done(unavailable(answer))
        elif not answer:
            done(not_found(operation.instance_id))
        elif operation.recurse:
            _purge_family(hub, answer[0], recorded, done)
        else:
            purge_records(hub, answer, lambda count: done(Purged(count)), _refusing(done), recorded)

    hub.store.find([operation.instance_id], found)


def _purge_family(
    hub: Hub, record: InstanceRecord, recorded: Callable[[InstanceRecord], Audit | None], done: Answer
) -> None:
    """Purge an instance and then its children, each with their own; others may have their ids by now."""

    def read(answer: list[bytes] | StoreError) -> None:
        if isinstance(answer, StoreError):
            done(unavailable(answer))
            return
        events: list[HistoryEvent] = [event for row in answer for event in decode_history(row)]
        children = [event.instance_id for event in events if isinstance(event, SubOrchestrationInstanceCreated)]
        total = 0

        def next_child(answer: OperationAnswer) -> None:
            nonlocal total
            if not isinstance(answer, Purged):
                done(answer)
                return
            total += answer.instances
            if children:
                hub.store.find([children.pop()], found)
            else:
                done(Purged(total))

        def found(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            elif answer and answer[0].parent_n == record.n:
                _purge_family(hub, answer[0], recorded, next_child)
            else:
                next_child(Purged(0))

        purge_records(hub, [record], lambda count: next_child(Purged(count)), _refusing(done), recorded)

    hub.store.read_history(record.n, record.generation, read)


class _Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where a purge with a limit goes on: when it began, what it has deleted, and where the listing stands."""

    begun: Annotated[int, Meta(ge=FIRST_TIME, le=LAST_TIME)]
    total: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    continuation: str


_decode: msgspec.json.Decoder[_Standing] = msgspec.json.Decoder(_Standing)


class ManyPurged:
    """`PurgeInstances`: page by page, with a rest after each."""

    def __init__(self, hub: Hub, operation: PurgeInstances, done: Answer) -> None:
        self._hub, self._operation, self._done = hub, operation, done
        self._begun = hub.committer.time()
        self._before = self._total = self._seen = 0
        self._continuation: str | None = None
        self._filter = operation.filter

    def begin(self) -> None:
        """Delete what matches; unless it is wanted, nothing that has not finished, and no entity."""
        operation = self._operation
        wanted = set(operation.filter.statuses)
        if not operation.include_running:
            finished = {int(status) for status in TERMINAL}
            wanted = wanted & finished if wanted else finished
            if not wanted:
                self._done(Purged(0))
                return
        kinds = operation.filter.kinds or (() if operation.include_running else (int(InstanceKind.ORCHESTRATION),))
        self._filter = msgspec.structs.replace(operation.filter, statuses=tuple(sorted(wanted)), kinds=kinds)
        if operation.dry_run:
            self._hub.store.count(self._filter, False, self._counted)
        elif operation.continuation is None:
            self._note("begun")
            self._page()
        else:
            self._go_on(operation.continuation)

    def _counted(self, answer: dict[tuple[str, int], int] | StoreError) -> None:
        self._done(unavailable(answer) if isinstance(answer, StoreError) else Purged(sum(answer.values())))

    def _go_on(self, continuation: str) -> None:
        try:
            standing = _decode.decode(continuation)
        except msgspec.DecodeError:
            text = f"unknown continuation {continuation[:100]!r}: pass on what the last answer gave, or none"
            self._done(Refused(RefusalCode.BAD_REQUEST, text))
            return
        self._begun, self._before, self._continuation = standing.begun, standing.total, standing.continuation
        self._page()

    def _page(self) -> None:
        clock = self._hub.clock
        begun = clock.monotonic()

        def listed(page: Page | StoreError) -> None:
            if isinstance(page, StoreError):
                wrong = isinstance(page, UnknownContinuation)
                self._done(Refused(RefusalCode.BAD_REQUEST, str(page)) if wrong else unavailable(page))
                return

            def after(count: int) -> None:
                self._total += count
                self._seen += len(page.items)
                self._continuation = page.continuation
                if page.continuation is None:
                    self._note(f"{self._before + self._total} instances deleted", self._end)
                else:
                    clock.later(clock.monotonic() - begun, self._rested)

            purge_records(self._hub, page.items, after, _refusing(self._done))

        self._hub.store.query(self._filter, PAGE, self._continuation, listed, payloads=False)

    def _rested(self) -> None:
        if 0 < self._operation.limit <= self._seen:
            standing = _Standing(self._begun, self._before + self._total, self._continuation or "")
            self._done(Purged(self._total, msgspec.json.encode(standing).decode()))
        else:
            self._page()

    def _end(self) -> None:
        self._done(Purged(self._total))

    def _note(self, result: str, then: Callable[[], None] = lambda: None) -> None:
        """Record how far it is; one record for the whole purge."""
        made = audit("purge", self._hub.options.hub_name, self._operation.by, self._begun, described(self._filter))
        if made is None:
            then()
        else:
            self._hub.committer.record(msgspec.structs.replace(made, result=result), lambda answer: then())
