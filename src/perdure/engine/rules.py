"""What each action of a turn means: one rule per action adds events, messages, timers and work to the turn's draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from perdure.engine.catalog import Catalog
from perdure.engine.runtime_state import RuntimeState
from perdure.engine.spans import raised_span
from perdure.model.actions import (
    CallEntity,
    CancelTimer,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    LockEntities,
    ScheduleTask,
    SendEvent,
    SignalEntity,
    UnlockEntities,
)
from perdure.model.commit_plan import Message, NewInstance, WorkItem
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityLockRequested,
    EntityLocksReleased,
    EntityLocksRequested,
    EntityOperationCalled,
    EntityOperationFailed,
    EntityOperationRequested,
    EntityOperationSignaled,
    EntityUnlocked,
    EventRaised,
    EventSent,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from perdure.model.instance import InstanceKind, RuntimeStatus, execution_id, is_entity_id, too_long_id

#: work rows that one turn writes itself; the rest follows in chunks (design 4.4)
WORK_PER_TURN = 500


class Room(Struct, frozen=True):
    """What the deciding host brings: its token, how many of the new activities it can start at once and how many of
    them on a thread, the first of the instance numbers that it may give away, and whether it takes the children itself;
    how many finished generations keep their history, and how many actions a turn may decide."""

    token: int
    slots: int
    threads: int
    number: int = 0
    owns_more: bool = True
    keep_generations: int = 0
    max_actions: int = 100_000


class Draft:
    """A turn in the making."""

    __slots__ = (
        "backlog",
        "catalog",
        "closed_timers",
        "creations",
        "events",
        "finish",
        "messages",
        "numbers",
        "room",
        "slots",
        "span",
        "state",
        "threads",
        "time",
        "timers",
        "work",
    )

    def __init__(
        self,
        state: RuntimeState,
        time: int,
        events: list[HistoryEvent],
        timers: dict[int, int],
        room: Room,
        catalog: Catalog,
    ) -> None:
        self.state, self.time, self.events, self.timers = state, time, events, timers
        self.room, self.slots, self.threads, self.catalog = room, room.slots, room.threads, catalog
        self.messages: list[Message] = []
        self.work: list[WorkItem] = []
        self.backlog: list[WorkItem] = []
        self.creations: list[NewInstance] = []
        self.closed_timers: list[int] = []
        self.finish: CompleteOrchestration | ContinueAsNewWith | None = None
        self.numbers = 0
        self.span = state.span

    def number(self) -> int:
        """A number for a new instance."""
        self.numbers += 1
        return self.room.number + self.numbers - 1

    def takes(self, activity: str) -> bool:
        """Whether this host runs one more activity at once; then it has a slot less."""
        threads = int(self.catalog.needs_thread(activity))
        if self.slots <= 0 or self.threads < threads or not self.catalog.runs_here("activity", activity):
            return False
        self.slots -= 1
        self.threads -= threads
        return True

    def to_entity(self, entity: str, event: HistoryEvent, due: int = 0) -> None:
        """Send a message to an entity."""
        self.messages.append(entity_message(self.number(), entity, event, self.time, due))

    def answer(self, task: int, event: HistoryEvent) -> None:
        """Answer one of the turn's own tasks at once, by a message."""
        self.messages.append(Message(self.state.n, event, self.state.generation, task))


def _schedule_task(draft: Draft, action: ScheduleTask) -> None:
    state = draft.state
    draft.events.append(TaskScheduled(action.id, action.name, action.input, action.attempt))
    unknown = draft.catalog.unknown("activity", action.name)
    if unknown is not None:
        draft.answer(action.id, TaskFailed(action.id, unknown, None, FailureDetails("ValueError", unknown)))
        return
    late = state.cursor > 0 or len(draft.work) >= WORK_PER_TURN
    owner = draft.room.token if not late and draft.takes(action.name) else 0
    item = WorkItem(
        state.n,
        state.generation,
        action.id,
        action.name,
        action.input,
        owner,
        action.attempt,
        state.instance_id,
        scheduled=draft.time,
        trace=state.trace,
    )
    (draft.backlog if late else draft.work).append(item)


def _create_timer(draft: Draft, action: CreateTimer) -> None:
    draft.events.append(TimerCreated(action.id, action.fire_at))
    fired = TimerFired(action.id, action.fire_at, created=0 if draft.span is None else draft.time)
    due = max(action.fire_at, 1)
    draft.messages.append(Message(draft.state.n, fired, draft.state.generation, action.id, due))


def _cancel_timer(draft: Draft, action: CancelTimer) -> None:
    seq = draft.timers.get(action.id)
    if seq is not None:
        draft.closed_timers.append(seq)
    draft.messages = [m for m in draft.messages if not (m.task == action.id and isinstance(m.event, TimerFired))]


def _create_child(draft: Draft, action: CreateSubOrchestration) -> None:
    state, task = draft.state, action.id
    instance_id = action.instance_id or f"{execution_id(state.n, state.generation)}:{task:x}"
    version = draft.catalog.default_version if action.version is None else action.version
    draft.events.append(
        SubOrchestrationInstanceCreated(task, action.name, instance_id, action.input, version, action.attempt)
    )
    refusal = draft.catalog.unknown("orchestration", action.name) or _bad_child_id(state, instance_id)
    if refusal is not None:
        draft.answer(task, SubOrchestrationInstanceFailed(task, refusal, None, FailureDetails("ValueError", refusal)))
        return
    taken = f"An Orchestration instance with the id '{instance_id}' already exists and has not finished."
    in_use = SubOrchestrationInstanceFailed(task, taken, None, FailureDetails("InstanceExists", taken))
    draft.creations.append(
        NewInstance(
            n=draft.number(),
            instance_id=instance_id,
            kind=InstanceKind.ORCHESTRATION,
            name=action.name,
            created=draft.time,
            version=version,
            input=action.input,
            owner=draft.room.token if _takes_child(draft, action.name) else 0,
            parent_n=state.n,
            parent_generation=state.generation,
            parent_task=task,
            parent_id=state.instance_id,
            refusal=Message(state.n, in_use, state.generation, task),
            trace=draft.span,
        )
    )


def _takes_child(draft: Draft, name: str) -> bool:
    return draft.room.owns_more and draft.catalog.runs_here("orchestration", name)


def _bad_child_id(state: RuntimeState, instance_id: str) -> str | None:
    """Why a child may not have this id (sdk-api.md 4.9)."""
    if is_entity_id(instance_id):
        return f"The instance ID '{instance_id}' of a sub-orchestration must not start with '@'."
    if instance_id.lower() in (state.instance_id.lower(), (state.parent_id or "").lower()):
        return (
            "The instance ID of a sub-orchestration must be different than the instance ID of a parent orchestration."
        )
    return too_long_id(instance_id)


def _send_event(draft: Draft, action: SendEvent) -> None:
    draft.events.append(EventSent(action.id, action.instance_id, action.name, action.input))
    if is_entity_id(action.instance_id):
        return  # as when nobody has the id: entities take operations only
    trace = None if draft.span is None else raised_span(draft.span, action.id)
    raised = EventRaised(action.name, action.input, timestamp=draft.time, trace=trace)
    draft.messages.append(Message(0, raised, instance_id=action.instance_id))


def entity_message(n: int, entity: str, event: HistoryEvent, time: int, due: int = 0) -> Message:
    """A message to an entity, which is created under number `n` when it does not exist. `entity`: its scheduler id."""
    new = NewInstance(
        n=n,
        instance_id=entity,
        kind=InstanceKind.ENTITY,
        name=entity_name(entity),
        created=time,
        status=RuntimeStatus.RUNNING,
    )
    return Message(0, event, instance_id=entity, create=new, due=due)


def entity_name(scheduler_id: str) -> str:
    """The name part of `@name@key`."""
    return scheduler_id[1:].partition("@")[0]


def _call_entity(draft: Draft, action: CallEntity) -> None:
    state = draft.state
    draft.events.append(EntityOperationCalled(action.id, action.entity, action.operation, action.input))
    refusal = draft.catalog.unknown("entity", entity_name(action.entity)) or too_long_id(action.entity)
    if refusal is not None:
        draft.answer(action.id, EntityOperationFailed(action.id, refusal, FailureDetails("ValueError", refusal)))
        return
    request = EntityOperationRequested(
        action.operation,
        action.input,
        state.n,
        state.instance_id,
        state.generation,
        action.id,
        timestamp=draft.time,
        trace=draft.span,
    )
    draft.to_entity(action.entity, request)


def _signal_entity(draft: Draft, action: SignalEntity) -> None:
    draft.events.append(EntityOperationSignaled(action.id, action.entity, action.operation, action.input, action.due))
    if draft.catalog.unknown("entity", entity_name(action.entity)) is not None or _ends_by_id(draft, action.entity):
        return
    request = EntityOperationRequested(
        action.operation,
        action.input,
        caller_id=draft.state.instance_id,
        timestamp=draft.time,
        trace=draft.span,
    )
    draft.to_entity(action.entity, request, action.due)


def _lock_entities(draft: Draft, action: LockEntities) -> None:
    state = draft.state
    draft.events.append(EntityLocksRequested(action.id, action.entities))
    if any(_ends_by_id(draft, entity) for entity in action.entities):
        return
    request = EntityLockRequested(
        state.n, state.instance_id, state.generation, action.id, action.entities, timestamp=draft.time
    )
    draft.to_entity(action.entities[0], request)


def _ends_by_id(draft: Draft, entity: str) -> bool:
    """Nothing that waits could be told that an id is too long: the orchestration fails."""
    problem = too_long_id(entity)
    if problem is None:
        return False
    reason = f"Orchestrator function '{draft.state.name}' failed: {problem}"
    _finish(draft, CompleteOrchestration(reason, FailureDetails("ValueError", problem)))
    return True


def _unlock_entities(draft: Draft, action: UnlockEntities) -> None:
    state = draft.state
    draft.events.append(EntityLocksReleased(action.id, action.lock_id, action.entities))
    unlocked = EntityUnlocked(state.n, state.generation, action.lock_id, draft.time)
    for entity in action.entities:
        draft.to_entity(entity, unlocked)


def _finish(draft: Draft, action: CompleteOrchestration | ContinueAsNewWith) -> None:
    if draft.finish is None:
        draft.finish = action


#: what each action of a turn adds to its draft
RULES: dict[type, Callable[[Draft, Any], None]] = {
    ScheduleTask: _schedule_task,
    CreateTimer: _create_timer,
    CancelTimer: _cancel_timer,
    CreateSubOrchestration: _create_child,
    SendEvent: _send_event,
    CallEntity: _call_entity,
    SignalEntity: _signal_entity,
    LockEntities: _lock_entities,
    UnlockEntities: _unlock_entities,
    CompleteOrchestration: _finish,
    ContinueAsNewWith: _finish,
}
