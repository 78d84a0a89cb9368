"""An instance's state between turns, and what the messages that wait for it ask for.

The state comes from the instance's row and its open rows, never from history (design 9), so a warm instance stays
small whatever it has done.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from perdure.model import trace_context
from perdure.model.commit_plan import NewInstance
from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import EntityLock, InstanceKind, InstanceRecord, RuntimeStatus, decode_lock

#: messages that act on the instance itself and never wait for user code
CONTROL = (ExecutionTerminated, ExecutionSuspended, ExecutionResumed, ExecutionRewound)


class RuntimeState(Struct, frozen=True):
    """What a turn needs to know of its instance. `time` is that of the last turn, in microseconds; `began` that of the
    first one of this generation (0: not yet, or not known)."""

    n: int
    instance_id: str
    kind: InstanceKind
    name: str
    version: str
    generation: int
    turn: int
    status: RuntimeStatus
    first_turn: int = 0
    time: int = 0
    parent_n: int = 0
    parent_generation: int = 0
    parent_task: int = -1
    parent_id: str | None = None
    input: str | None = None
    tags: dict[str, str] | None = None
    state: str | None = None
    lock_holder: int = 0
    cursor: int = 0
    suspect: int = 0
    parked: str | None = None
    trace: str | None = None
    began: int = 0
    lock: EntityLock | None = None
    #: code that has not begun waits until then
    not_before: int = 0

    @property
    def begun(self) -> bool:
        """Whether the code of this generation has run."""
        return self.first_turn > 0

    @property
    def span(self) -> str | None:
        """The trace context of this generation's span; None where nobody traces."""
        if self.trace is None:
            return None
        return trace_context.span(self.trace, trace_context.ORCHESTRATION, self.instance_id, self.n, self.generation)


def from_record(record: InstanceRecord) -> RuntimeState:
    """The state that a row stands for."""
    return RuntimeState(
        n=record.n,
        instance_id=record.instance_id,
        kind=record.kind,
        name=record.name,
        version=record.version,
        generation=record.generation,
        turn=record.turn,
        status=record.status,
        first_turn=record.first_turn,
        time=record.updated,
        parent_n=record.parent_n,
        parent_generation=record.parent_generation,
        parent_task=record.parent_task,
        parent_id=record.parent_id,
        input=None if record.first_turn else record.input,
        tags=record.tags,
        state=record.state,
        lock_holder=record.lock_holder,
        cursor=record.cursor,
        suspect=record.suspect,
        parked=record.parked,
        trace=record.trace,
        began=record.started if record.generation == 0 else 0,
        lock=decode_lock(record.custom_status) if record.lock_holder else None,
        not_before=record.not_before,
    )


def is_stale(event_generation: int, generation: int) -> bool:
    """Whether a result answers another generation than the current one (-1: it answers none)."""
    return event_generation >= 0 and event_generation != generation


def runs_code(state: RuntimeState) -> bool:
    """Whether user code may run for this instance now."""
    status = state.status
    return state.parked is None and (status is RuntimeStatus.RUNNING or status is RuntimeStatus.PENDING)


def wants_turn(state: RuntimeState, waiting: Iterable[HistoryEvent]) -> bool:
    """Whether there is something to do: a control message, a start, or events for code that may run."""
    if state.status.is_terminal:
        return any(isinstance(event, ExecutionRewound) for event in waiting)
    if runs_code(state):
        something = next(iter(waiting), None) is not None
        return something or (not state.begun and state.kind is InstanceKind.ORCHESTRATION)
    return any(isinstance(event, CONTROL) for event in waiting)


def moved(
    state: RuntimeState, *, turn: int, status: RuntimeStatus, time: int, first_turn: int, cursor: int
) -> RuntimeState:
    """The state one turn later. The input is kept only until the code has begun; suspicion ends with the turn. What is
    parked stays so: such a turn is a control message's, which runs no code."""
    return RuntimeState(
        state.n,
        state.instance_id,
        state.kind,
        state.name,
        state.version,
        state.generation,
        turn,
        status,
        first_turn,
        time,
        state.parent_n,
        state.parent_generation,
        state.parent_task,
        state.parent_id,
        None if first_turn else state.input,
        state.tags,
        state.state,
        state.lock_holder,
        cursor,
        0,
        state.parked,
        state.trace,
        (state.began if state.first_turn else time) if first_turn else 0,
        not_before=state.not_before,
    )


def marked(state: RuntimeState, parked: str | None, suspect: int) -> RuntimeState:
    """The state with another mark: parked with a report, or under suspicion."""
    return replace(state, parked=parked, suspect=suspect)


def at_cursor(state: RuntimeState, cursor: int) -> RuntimeState:
    """The state with the work rows below `cursor` written."""
    return replace(state, cursor=cursor)


def revived(state: RuntimeState) -> RuntimeState:
    """A failed instance that runs again."""
    return replace(state, status=RuntimeStatus.RUNNING)


def new_state(new: NewInstance) -> RuntimeState:
    """The state of an instance that was just created."""
    return RuntimeState(
        new.n,
        new.instance_id,
        new.kind,
        new.name,
        new.version,
        0,
        0,
        new.status,
        0,
        new.created,
        new.parent_n,
        new.parent_generation,
        new.parent_task,
        new.parent_id,
        new.input,
        new.tags,
        trace=new.trace,
    )
