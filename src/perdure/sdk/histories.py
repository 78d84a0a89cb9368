"""`context.histories`: the events of an execution in the published form, made when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from perdure.model.actions import (
    Action,
    CallEntity,
    CreateSubOrchestration,
    CreateTimer,
    LockEntities,
    ScheduleTask,
    SendEvent,
    SignalEntity,
    UnlockEntities,
)
from perdure.model.history import (
    EntityLocksReleased,
    EntityLocksRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EventSent,
    ExecutionStarted,
    OrchestratorStarted,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from perdure.model.history import HistoryEvent as ModelEvent
from perdure.sdk import determinism
from perdure.sdk.execution import Execution, HistoriesWanted, Phase
from perdure.sdk.types import HistoryEventType

_TYPES = {
    "ExecutionStarted": HistoryEventType.EXECUTION_STARTED,
    "ExecutionCompleted": HistoryEventType.EXECUTION_COMPLETED,
    "ExecutionTerminated": HistoryEventType.EXECUTION_TERMINATED,
    "TaskScheduled": HistoryEventType.TASK_SCHEDULED,
    "TaskCompleted": HistoryEventType.TASK_COMPLETED,
    "TaskFailed": HistoryEventType.TASK_FAILED,
    "SubOrchestrationInstanceCreated": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_CREATED,
    "SubOrchestrationInstanceCompleted": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED,
    "SubOrchestrationInstanceFailed": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_FAILED,
    "TimerCreated": HistoryEventType.TIMER_CREATED,
    "TimerFired": HistoryEventType.TIMER_FIRED,
    "OrchestratorStarted": HistoryEventType.ORCHESTRATOR_STARTED,
    "OrchestratorCompleted": HistoryEventType.ORCHESTRATOR_COMPLETED,
    "EventSent": HistoryEventType.EVENT_SENT,
    "EventRaised": HistoryEventType.EVENT_RAISED,
    "ContinueAsNew": HistoryEventType.CONTINUE_AS_NEW,
    "ExecutionSuspended": HistoryEventType.EXECUTION_SUSPENDED,
    "ExecutionResumed": HistoryEventType.EXECUTION_RESUMED,
}


class HistoryEvent:
    """One history event; fields beside the first four are attributes under their PascalCase names."""

    def __init__(self, EventType: HistoryEventType, EventId: int, IsPlayed: bool, Timestamp: Any, **kwargs: Any):
        self._event_type = EventType
        self._event_id = EventId
        self._is_played = IsPlayed
        self._timestamp: datetime = Timestamp if isinstance(Timestamp, datetime) else parse_timestamp(Timestamp)
        self._is_processed = False
        self.Name: str | None = None
        self.InstanceId: str | None = None
        self.TaskScheduledId: int | None = None
        self.Reason: str | None = None
        self.Details: str | None = None
        self.Input: str | None = None
        for key, value in kwargs.items():
            setattr(self, key, value)

    @property
    def event_type(self) -> HistoryEventType:
        return self._event_type

    @property
    def event_id(self) -> int:
        return self._event_id

    @property
    def is_played(self) -> bool:
        """Whether the event was there in an earlier turn."""
        return self._is_played

    @property
    def timestamp(self) -> datetime:
        return self._timestamp

    @property
    def is_processed(self) -> bool:
        return self._is_processed

    @is_processed.setter
    def is_processed(self, value: bool) -> None:
        self._is_processed = value

    def __repr__(self) -> str:
        return f"<HistoryEvent {HistoryEventType(self._event_type).name} {self._event_id}>"


def parse_timestamp(text: str) -> datetime:
    """A timestamp of the 1.x protocol, whose seconds may have seven digits."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")


def histories(execution: Execution) -> list[HistoryEvent]:
    """The history so far with the events of this turn; what the turn itself decides is not in it yet."""
    if execution.history is None:
        if execution.phase is Phase.RUNNING:
            raise HistoriesWanted
        return []
    events = execution.history
    last = max((i for i, event in enumerate(events) if type(event) is OrchestratorStarted), default=0)
    return list(_published(execution, events, last))


def _published(execution: Execution, events: list[ModelEvent], last: int) -> Iterable[HistoryEvent]:
    time = determinism.from_microseconds(execution.now)
    for position, event in enumerate(events):
        played = position < last
        if type(event) is OrchestratorStarted:
            if position:
                yield HistoryEvent(HistoryEventType.ORCHESTRATOR_COMPLETED, -1, position - 1 < last, time)
            time = determinism.from_microseconds(event.timestamp)
        fields: dict[str, Any] = msgspec.to_builtins(event)
        kind = _TYPES.get(fields.pop("EventType"), HistoryEventType.GENERIC_EVENT)
        number = fields.pop("EventId", -1)
        stamp = fields.pop("Timestamp", 0)
        when = determinism.from_microseconds(stamp) if stamp else time
        for name in ("FireAt",):
            if name in fields:
                fields[name] = determinism.from_microseconds(fields[name]).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if isinstance(event, ExecutionStarted):
            fields.setdefault("Version", "")
            fields["OrchestrationInstance"] = {"InstanceId": execution.instance_id}
        if "Result" not in fields and kind in (
            HistoryEventType.TASK_COMPLETED,
            HistoryEventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED,
        ):
            fields["Result"] = None
        yield HistoryEvent(kind, number, played, when, **fields)


def record(history: list[ModelEvent], actions: Iterable[Action]) -> None:
    """Append what a turn decided, as the history will have it."""
    for action in actions:
        make = _AS_EVENTS.get(type(action))
        if make is not None:
            history.append(make(action))


_AS_EVENTS: dict[type, Any] = {
    ScheduleTask: lambda a: TaskScheduled(a.id, a.name, a.input, a.attempt),
    CreateTimer: lambda a: TimerCreated(a.id, a.fire_at),
    CreateSubOrchestration: lambda a: SubOrchestrationInstanceCreated(
        a.id, a.name, a.instance_id or "", a.input, a.version or "", a.attempt
    ),
    SendEvent: lambda a: EventSent(a.id, a.instance_id, a.name, a.input),
    CallEntity: lambda a: EntityOperationCalled(a.id, a.entity, a.operation, a.input),
    LockEntities: lambda a: EntityLocksRequested(a.id, a.entities),
    UnlockEntities: lambda a: EntityLocksReleased(a.id, a.lock_id, a.entities),
    SignalEntity: lambda a: EntityOperationSignaled(a.id, a.entity, a.operation, a.input, a.due),
}
