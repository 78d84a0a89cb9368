"""The tasks that an orchestration waits for, read from its history and inbox."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perdure.engine.words import distance, names
from perdure.model import history as h
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import WaitingMessage

RESULTS = (
    h.TaskCompleted,
    h.TaskFailed,
    h.SubOrchestrationInstanceCompleted,
    h.SubOrchestrationInstanceFailed,
    h.EntityOperationCompleted,
    h.EntityOperationFailed,
    h.EntityLockGranted,
)
_FAILURES = (h.TaskFailed, h.SubOrchestrationInstanceFailed)
_SCHEDULED = (h.TaskScheduled, h.SubOrchestrationInstanceCreated, h.EntityOperationCalled, h.EntityLocksRequested)


class OpenTask(Struct):
    """A task without a result."""

    event: h.HistoryEvent
    since: int
    #: for a timer: the attempt that failed in the same turn, which it holds back
    retries: h.TaskScheduled | h.SubOrchestrationInstanceCreated | None = None


def open_tasks(history: Sequence[h.HistoryEvent], inbox: Sequence[WaitingMessage], now: int) -> list[OpenTask]:
    """The tasks without a result, oldest first; of timers those that the code has not cancelled."""
    timers = {
        message.event.timer_id for message in inbox if isinstance(message.event, h.TimerFired) and message.due > now
    }
    return [
        task for task in _open(history) if not isinstance(task.event, h.TimerCreated) or task.event.event_id in timers
    ]


def _open(history: Sequence[h.HistoryEvent]) -> list[OpenTask]:
    tasks: dict[int, OpenTask] = {}
    ended: dict[int, h.HistoryEvent] = {}
    failed: list[h.TaskScheduled | h.SubOrchestrationInstanceCreated] = []
    time = 0
    for event in history:
        if isinstance(event, h.OrchestratorStarted):
            time, failed = event.timestamp, []
        elif isinstance(event, _SCHEDULED):
            tasks[event.event_id] = OpenTask(event, event.timestamp or time)
        elif isinstance(event, h.TimerCreated):
            tasks[event.event_id] = OpenTask(event, event.timestamp or time, failed.pop(0) if failed else None)
        elif isinstance(event, h.TimerFired):
            tasks.pop(event.timer_id, None)
        elif isinstance(event, RESULTS):
            task = tasks.pop(event.task_scheduled_id, None)
            if task is not None:
                ended[event.task_scheduled_id] = task.event
                if isinstance(event, _FAILURES) and isinstance(
                    task.event, (h.TaskScheduled, h.SubOrchestrationInstanceCreated)
                ):
                    failed.append(task.event)
        elif isinstance(event, h.ExecutionRewound):
            tasks.update((task, OpenTask(ended[task], time)) for task in event.tasks if task in ended)
    return sorted(tasks.values(), key=lambda task: task.since)


def phrase(record: InstanceRecord, history: Sequence[h.HistoryEvent], inbox: Sequence[WaitingMessage], now: int) -> str:
    """How an instance is, for the instances that wait for it: `it waits for activity 'Pay'`."""
    if record.status.is_terminal:
        return f"it ended {distance(record.completed or record.updated, now)} ({record.status.label})"
    if record.parked is not None:
        return "it is parked: its code no longer fits its history"
    if record.kind is InstanceKind.ENTITY:
        return ""
    if record.status is RuntimeStatus.SUSPENDED:
        return "it is suspended"
    if record.status is RuntimeStatus.PENDING:
        starts = f" (it is to start {distance(record.not_before, now)})" if record.not_before > now else ""
        return f"it has not started{starts}"
    tasks = open_tasks(history, inbox, now)
    if not tasks:
        taken = any(message.due <= now for message in inbox)
        return "a turn takes what came for it" if taken else "it waits for an external event"
    more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
    return f"it waits for {_object(tasks[0], now)}{more}"


def _object(task: OpenTask, now: int) -> str:
    event = task.event
    match event:
        case h.TaskScheduled():
            return f"activity '{event.name}'"
        case h.SubOrchestrationInstanceCreated():
            return f"its child '{event.instance_id}'"
        case h.EntityOperationCalled():
            return f"the answer of entity '{event.entity}'"
        case h.EntityLocksRequested():
            return f"the locks of {names(event.entities, ' and ')}"
        case h.TimerCreated() if task.retries is not None:
            return f"attempt {task.retries.attempt + 1} of '{task.retries.name}' {distance(event.fire_at, now)}"
        case h.TimerCreated():
            return f"a timer that fires {distance(event.fire_at, now)}"
        case _:
            return "a task"
