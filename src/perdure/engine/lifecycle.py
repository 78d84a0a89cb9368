"""What acts on an instance without its code: suspend, resume, terminate, rewind, purge (design 4.3)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.engine.decide import Decision, parent_answer
from perdure.engine.rules import entity_message
from perdure.engine.runtime_state import RuntimeState, moved
from perdure.model.codec import encode_history
from perdure.model.commit_plan import Message, TurnPlan, WorkItem
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ContinueAsNew,
    EntityLocksReleased,
    EntityLocksRequested,
    EntityUnlocked,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from perdure.model.instance import RuntimeStatus


class OpenTasks(Struct, frozen=True):
    """What a generation has begun and not ended, read from its history (only where something ends by force)."""

    activities: tuple[TaskScheduled, ...] = ()
    children: tuple[SubOrchestrationInstanceCreated, ...] = ()
    timers: tuple[TimerCreated, ...] = ()
    locks: tuple[EntityLocksRequested, ...] = ()


def open_tasks(history: Iterable[HistoryEvent]) -> OpenTasks:
    """The open tasks of a generation; a failure that a rewind voided leaves its task open."""
    activities: dict[int, TaskScheduled] = {}
    children: dict[int, SubOrchestrationInstanceCreated] = {}
    timers: dict[int, TimerCreated] = {}
    locks: dict[int, EntityLocksRequested] = {}
    ended: dict[int, TaskScheduled | SubOrchestrationInstanceCreated] = {}
    for event in history:
        if isinstance(event, TaskScheduled):
            activities[event.event_id] = event
        elif isinstance(event, SubOrchestrationInstanceCreated):
            children[event.event_id] = event
        elif isinstance(event, TimerCreated):
            timers[event.event_id] = event
        elif isinstance(event, TimerFired):
            timers.pop(event.timer_id, None)
        elif isinstance(event, (TaskCompleted, TaskFailed)):
            _end(activities, event.task_scheduled_id, ended)
        elif isinstance(event, (SubOrchestrationInstanceCompleted, SubOrchestrationInstanceFailed)):
            _end(children, event.task_scheduled_id, ended)
        elif isinstance(event, EntityLocksRequested):
            locks[event.event_id] = event
        elif isinstance(event, EntityLocksReleased):
            locks.pop(event.lock_id, None)
        elif isinstance(event, ExecutionRewound):
            for task in event.tasks:
                again = ended.pop(task, None)
                if isinstance(again, TaskScheduled):
                    activities[task] = again
                elif again is not None:
                    children[task] = again
    return OpenTasks(
        tuple(activities.values()), tuple(children.values()), tuple(timers.values()), tuple(locks.values())
    )


def _end(
    tasks: dict[int, TaskScheduled] | dict[int, SubOrchestrationInstanceCreated],
    task: int,
    ended: dict[int, TaskScheduled | SubOrchestrationInstanceCreated],
) -> None:
    event = tasks.pop(task, None)
    if event is not None:
        ended[task] = event


def suspend(state: RuntimeState, time: int, event: ExecutionSuspended, consumed: tuple[int, ...]) -> Decision:
    """The instance stands still: its messages wait, its activities and timers go on."""
    return _without_code(state, time, event, RuntimeStatus.SUSPENDED, consumed)


def resume(state: RuntimeState, time: int, event: ExecutionResumed, consumed: tuple[int, ...]) -> Decision:
    """The instance goes on with what waited, in order."""
    begun = state.begun or state.generation > 0
    return _without_code(state, time, event, RuntimeStatus.RUNNING if begun else RuntimeStatus.PENDING, consumed)


def _without_code(
    state: RuntimeState, time: int, event: HistoryEvent, status: RuntimeStatus, consumed: tuple[int, ...]
) -> Decision:
    plan = TurnPlan(
        n=state.n,
        base_turn=state.turn,
        turn=state.turn + 1,
        generation=state.generation,
        status=status,
        updated=time,
        history=encode_history([OrchestratorStarted(time), event]),
        cursor=state.cursor,
        first_turn=state.first_turn,
        consumed=consumed,
    )
    after = moved(state, turn=plan.turn, status=status, time=time, first_turn=state.first_turn, cursor=state.cursor)
    return Decision(plan, after)


def skip(state: RuntimeState, time: int, consumed: tuple[int, ...], done: tuple[int, ...]) -> Decision:
    """A turn that only forgets messages (results for a generation that is over, controls that no longer apply)."""
    plan = TurnPlan(
        n=state.n,
        base_turn=state.turn,
        turn=state.turn + 1,
        generation=state.generation,
        status=state.status,
        updated=time,
        cursor=state.cursor,
        first_turn=state.first_turn,
        suspect=state.suspect,
        consumed=consumed,
        done=done,
    )
    after = moved(
        state, turn=plan.turn, status=state.status, time=time, first_turn=state.first_turn, cursor=state.cursor
    )
    return Decision(plan, after)


def terminate(state: RuntimeState, time: int, event: ExecutionTerminated, number: int, tasks: OpenTasks) -> Decision:
    """The instance ends now; its children too when `event.recurse`. `number` as in `Room.number`."""
    status = RuntimeStatus.TERMINATED
    messages = unlocks(state.n, state.generation, time, number, tasks)
    numbers = len(messages)
    if event.recurse:
        messages += [Message(0, event, instance_id=child.instance_id) for child in tasks.children]
    if state.parent_n:
        failure = FailureDetails("OrchestrationTerminated", event.input or "")
        messages.append(parent_answer(state, status, event.input or "The orchestration was terminated.", failure, time))
    events: list[HistoryEvent] = [OrchestratorStarted(time), event, ExecutionCompleted(int(status), event.input)]
    plan = TurnPlan(
        n=state.n,
        base_turn=state.turn,
        turn=state.turn + 1,
        generation=state.generation,
        status=status,
        updated=time,
        history=encode_history(events),
        completed=time,
        output=event.input,
        sets_output=True,
        first_turn=state.first_turn,
        messages=tuple(messages),
        close_inbox=True,
        close_all_timers=True,
        close_work=True,
    )
    after = moved(state, turn=plan.turn, status=status, time=time, first_turn=state.first_turn, cursor=0)
    return Decision(plan, after, numbers=numbers)


def unlocks(n: int, generation: int, time: int, number: int, tasks: OpenTasks) -> list[Message]:
    """What gives back the locks of an instance that ends by force; uses one number per message."""
    messages: list[Message] = []
    for lock in tasks.locks:
        for entity in lock.entities:
            unlocked = EntityUnlocked(n, generation, lock.event_id, time)
            messages.append(entity_message(number + len(messages), entity, unlocked, time))
    return messages


class Rewinding(Struct, frozen=True):
    """What a rewind does beside running the last turn again: work and timers set up anew, children rewound."""

    event: ExecutionRewound
    work: tuple[WorkItem, ...]
    messages: tuple[Message, ...]


def rewind(
    state: RuntimeState,
    event: ExecutionRewound,
    history: list[list[HistoryEvent]],
    catalog: Catalog,
    under_way: Collection[int] = (),
) -> Rewinding:
    """How a failed instance goes on. `history` are the turns of its generation, `under_way` tasks that still run or
    whose results wait already.

    Voided are the failures since the last turn that decided anything: those that the code answered are part of its
    course. Voided activities run again, voided children are rewound; what else was open is set up again, because a
    failed instance drops it. Activities that no host knows fail at once, as when they were scheduled.
    """
    voided: set[int] = set()
    for turn in reversed(history):
        failures = [e.task_scheduled_id for e in turn if isinstance(e, (TaskFailed, SubOrchestrationInstanceFailed))]
        if turn is not history[-1] and any(isinstance(e, _DECISIONS) for e in turn):
            break
        voided.update(failures)
    rewound = ExecutionRewound(event.reason, tuple(sorted(voided)), event.timestamp)
    tasks = open_tasks([e for turn in history for e in turn] + [rewound])
    messages = [
        Message(state.n, TimerFired(t.event_id, t.fire_at), state.generation, t.event_id, max(t.fire_at, 1))
        for t in tasks.timers
    ]
    messages += [
        Message(0, ExecutionRewound(event.reason), instance_id=child.instance_id)
        for child in tasks.children
        if child.event_id in voided
    ]
    work = []
    for item in work_from(state, tasks, 0):
        if item.task in under_way:
            continue
        unknown = catalog.unknown("activity", item.name)
        if unknown is None:
            work.append(item)
        else:
            failed = TaskFailed(item.task, unknown, None, FailureDetails("ValueError", unknown))
            messages.append(Message(state.n, failed, state.generation, item.task))
    return Rewinding(rewound, tuple(work), tuple(messages))


def with_rewinding(decision: Decision, rewinding: Rewinding) -> Decision:
    """The decision of the rewound turn, together with what the rewind sets up anew."""
    plan = decision.plan
    if plan.status.is_terminal:
        return decision
    completed = 0 if plan.completed else -1
    plan = replace(
        plan,
        completed=completed,
        sets_output=True,
        work=rewinding.work + plan.work,
        messages=rewinding.messages + plan.messages,
    )
    return replace(decision, plan=plan)


def work_from(state: RuntimeState, tasks: OpenTasks, first: int) -> list[WorkItem]:
    """The work rows of open activities from task id `first` on (design 4.4)."""
    return [
        WorkItem(
            state.n, state.generation, t.event_id, t.name, t.input, 0, t.attempt, state.instance_id, trace=state.trace
        )
        for t in tasks.activities
        if t.event_id >= first
    ]


_DECISIONS = (TaskScheduled, SubOrchestrationInstanceCreated, TimerCreated, EntityLocksRequested, ContinueAsNew)
