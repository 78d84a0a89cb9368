"""Entities: which waiting messages form the next batch, and what the batch leaves behind.

An entity is locked by the orchestration whose number is its `lock_holder`. While it is locked only that orchestration
reaches it; all others wait in their order. A lock request travels along its entities in sorted order, so two
orchestrations can never wait for each other; the last entity tells the orchestration. Each entity of a critical
section gets exactly one request and one unlock, in either order: an unlock that comes first waits for its request and
ends it, so a terminated orchestration leaves no lock behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Union

from msgspec import Struct
from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.engine.decide import Decision, entity_message
from perdure.engine.runtime_state import RuntimeState
from perdure.model.commit_plan import Message, NewInstance, TurnPlan
from perdure.model.execution import EntityDecided
from perdure.model.history import (
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityOperationRequested,
    EntityUnlocked,
    HistoryEvent,
)
from perdure.model.instance import InstanceKind, RuntimeStatus


class Waiting(Protocol):
    """A waiting message, as far as the rules look at it."""

    @property
    def event(self) -> HistoryEvent: ...


class Operations(Struct, frozen=True):
    """Positions of the waiting operations to run now."""

    rows: tuple[int, ...]


class Lock(Struct, frozen=True):
    """Position of a lock request to grant, and of the unlock that already waits for it (-1: none)."""

    row: int
    unlock: int = -1


class Unlock(Struct, frozen=True):
    """Position of the unlock to carry out."""

    row: int


Step = Union[Operations, Lock, Unlock, None]


def next_step(state: RuntimeState, waiting: Sequence[Waiting], limit: int) -> Step:
    """What an entity does next; None: nothing, all that waits must go on waiting."""
    operations: list[int] = []
    for position, row in enumerate(waiting):
        event = row.event
        if isinstance(event, EntityOperationRequested):
            if state.lock_holder in (0, event.caller):
                operations.append(position)
                if len(operations) >= limit:
                    break
        elif isinstance(event, EntityUnlocked):
            if event.caller == state.lock_holder:
                return Operations(tuple(operations)) if operations else Unlock(position)
        elif isinstance(event, EntityLockRequested) and not state.lock_holder:
            if operations:
                break
            return Lock(position, _unlock_of(event, waiting))
    return Operations(tuple(operations)) if operations else None


def _unlock_of(request: EntityLockRequested, waiting: Sequence[Waiting]) -> int:
    wanted = (request.caller, request.caller_generation, request.caller_task)
    for position, row in enumerate(waiting):
        event = row.event
        if isinstance(event, EntityUnlocked) and wanted == (event.caller, event.caller_generation, event.caller_task):
            return position
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
    plan = _plan(state, time, consumed, [message], holder)
    return Decision(plan, _after(state, time, value=state.state, holder=holder), numbers=1)


def unlock(state: RuntimeState, time: int, consumed: tuple[int, ...]) -> Decision:
    """Give the lock back."""
    return Decision(_plan(state, time, consumed, [], 0), _after(state, time, value=state.state, holder=0))


def decide_batch(
    state: RuntimeState,
    time: int,
    operations: Sequence[EntityOperationRequested],
    consumed: tuple[int, ...],
    outcome: EntityDecided,
    number: int,
    token: int,
    catalog: Catalog,
) -> Decision:
    """What a batch of operations leaves behind: state, answers to callers, signals, started orchestrations."""
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
        request = EntityOperationRequested(signal.operation, signal.input, caller_id=state.instance_id, timestamp=time)
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
