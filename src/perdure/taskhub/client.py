"""What clients ask: start, query, raise, signal, suspend, terminate, purge. Answers are durable when they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from perdure.engine.catalog import Catalog
from perdure.engine.lifecycle import open_tasks, unlocks
from perdure.engine.rules import entity_message, entity_name
from perdure.engine.spans import raised_span
from perdure.model.codec import decode_history
from perdure.model.commit_plan import CreationVerdict, Message, MessageVerdict, NewInstance, Purge, Verdict
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityOperationRequested,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
)
from perdure.model.instance import (
    TERMINAL,
    InstanceFilter,
    InstanceKind,
    InstanceRecord,
    Page,
    RuntimeStatus,
    bad_entity_id,
    bad_instance_id,
)
from perdure.model.operations import (
    CleanEntities,
    Counted,
    CountInstances,
    CountWaiting,
    Done,
    EntityFound,
    Found,
    GetInstance,
    Inspected,
    InspectInstance,
    Listed,
    ListInstances,
    LiveHost,
    Operation,
    OperationAnswer,
    Purged,
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
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
    WaitingCounted,
    WaitingMessage,
)
from perdure.storage.provider import Counts, HostRow, InboxRow, StoreError
from perdure.taskhub.committer import Committer
from perdure.taskhub.entity_storage import EntityCleaning, EntityPurge
from perdure.taskhub.idempotency import start_once
from perdure.taskhub.instance import Instance
from perdure.taskhub.interfaces import Clock, Store, Wakes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.telemetry import Telemetry

Answer = Callable[[OperationAnswer], None]


class Functions(Protocol):
    """What the client needs of the part that decides: the known functions, numbers for new instances."""

    @property
    def catalog(self) -> Catalog: ...
    def next_number(self) -> int: ...
    def use_numbers(self, count: int) -> None: ...
    def new_number(self) -> int: ...


class Instances(Protocol):
    """What the client needs of the instances in memory."""

    def has_room(self) -> bool: ...
    def created(self, new: NewInstance) -> None: ...
    def message_committed(self, message: Message, verdict: MessageVerdict) -> None: ...
    def get(self, n: int) -> Instance | None: ...
    def abandon(self, instance: Instance) -> None: ...


class Hub(Protocol):
    """The hub that a client works on: that of a host (`TaskHub`), or one that runs nothing (`ClientHub`)."""

    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def wakes(self) -> Wakes: ...
    @property
    def options(self) -> HubOptions: ...
    @property
    def committer(self) -> Committer: ...
    @property
    def shift(self) -> Functions: ...
    @property
    def registry(self) -> Instances: ...
    @property
    def token(self) -> int: ...
    @property
    def accepting(self) -> bool: ...
    @property
    def telemetry(self) -> Telemetry: ...
    def left_behind(self, not_before: int) -> None: ...


_READING = (GetInstance, ListInstances, ReadEntity, InspectInstance, CountInstances, CountWaiting)
#: instances that one step of a purge deletes; then it rests for as long as the step took, so that others come first
_PURGE_PAGE = 100
#: how soon an instance that was busy is purged again
_BUSY_SECONDS = 0.05


class HubClient:
    """The operations on one hub, over its core."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._finds: dict[str, list[Callable[[InstanceRecord | StoreError | None], None]]] = {}

    def call(self, operation: Operation, done: Answer) -> None:
        """Carry out an operation; `done` gets its answer, a `Refused` when it cannot be done."""
        if isinstance(operation, _READING):
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
                done(_unavailable(answer))
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
                done(_not_found(operation.instance_id))
            elif operation.with_history:
                self._read_history(record, lambda events: done(Found(record, events)), done)
            else:
                done(Found(record))

        self._find(operation.instance_id, found, done)

    def _read_history(self, record: InstanceRecord, then: Callable[[list[HistoryEvent]], None], done: Answer) -> None:
        def read(answer: list[bytes] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(_unavailable(answer))
            else:
                then([event for row in answer for event in decode_history(row)])

        self._hub.store.read_history(record.n, record.generation, read)

    def _list(self, operation: ListInstances, done: Answer) -> None:
        def listed(answer: Page | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(_unavailable(answer) if answer.lost else Refused(RefusalCode.BAD_REQUEST, str(answer)))
            else:
                done(Listed(answer.items, answer.continuation))

        self._hub.store.query(operation.filter, operation.top, operation.continuation, listed)

    def _count_waiting(self, operation: CountWaiting, done: Answer) -> None:
        def counted(answer: dict[int, int] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(_unavailable(answer))
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
                done(_unavailable(answer))
            else:
                then(answer)

        self._hub.store.count(filter, by_name, counted)

    def _inspect(self, operation: InspectInstance, done: Answer) -> None:
        """History, inbox and hosts are read one after the other: nothing has to be of one moment."""
        store = self._hub.store

        def found(record: InstanceRecord | None) -> None:
            if record is None:
                done(_not_found(operation.instance_id))
                return

            def with_history(history: list[HistoryEvent]) -> None:
                def with_inbox(inbox: list[InboxRow] | StoreError) -> None:
                    def with_hosts(hosts: list[HostRow] | StoreError) -> None:
                        if isinstance(inbox, StoreError):
                            done(_unavailable(inbox))
                        elif isinstance(hosts, StoreError):
                            done(_unavailable(hosts))
                        else:
                            done(_inspected(record, history, inbox, hosts, self._hub.committer.time()))

                    store.hosts(with_hosts)

                store.read_inbox(record.n, 0, with_inbox)

            self._read_history(record, with_history, done)

        self._find(operation.instance_id, found, done)

    # -- starting

    def _start(self, operation: StartInstance, done: Answer) -> None:
        hub = self._hub
        refusal = hub.shift.catalog.unknown("orchestration", operation.name)
        if refusal is not None:
            done(Refused(RefusalCode.UNKNOWN_FUNCTION, refusal))
            return
        instance_id = operation.instance_id or _new_id(hub)
        wrong = bad_instance_id(instance_id)
        if wrong is not None:
            done(Refused(RefusalCode.BAD_REQUEST, wrong))
            return
        if operation.idempotency_key:
            start_once(hub.store, operation, instance_id, hub.committer.time(), self._start, done)
            return
        n = hub.shift.new_number()
        new = NewInstance(
            n=n,
            instance_id=instance_id,
            kind=InstanceKind.ORCHESTRATION,
            name=operation.name,
            created=hub.committer.time(),
            version=hub.options.default_version if operation.version is None else operation.version,
            input=operation.input,
            owner=hub.token if self._takes(operation) else 0,
            policy=operation.policy or hub.options.existing_policy,
            not_before=operation.start_at,
            tags=operation.tags,
            trace=self._entering(operation.trace),
        )

        def created(verdict: CreationVerdict | StoreError) -> None:
            if isinstance(verdict, StoreError):
                done(_unavailable(verdict))
            elif verdict.verdict is Verdict.APPLIED:
                hub.telemetry.started(new)
                if new.owner:
                    hub.registry.created(new)
                else:
                    hub.left_behind(new.not_before)
                done(Started(instance_id))
            elif operation.policy is not None and operation.policy.value == "return_existing":
                done(Started(instance_id))
            else:
                label = RuntimeStatus(verdict.status).label
                text = f"An Orchestration instance with the status {label} already exists."
                done(Refused(RefusalCode.EXISTS, text, label))

        hub.committer.create(new, created)

    def _entering(self, trace: str | None) -> str | None:
        """The trace context of work that comes in with `trace`, None where nobody traces."""
        sampling = self._hub.options.sampling
        return None if sampling is None else sampling.entering(trace, _new_id(self._hub))

    def _takes(self, operation: StartInstance) -> bool:
        """Whether this host runs a new instance itself."""
        hub = self._hub
        later = operation.start_at > hub.committer.time()
        return not later and hub.registry.has_room() and hub.shift.catalog.runs_here("orchestration", operation.name)

    def _restart(self, operation: RestartInstance, done: Answer) -> None:
        def found(record: InstanceRecord | None) -> None:
            if record is None or record.kind is InstanceKind.ENTITY:
                done(_not_found(operation.instance_id))
                return
            new_id = None if operation.new_id else record.instance_id
            again = StartInstance(record.name, new_id, record.input, record.version, record.tags, trace=operation.trace)
            self._start(again, done)

        self._find(operation.instance_id, found, done)

    # -- sending

    def _send(self, message: Message, done: Answer) -> None:
        """Commit a message to an orchestration that must exist and not have finished."""

        def sent(verdict: MessageVerdict | StoreError) -> None:
            if isinstance(verdict, StoreError):
                done(_unavailable(verdict))
            elif verdict.seq:
                self._hub.registry.message_committed(message, verdict)
                done(Done())
            elif verdict.n:
                done(_gone(message.instance_id))
            else:
                done(_not_found(message.instance_id))

        self._hub.committer.send(message, sent)

    def _raise(self, operation: RaiseEvent, done: Answer) -> None:
        hub, parent = self._hub, self._entering(operation.trace)
        trace = None if parent is None else raised_span(parent, hub.shift.new_number())
        raised = EventRaised(operation.name, operation.input, operation.client, hub.committer.time(), trace)

        def sent(answer: OperationAnswer) -> None:
            if parent is not None and isinstance(answer, Done):
                hub.telemetry.event_raised(operation.instance_id, raised, parent)
            done(answer)

        self._send(Message(0, raised, instance_id=operation.instance_id), sent)

    def _terminate(self, operation: TerminateInstance, done: Answer) -> None:
        reason = as_json(operation.reason)
        event = ExecutionTerminated(reason, operation.recurse, self._hub.committer.time())
        self._control(operation.instance_id, event, set(), "", done)

    def _suspend(self, operation: SuspendInstance, done: Answer) -> None:
        event = ExecutionSuspended(operation.reason, self._hub.committer.time())
        text = "Cannot suspend the orchestration instance {id} because instance is in the {status} state."
        self._control(operation.instance_id, event, {RuntimeStatus.SUSPENDED}, text, done)

    def _resume(self, operation: ResumeInstance, done: Answer) -> None:
        event = ExecutionResumed(operation.reason, self._hub.committer.time())
        text = "Cannot resume the orchestration instance {id} because instance is in the {status} state."
        wrong = {RuntimeStatus.RUNNING, RuntimeStatus.PENDING, RuntimeStatus.CONTINUED_AS_NEW}
        self._control(operation.instance_id, event, wrong, text, done)

    def _rewind(self, operation: RewindInstance, done: Answer) -> None:
        event = ExecutionRewound(operation.reason, (), self._hub.committer.time())
        text = "The rewind operation is only supported on failed orchestration instances."

        def found(record: InstanceRecord | None) -> None:
            if record is None or record.kind is InstanceKind.ENTITY:
                done(_not_found(operation.instance_id))
            elif record.status is RuntimeStatus.FAILED:
                self._send(Message(record.n, event, instance_id=record.instance_id), done)
            elif record.status in TERMINAL:
                done(Refused(RefusalCode.GONE, text, record.status.label))
            else:
                done(Refused(RefusalCode.WRONG_STATE, text, record.status.label))

        self._find(operation.instance_id, found, done)

    def _control(
        self, instance_id: str, event: HistoryEvent, wrong: set[RuntimeStatus], text: str, done: Answer
    ) -> None:
        def found(record: InstanceRecord | None) -> None:
            if record is None or record.kind is InstanceKind.ENTITY:
                done(_not_found(instance_id))
            elif record.status in TERMINAL:
                done(_gone(instance_id, record.status))
            elif record.status in wrong:
                label = record.status.label
                done(Refused(RefusalCode.WRONG_STATE, text.format(id=instance_id, status=label), label))
            else:
                self._send(Message(record.n, event, instance_id=instance_id), done)

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
            trace=self._entering(operation.trace),
        )
        message = entity_message(hub.shift.new_number(), operation.entity, request, time, operation.due)
        self._send(message, done)

    # -- deleting

    def _purge_one(self, operation: PurgeInstance, done: Answer) -> None:
        def found(record: InstanceRecord | None) -> None:
            if record is None:
                done(_not_found(operation.instance_id))
            elif operation.recurse:
                self._purge_family(record, done)
            else:
                self._purge([record], lambda count: done(Purged(count)), done)

        self._find(operation.instance_id, found, done)

    def _purge_family(self, record: InstanceRecord, done: Answer) -> None:
        """Purge an instance and then its children, each with their own."""

        def read(events: list[HistoryEvent]) -> None:
            children = [e.instance_id for e in events if isinstance(e, SubOrchestrationInstanceCreated)]
            total = 0

            def next_child(answer: OperationAnswer) -> None:
                nonlocal total
                if isinstance(answer, Purged):
                    total += answer.instances
                if children:
                    self._purge_one(PurgeInstance(children.pop(), True), next_child)
                else:
                    done(Purged(total))

            self._purge([record], lambda count: next_child(Purged(count)), done)

        self._read_history(record, read, done)

    def purge(self, records: list[InstanceRecord], then: Callable[[int], None]) -> None:
        """Delete these instances, each only if it is still the one that was read; `then` gets how many it were."""
        self._purge(records, then, lambda answer: then(0))

    def _purge(self, records: list[InstanceRecord], then: Callable[[int], None], done: Answer) -> None:
        left, count = len(records), 0
        failed: StoreError | None = None
        if not left:
            then(0)

        def purged(record: InstanceRecord) -> Callable[[Verdict | StoreError], None]:
            def judged(verdict: Verdict | StoreError) -> None:
                nonlocal left, count, failed
                if verdict is Verdict.FENCED:
                    self._hub.clock.later(_BUSY_SECONDS, lambda: self._purge_again(record, judged))
                    return
                left -= 1
                if isinstance(verdict, StoreError):
                    failed = verdict
                elif verdict is Verdict.APPLIED:
                    count += 1
                    if record.parked is not None:
                        ParkedList(self._hub.store, self._hub.clock).remove(record.n)
                    instance = self._hub.registry.get(record.n)
                    if instance is not None:
                        self._hub.registry.abandon(instance)
                if left == 0 and failed is not None:
                    done(_unavailable(failed))
                elif left == 0:
                    then(count)

            return judged

        for record in records:
            self._purge_record(record, purged(record))

    def _purge_again(self, record: InstanceRecord, judged: Callable[[Verdict | StoreError], None]) -> None:
        """The instance was busy, or has moved on since it was read (and may have taken locks): read it again."""

        def found(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError):
                judged(answer)
            elif answer and answer[0].n == record.n:
                self._purge_record(answer[0], judged)
            else:
                judged(Verdict.REFUSED)

        self._hub.store.find([record.instance_id], found)

    def _purge_record(self, record: InstanceRecord, judged: Callable[[Verdict | StoreError], None]) -> None:
        """Purge one instance; an orchestration that has not finished gives back the locks that it holds."""
        committer = self._hub.committer
        parent = _orphaned(record)
        if record.kind is InstanceKind.ENTITY:
            EntityPurge(self._hub, record, judged).begin()
            return
        if record.status in TERMINAL or not record.first_turn:
            committer.purge(Purge(record.n, parent, turn=record.turn), judged)
            return

        def read(answer: list[bytes] | StoreError) -> None:
            if isinstance(answer, StoreError):
                judged(answer)
                return
            tasks = open_tasks(event for row in answer for event in decode_history(row))
            shift = self._hub.shift
            messages = unlocks(record.n, record.generation, committer.time(), shift.next_number(), tasks)
            shift.use_numbers(len(messages))
            committer.purge(Purge(record.n, parent, tuple(messages), record.turn), judged)

        self._hub.store.read_history(record.n, record.generation, read)

    def _purge_many(self, operation: PurgeInstances, done: Answer) -> None:
        wanted = set(operation.filter.statuses)
        if not operation.include_running:
            finished = {int(status) for status in TERMINAL}
            wanted = wanted & finished if wanted else finished
            if not wanted:
                done(Purged(0))
                return
        kinds = operation.filter.kinds or (() if operation.include_running else (int(InstanceKind.ORCHESTRATION),))
        chosen = msgspec.structs.replace(operation.filter, statuses=tuple(sorted(wanted)), kinds=kinds)
        if operation.dry_run:
            self._tally(chosen, False, lambda counts: done(Purged(sum(counts.values()))), done)
            return
        self._purge_page(chosen, operation, operation.continuation, 0, 0, done)

    def _purge_page(
        self,
        filter: InstanceFilter,
        operation: PurgeInstances,
        continuation: str | None,
        total: int,
        seen: int,
        done: Answer,
    ) -> None:
        clock = self._hub.clock
        begun = clock.monotonic()

        def listed(page: Page | StoreError) -> None:
            if isinstance(page, StoreError):
                first = operation.continuation is not None and continuation == operation.continuation
                refused = first and not page.lost
                done(Refused(RefusalCode.BAD_REQUEST, str(page)) if refused else _unavailable(page))
                return

            def after(count: int) -> None:
                if page.continuation is None:
                    done(Purged(total + count))
                else:
                    clock.later(clock.monotonic() - begun, lambda: go_on(count))

            def go_on(count: int) -> None:
                looked_at = seen + len(page.items)
                if 0 < operation.limit <= looked_at:
                    done(Purged(total + count, page.continuation))
                else:
                    self._purge_page(filter, operation, page.continuation, total + count, looked_at, done)

            self._purge(page.items, after, done)

        self._hub.store.query(filter, _PURGE_PAGE, continuation, listed, payloads=False)

    def _clean(self, operation: CleanEntities, done: Answer) -> None:
        EntityCleaning(self._hub, operation, done).begin()


def _new_id(hub: Hub) -> str:
    """A generated instance id: 32 lower-case hex digits (sdk-api.md 5.3)."""
    high, low = (int(hub.clock.random() * 2**52) << 12 | int(hub.clock.random() * 2**12) for _ in range(2))
    return f"{high:016x}{low:016x}"


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


def _orphaned(record: InstanceRecord) -> Message | None:
    """What the parent of an unfinished child is told when the child is purged."""
    if not record.parent_n or record.status in TERMINAL:
        return None
    text = f"The sub-orchestration '{record.instance_id}' was purged before it finished."
    failed = SubOrchestrationInstanceFailed(record.parent_task, text, None, FailureDetails("InstancePurged", text))
    return Message(record.parent_n, failed, record.parent_generation, record.parent_task)


def _inspected(
    record: InstanceRecord, history: list[HistoryEvent], inbox: list[InboxRow], hosts: list[HostRow], time: int
) -> Inspected:
    waiting = [WaitingMessage(row.event, row.due) for row in inbox]
    return Inspected(record, history, waiting, [LiveHost(host.token, host.address, host.names) for host in hosts], time)


def _not_found(instance_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"No instance with ID '{instance_id}' found.")


def _gone(instance_id: str, status: RuntimeStatus | None = None) -> Refused:
    text = f"Instance with ID '{instance_id}' is gone: it has finished."
    return Refused(RefusalCode.GONE, text, status.label if status is not None else "")


def _unavailable(error: StoreError) -> Refused:
    return Refused(RefusalCode.UNAVAILABLE, f"The store could not answer: {error}")


_OPERATIONS: dict[type, Callable[[HubClient, Any, Answer], None]] = {
    StartInstance: HubClient._start,
    GetInstance: HubClient._get,
    ListInstances: HubClient._list,
    RaiseEvent: HubClient._raise,
    TerminateInstance: HubClient._terminate,
    SuspendInstance: HubClient._suspend,
    ResumeInstance: HubClient._resume,
    RewindInstance: HubClient._rewind,
    RestartInstance: HubClient._restart,
    PurgeInstance: HubClient._purge_one,
    PurgeInstances: HubClient._purge_many,
    SignalEntityOperation: HubClient._signal,
    ReadEntity: HubClient._read_entity,
    CleanEntities: HubClient._clean,
    InspectInstance: HubClient._inspect,
    CountInstances: HubClient._count,
    CountWaiting: HubClient._count_waiting,
}
