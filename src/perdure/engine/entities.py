"""Entities: which waiting messages form the next batch, and what the batch leaves behind.

An entity is locked by the orchestration whose number is its `lock_holder`. While it is locked only that orchestration
reaches it; all others wait in their order. A lock request travels along its entities in sorted order, so two
orchestrations can never wait for each other; the last entity tells the orchestration. Each entity of a critical
section gets exactly one request and one unlock, in either order: an unlock that comes first waits for its request and
ends it, so a terminated orchestration leaves no lock behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

from msgspec import Struct
from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.engine.decide import Decision
from perdure.engine.entity_queue import EntityQueue
from perdure.engine.rules import entity_message, entity_name
from perdure.engine.runtime_state import RuntimeState
from perdure.model.commit_plan import Message, NewInstance, TurnPlan
from perdure.model.execution import EntityDecided
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityOperationRequested,
    EntityUnlocked,
    HistoryEvent,
)
from perdure.model.instance import EntityLock, InstanceKind, RuntimeStatus, encode_lock


class Operations(Struct, frozen=True):
    """The waiting operations to run now (their numbers in the inbox)."""

    rows: tuple[int, ...]


class Lock(Struct, frozen=True):
    """A lock request to grant, and the unlock that already waits for it (-1: none)."""

    row: int
    unlock: int = -1


class Unlock(Struct, frozen=True):
    """The unlock to carry out."""

    row: int


Step = Union[Operations, Lock, Unlock, None]


def next_step(state: RuntimeState, waiting: EntityQueue[Any], limit: int) -> Step:
    """What an entity does next; None: nothing, all that waits must go on waiting."""
    if state.lock_holder:
        return _next_of_holder(state, waiting, limit)
    operations: list[int] = []
    for row in waiting:
        event = row.event
        if isinstance(event, EntityOperationRequested):
            operations.append(row.seq)
            if len(operations) >= limit:
                break
        elif isinstance(event, EntityLockRequested):
            if operations:
                break
            return Lock(row.seq, _unlock_of(event, waiting))
    return Operations(tuple(operations)) if operations else None


def _next_of_holder(state: RuntimeState, waiting: EntityQueue[Any], limit: int) -> Step:
    operations: list[int] = []
    for row in waiting.of(state.lock_holder):
        event = row.event
        if isinstance(event, EntityOperationRequested):
            operations.append(row.seq)
            if len(operations) >= limit:
                break
        elif isinstance(event, EntityUnlocked) and _ends(event, state):
            return Operations(tuple(operations)) if operations else Unlock(row.seq)
    return Operations(tuple(operations)) if operations else None


def _ends(unlock: EntityUnlocked, state: RuntimeState) -> bool:
    """Whether an unlock of the holder means the lock that is held, and not one that is still on its way here."""
    lock = state.lock
    return lock is None or (lock.generation, lock.task) == (unlock.caller_generation, unlock.caller_task)


def _unlock_of(request: EntityLockRequested, waiting: EntityQueue[Any]) -> int:
    wanted = (request.caller_generation, request.caller_task)
    for row in waiting.of(request.caller):
        event = row.event
        if isinstance(event, EntityUnlocked) and wanted == (event.caller_generation, event.caller_task):
            found: int = row.seq
            return found
    return -1


def _plan(
    state: RuntimeState, time: int, consumed: tuple[int, ...], messages: Sequence[Message], holder: int
) -> TurnPlan:
    return TurnPlan(
        n=state.n,
        base_turn=state.turn,
        turn=state.turn + 1,
        generation=state.generation,
        status=RuntimeStatus.RUNNING,
        updated=time,
        first_turn=state.first_turn or 1,
        lock_holder=holder,
        consumed=consumed,
        messages=tuple(messages),
    )


def _after(state: RuntimeState, time: int, *, value: str | None, holder: int) -> RuntimeState:
    return RuntimeState(
        state.n,
        state.instance_id,
        state.kind,
        state.name,
        state.version,
        state.generation,
        state.turn + 1,
        RuntimeStatus.RUNNING,
        state.first_turn or 1,
        time,
        state=value,
        lock_holder=holder,
        lock=state.lock,
    )


def lock(
    state: RuntimeState,
    time: int,
    request: EntityLockRequested,
    number: int,
    consumed: tuple[int, ...],
    cancelled: bool,
) -> Decision:
    """Grant a lock and pass the request on, or tell the orchestration when it was the last. `cancelled`: its unlock
    came first, so it is only passed on."""
    nxt = request.position + 1
    if nxt < len(request.entities):
        onward = EntityLockRequested(
            request.caller,
            request.caller_id,
            request.caller_generation,
            request.caller_task,
            request.entities,
            nxt,
            time,
        )
        message = entity_message(number, request.entities[nxt], onward, time)
    else:
        granted = EntityLockGranted(request.caller_task, time)
        message = Message(request.caller, granted, request.caller_generation, request.caller_task)
    holder = 0 if cancelled else request.caller
    taken = None if cancelled else EntityLock(request.caller_id, request.caller_generation, request.caller_task)
    return _locked_by(_plan(state, time, consumed, [message], holder), state, time, taken, numbers=1)


def unlock(state: RuntimeState, time: int, consumed: tuple[int, ...]) -> Decision:
    """Give the lock back."""
    return _locked_by(_plan(state, time, consumed, [], 0), state, time, None)


def _locked_by(plan: TurnPlan, state: RuntimeState, time: int, lock: EntityLock | None, numbers: int = 0) -> Decision:
    """The decision that changes who holds the lock. Who it is can be read in the custom status."""
    plan = replace(plan, custom_status=None if lock is None else encode_lock(lock), sets_custom_status=True)
    after = replace(_after(state, time, value=state.state, holder=plan.lock_holder), lock=lock)
    return Decision(plan, after, numbers=numbers)


def clear(
    state: RuntimeState,
    time: int,
    operations: Sequence[EntityOperationRequested],
    consumed: tuple[int, ...],
    ends: bool,
) -> Decision:
    """A purge of an entity that is in use: operations that wait are dropped, and who called is told. With the last of
    them (`ends`) the state goes, and with it what was to come later. The lock stays with its holder, so that no other
    gets between its operations; requests for it go on waiting."""
    text = f"The entity '{state.instance_id}' was purged before the operation ran."
    failure = FailureDetails("InstancePurged", text)
    messages = [
        Message(o.caller, EntityOperationFailed(o.caller_task, text, failure, time), o.caller_generation, o.caller_task)
        for o in operations
        if o.caller
    ]
    plan = _plan(state, time, consumed, messages, -1)
    if ends:
        plan = replace(plan, state=None, sets_state=True, close_all_timers=True)
    after = _after(state, time, value=None if ends else state.state, holder=state.lock_holder)
    return Decision(plan, replace(after, parked=state.parked))


def decide_batch(
    state: RuntimeState,
    time: int,
    operations: Sequence[EntityOperationRequested],
    consumed: tuple[int, ...],
    outcome: EntityDecided,
    number: int,
    token: int,
    catalog: Catalog,
    spans: Sequence[str | None] = (),
) -> Decision:
    """What a batch of operations leaves behind: state, answers to callers, signals, started orchestrations. `spans` are
    the trace contexts of the operations, empty where nobody traces."""
    messages: list[Message] = []
    for operation, result in zip(operations, outcome.results, strict=True):
        if not operation.caller:
            continue
        answer: HistoryEvent
        if result.failure is None:
            answer = EntityOperationCompleted(operation.caller_task, result.result, time)
        else:
            answer = EntityOperationFailed(operation.caller_task, result.reason, result.failure, time)
        messages.append(Message(operation.caller, answer, operation.caller_generation, operation.caller_task))
    numbers = number
    for signal in outcome.signals:
        if catalog.unknown("entity", entity_name(signal.entity)) is not None:
            continue  # as when an orchestration signals what is not there
        request = EntityOperationRequested(
            signal.operation,
            signal.input,
            caller_id=state.instance_id,
            timestamp=time,
            trace=spans[signal.by] if spans else None,
        )
        messages.append(entity_message(numbers, signal.entity, request, time, signal.due))
        numbers += 1
    creations = []
    for start in outcome.starts:
        version = catalog.default_version if start.version is None else start.version
        creations.append(
            NewInstance(
                n=numbers,
                instance_id=start.instance_id,
                kind=InstanceKind.ORCHESTRATION,
                name=start.name,
                created=time,
                version=version,
                input=start.input,
                owner=token if catalog.runs_here("orchestration", start.name) else 0,
                trace=spans[start.by] if spans else None,
            )
        )
        numbers += 1
    plan = replace(
        _plan(state, time, consumed, messages, -1),
        state=outcome.state,
        sets_state=outcome.state != state.state,
        creations=tuple(creations),
    )
    after = _after(state, time, value=outcome.state, holder=state.lock_holder)
    return Decision(plan, after, numbers=numbers - number)
