"""What clients ask: start, query, raise, signal, suspend, terminate, purge. Answers are durable when they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from perdure.engine.rules import entity_message, entity_name
from perdure.engine.spans import raised_span
from perdure.model.codec import decode_history
from perdure.model.commit_plan import Audit, Message, MessageVerdict
from perdure.model.history import (
    EntityOperationRequested,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import (
    TERMINAL,
    InstanceFilter,
    InstanceKind,
    InstanceRecord,
    Page,
    RuntimeStatus,
    bad_entity_id,
    is_entity_id,
)
from perdure.model.operations import (
    AuditEntry,
    AuditListed,
    CleanEntities,
    Counted,
    CountInstances,
    CountWaiting,
    DeleteTaskHub,
    Done,
    EntityFound,
    Found,
    GetInstance,
    InspectInstance,
    ListAudit,
    Listed,
    ListInstances,
    Operation,
    OperationAnswer,
    PurgeInstance,
    PurgeInstances,
    RaiseEvent,
    ReadEntity,
    RefusalCode,
    Refused,
    RestartInstance,
    ResumeInstance,
    RewindInstance,
    SignalEntityOperation,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
    WaitingCounted,
)
from perdure.storage.provider import Counts, StoreError, UnknownContinuation
from perdure.taskhub.audit import audit
from perdure.taskhub.entity_storage import EntityCleaning
from perdure.taskhub.hub import Answer, Hub
from perdure.taskhub.hub_deletion import HubDeletion
from perdure.taskhub.inspection import Inspection
from perdure.taskhub.malformed import malformed
from perdure.taskhub.pending_controls import status_to_come
from perdure.taskhub.purging import ManyPurged, purge_one, purge_records
from perdure.taskhub.refusals import gone, not_found, unavailable
from perdure.taskhub.starting import entering, restart, start

_READING = (GetInstance, ListInstances, ReadEntity, InspectInstance, CountInstances, CountWaiting, ListAudit)


class HubClient:
    """The operations on one hub, over its core."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._finds: dict[str, list[Callable[[InstanceRecord | StoreError | None], None]]] = {}

    def call(self, operation: Operation, done: Answer) -> None:
        """Carry out an operation; `done` gets its answer, a `Refused` when it cannot be done."""
        wrong = malformed(operation)
        if wrong is not None:
            done(Refused(RefusalCode.BAD_REQUEST, wrong))
        elif isinstance(operation, _READING):
            _OPERATIONS[type(operation)](self, operation, done)
        elif not self._hub.accepting:
            done(Refused(RefusalCode.UNAVAILABLE, "The host is not accepting work: it is starting or stopping."))
        elif not self._hub.committer.is_current():
            # it would only wait, and so would all that follow
            done(Refused(RefusalCode.UNAVAILABLE, "The store has not taken anything for some time. Ask again."))
        else:
            _OPERATIONS[type(operation)](self, operation, done)

    # -- reading

    def _find(self, instance_id: str, then: Callable[[InstanceRecord | None], None], done: Answer) -> None:
        """Read an instance; all that are asked for in one tick are read together."""

        def found(answer: InstanceRecord | StoreError | None) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            else:
                then(answer)

        if not self._finds:
            self._hub.clock.soon(self._read_found)
        self._finds.setdefault(instance_id, []).append(found)

    def _read_found(self) -> None:
        finds, self._finds = self._finds, {}

        def read(answer: list[InstanceRecord] | StoreError) -> None:
            by_id = {} if isinstance(answer, StoreError) else {record.instance_id: record for record in answer}
            for instance_id, waiting in finds.items():
                for found in waiting:
                    found(answer if isinstance(answer, StoreError) else by_id.get(instance_id))

        self._hub.store.find(list(finds), read)

    def _get(self, operation: GetInstance, done: Answer) -> None:
        def found(record: InstanceRecord | None) -> None:
            if record is None:
                done(not_found(operation.instance_id))
            elif operation.with_history:
                self._read_history(record, lambda events: done(Found(record, events)), done)
            else:
                done(Found(record))

        self._find(operation.instance_id, found, done)

    def _read_history(self, record: InstanceRecord, then: Callable[[list[HistoryEvent]], None], done: Answer) -> None:
        def read(answer: list[bytes] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            else:
                then([event for row in answer for event in decode_history(row)])

        self._hub.store.read_history(record.n, record.generation, read)

    def _list(self, operation: ListInstances, done: Answer) -> None:
        def listed(answer: Page | StoreError) -> None:
            if isinstance(answer, StoreError):
                wrong = isinstance(answer, UnknownContinuation)
                done(Refused(RefusalCode.BAD_REQUEST, str(answer)) if wrong else unavailable(answer))
            else:
                done(Listed(answer.items, answer.continuation))

        self._hub.store.query(operation.filter, operation.top, operation.continuation, listed)

    def _count_waiting(self, operation: CountWaiting, done: Answer) -> None:
        def counted(answer: dict[int, int] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            else:
                done(WaitingCounted(tuple(answer.get(n, 0) for n in operation.numbers)))

        self._hub.store.count_inbox(list(operation.numbers), self._hub.committer.time(), counted)

    def _read_entity(self, operation: ReadEntity, done: Answer) -> None:
        def found(record: InstanceRecord | None) -> None:
            exists = record is not None and record.state is not None
            done(EntityFound(exists, record.state if record is not None else None))

        self._find(operation.entity, found, done)

    def _count(self, operation: CountInstances, done: Answer) -> None:
        def counted(found: Counts) -> None:
            counts: dict[str, dict[str, int]] = {}
            for (name, status), number in sorted(found.items()):
                counts.setdefault(name, {})[RuntimeStatus(status).label] = number
            done(Counted(counts))

        self._tally(operation.filter, operation.by_name, counted, done)

    def _tally(self, filter: InstanceFilter, by_name: bool, then: Callable[[Counts], None], done: Answer) -> None:
        def counted(answer: Counts | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            else:
                then(answer)

        self._hub.store.count(filter, by_name, counted)

    def _list_audit(self, operation: ListAudit, done: Answer) -> None:
        def listed(answer: list[Audit] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(unavailable(answer))
            else:
                entries = [AuditEntry(a.time, a.operation, a.target, a.who, a.reason, a.result) for a in answer]
                done(AuditListed(entries))

        def found(record: InstanceRecord | None) -> None:
            n = record.n if record is not None else 0
            self._hub.store.audit(operation.instance_id, n, operation.top, listed)

        if operation.instance_id is None:
            found(None)
        else:
            self._find(operation.instance_id, found, done)

    # -- sending

    def _send(self, message: Message, done: Answer) -> None:
        """Commit a message to an orchestration that must exist and not have finished."""

        def sent(verdict: MessageVerdict | StoreError) -> None:
            if isinstance(verdict, StoreError):
                done(unavailable(verdict))
            elif verdict.seq:
                self._hub.registry.message_committed(message, verdict)
                done(Done())
            elif verdict.n:
                done(gone(message.instance_id))
            else:
                done(not_found(message.instance_id))

        self._hub.committer.send(message, sent)

    def _raise(self, operation: RaiseEvent, done: Answer) -> None:
        if is_entity_id(operation.instance_id):
            # entities take operations only: it would lie there for ever
            done(not_found(operation.instance_id))
            return
        hub, parent = self._hub, entering(self._hub, operation.trace)
        trace = None if parent is None else raised_span(parent, hub.shift.new_number())
        time, target = hub.committer.time(), operation.instance_id
        raised = EventRaised(operation.name, operation.input, operation.client, time, trace)
        recorded = audit(f"raiseEvent:{operation.name}", target, operation.by, time)

        def sent(answer: OperationAnswer) -> None:
            if parent is not None and isinstance(answer, Done):
                hub.telemetry.event_raised(operation.instance_id, raised, parent)
            done(answer)

        self._send(Message(0, raised, instance_id=target, audit=recorded), sent)

    def _terminate(self, operation: TerminateInstance, done: Answer) -> None:
        event = ExecutionTerminated(as_json(operation.reason), operation.recurse, self._hub.committer.time())
        self._control("terminate", operation, event, set(), "", done)

    def _suspend(self, operation: SuspendInstance, done: Answer) -> None:
        event = ExecutionSuspended(operation.reason, self._hub.committer.time())
        text = "Cannot suspend the orchestration instance {id} because instance is in the {status} state."
        self._control("suspend", operation, event, {RuntimeStatus.SUSPENDED}, text, done)

    def _resume(self, operation: ResumeInstance, done: Answer) -> None:
        event = ExecutionResumed(operation.reason, self._hub.committer.time())
        text = "Cannot resume the orchestration instance {id} because instance is in the {status} state."
        wrong = {RuntimeStatus.RUNNING, RuntimeStatus.PENDING, RuntimeStatus.CONTINUED_AS_NEW}
        self._control("resume", operation, event, wrong, text, done)

    def _rewind(self, operation: RewindInstance, done: Answer) -> None:
        time = self._hub.committer.time()
        event = ExecutionRewound(operation.reason, (), time)
        text = "The rewind operation is only supported on failed orchestration instances."

        def found(record: InstanceRecord | None) -> None:
            if record is None or record.kind is InstanceKind.ENTITY:
                done(not_found(operation.instance_id))
            elif record.status is RuntimeStatus.FAILED:
                recorded = audit("rewind", record.instance_id, operation.by, time, operation.reason)
                self._send(Message(record.n, event, instance_id=record.instance_id, audit=recorded), done)
            elif record.status in TERMINAL:
                done(Refused(RefusalCode.GONE, text, record.status.label))
            else:
                done(Refused(RefusalCode.WRONG_STATE, text, record.status.label))

        self._find(operation.instance_id, found, done)

    def _control(
        self,
        verb: str,
        operation: TerminateInstance | SuspendInstance | ResumeInstance,
        event: HistoryEvent,
        wrong: set[RuntimeStatus],
        text: str,
        done: Answer,
    ) -> None:
        instance_id = operation.instance_id

        def found(record: InstanceRecord | None) -> None:
            if record is None or record.kind is InstanceKind.ENTITY:
                done(not_found(instance_id))
            elif record.status in TERMINAL:
                done(gone(instance_id, record.status))
            elif wrong:
                status_to_come(
                    self._hub.store,
                    record,
                    lambda status: judged(record, status),
                    lambda error: done(unavailable(error)),
                )
            else:
                judged(record, record.status)

        def judged(record: InstanceRecord, status: RuntimeStatus) -> None:
            if status in wrong:
                said = text.format(id=instance_id, status=status.label)
                done(Refused(RefusalCode.WRONG_STATE, said, status.label))
            else:
                recorded = audit(verb, instance_id, operation.by, self._hub.committer.time(), operation.reason)
                self._send(Message(record.n, event, instance_id=instance_id, audit=recorded), done)

        self._find(instance_id, found, done)

    def _signal(self, operation: SignalEntityOperation, done: Answer) -> None:
        hub = self._hub
        wrong = bad_entity_id(operation.entity)
        if wrong is not None:
            done(Refused(RefusalCode.BAD_REQUEST, wrong))
            return
        refusal = hub.shift.catalog.unknown("entity", entity_name(operation.entity))
        if refusal is not None:
            done(Refused(RefusalCode.UNKNOWN_FUNCTION, refusal))
            return
        time = hub.committer.time()
        request = EntityOperationRequested(
            operation.operation,
            operation.input,
            client=operation.client,
            timestamp=time,
            trace=entering(hub, operation.trace),
        )
        message = entity_message(hub.shift.new_number(), operation.entity, request, time, operation.due)
        recorded = audit(f"signal:{operation.operation}", operation.entity, operation.by, time)
        self._send(replace(message, audit=recorded) if recorded is not None else message, done)

    # -- deleting

    def purge(self, records: list[InstanceRecord], then: Callable[[int], None]) -> None:
        """Delete these instances, each only if it is still the one that was read; `then` gets how many it were."""
        purge_records(self._hub, records, then, lambda error: then(0))

    def _clean(self, operation: CleanEntities, done: Answer) -> None:
        EntityCleaning(self._hub, operation, done).begin()


def as_json(text: str | None) -> str | None:
    """A reason as JSON text: as it is when it already is JSON (http-api.md 3), else as a JSON string."""
    if text is None:
        return None
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return msgspec.json.encode(text).decode()
    return text


_OPERATIONS: dict[type, Callable[[HubClient, Any, Answer], None]] = {
    StartInstance: lambda client, operation, done: start(client._hub, operation, done),
    GetInstance: HubClient._get,
    ListInstances: HubClient._list,
    RaiseEvent: HubClient._raise,
    TerminateInstance: HubClient._terminate,
    SuspendInstance: HubClient._suspend,
    ResumeInstance: HubClient._resume,
    RewindInstance: HubClient._rewind,
    RestartInstance: lambda client, operation, done: restart(client._hub, operation, done),
    PurgeInstance: lambda client, operation, done: purge_one(client._hub, operation, done),
    PurgeInstances: lambda client, operation, done: ManyPurged(client._hub, operation, done).begin(),
    DeleteTaskHub: lambda client, operation, done: HubDeletion(client._hub, operation, done).begin(),
    ListAudit: HubClient._list_audit,
    SignalEntityOperation: HubClient._signal,
    ReadEntity: HubClient._read_entity,
    CleanEntities: HubClient._clean,
    InspectInstance: lambda client, operation, done: Inspection(client._hub, operation, done).begin(),
    CountInstances: HubClient._count,
    CountWaiting: HubClient._count_waiting,
}
