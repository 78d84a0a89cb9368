"""History events: one frozen type per kind, under the names of the Durable Task Framework.

The same values travel as messages (a result on its way to an instance is the event that it will become) and lie in
the history rows. Times are whole microseconds since 1970 in UTC. A payload is JSON text in a string and is never
decoded by the envelope. `timestamp` 0 means: the time of the turn, given by its `OrchestratorStarted`.
"""

from __future__ import annotations

from typing import Union

from msgspec import Struct

from perdure.model.failure import FailureDetails


class _Event(Struct, frozen=True, omit_defaults=True, rename="pascal", tag_field="EventType"):
    """Common shape: an object tagged by `EventType`, defaults left out."""


class OrchestratorStarted(_Event, frozen=True, tag="OrchestratorStarted"):
    """A turn begins. `timestamp` is the time that orchestrator code sees."""

    timestamp: int


class ExecutionStarted(_Event, frozen=True, tag="ExecutionStarted"):
    """First event of a generation, with the code that runs it.

    `logic` is the engine's rule set, `dialect` the SDK whose answers the code gets (1 or 2; 0: not recorded), `app` the
    fingerprint of the app. The generation is replayed by these, whatever the app and this package have become.
    `scheduled_start_time`: when an instance that was started for later could begin at the earliest, 0 for others.
    """

    name: str
    input: str | None = None
    version: str = ""
    parent_id: str | None = None
    tags: dict[str, str] | None = None
    timestamp: int = 0
    logic: int = 0
    dialect: int = 0
    app: str = ""
    scheduled_start_time: int = 0


class TaskScheduled(_Event, frozen=True, tag="TaskScheduled"):
    """An activity was asked for. `attempt` counts from 1 within a retried call."""

    event_id: int
    name: str
    input: str | None = None
    attempt: int = 1
    timestamp: int = 0


class TaskCompleted(_Event, frozen=True, tag="TaskCompleted"):
    task_scheduled_id: int
    result: str | None = None
    timestamp: int = 0


class TaskFailed(_Event, frozen=True, tag="TaskFailed"):
    """`reason` and `details` are the published texts; `failure` keeps everything."""

    task_scheduled_id: int
    reason: str = ""
    details: str | None = None
    failure: FailureDetails | None = None
    timestamp: int = 0


class SubOrchestrationInstanceCreated(_Event, frozen=True, tag="SubOrchestrationInstanceCreated"):
    event_id: int
    name: str
    instance_id: str
    input: str | None = None
    version: str = ""
    attempt: int = 1
    timestamp: int = 0


class SubOrchestrationInstanceCompleted(_Event, frozen=True, tag="SubOrchestrationInstanceCompleted"):
    task_scheduled_id: int
    result: str | None = None
    timestamp: int = 0


class SubOrchestrationInstanceFailed(_Event, frozen=True, tag="SubOrchestrationInstanceFailed"):
    task_scheduled_id: int
    reason: str = ""
    details: str | None = None
    failure: FailureDetails | None = None
    timestamp: int = 0


class TimerCreated(_Event, frozen=True, tag="TimerCreated"):
    event_id: int
    fire_at: int
    timestamp: int = 0


class TimerFired(_Event, frozen=True, tag="TimerFired"):
    """`created` is told of traced instances only: when the timer was asked for."""

    timer_id: int
    fire_at: int
    timestamp: int = 0
    created: int = 0


class EventRaised(_Event, frozen=True, tag="EventRaised"):
    """An external event. `client` is true when the Python client raised it: its text is then encoded once more.
    `trace` is the context of the span of its raising."""

    name: str
    input: str | None = None
    client: bool = False
    timestamp: int = 0
    trace: str | None = None


class EventSent(_Event, frozen=True, tag="EventSent"):
    """An event sent to another orchestration."""

    event_id: int
    instance_id: str
    name: str
    input: str | None = None
    timestamp: int = 0


class ExecutionSuspended(_Event, frozen=True, tag="ExecutionSuspended"):
    reason: str | None = None
    timestamp: int = 0


class ExecutionResumed(_Event, frozen=True, tag="ExecutionResumed"):
    reason: str | None = None
    timestamp: int = 0


class ExecutionTerminated(_Event, frozen=True, tag="ExecutionTerminated"):
    """`input` is the reason as JSON text; `recurse` ends the children too."""

    input: str | None = None
    recurse: bool = True
    timestamp: int = 0


class ExecutionRewound(_Event, frozen=True, tag="ExecutionRewound"):
    """Voids the named failures: `tasks` are ids of activities and children whose failure no longer counts."""

    reason: str | None = None
    tasks: tuple[int, ...] = ()
    timestamp: int = 0


class ExecutionCompleted(_Event, frozen=True, tag="ExecutionCompleted"):
    """Last event of an instance. `status` is the number of the final runtime status."""

    status: int
    result: str | None = None
    failure: FailureDetails | None = None
    timestamp: int = 0


class ContinueAsNew(_Event, frozen=True, tag="ContinueAsNew"):
    """Last event of a generation that another one follows."""

    input: str | None = None
    timestamp: int = 0


class EntityOperationRequested(_Event, frozen=True, tag="EntityOperationRequested"):
    """To an entity: run an operation. A call names who waits (`caller`, its generation and task); a signal does not.
    `trace` is the context of the span that asked."""

    operation: str
    input: str | None = None
    caller: int = 0
    caller_id: str = ""
    caller_generation: int = 0
    caller_task: int = -1
    client: bool = False
    timestamp: int = 0
    trace: str | None = None


class EntityLockRequested(_Event, frozen=True, tag="EntityLockRequested"):
    """To an entity: lock it for `caller`, then pass the request on to the next of `entities` (sorted scheduler ids)."""

    caller: int
    caller_id: str
    caller_generation: int
    caller_task: int
    entities: tuple[str, ...]
    position: int = 0
    timestamp: int = 0


class EntityUnlocked(_Event, frozen=True, tag="EntityUnlocked"):
    """To an entity: the lock that `caller` took with `caller_task` is given back."""

    caller: int
    caller_generation: int
    caller_task: int
    timestamp: int = 0


class EntityOperationCalled(_Event, frozen=True, tag="EntityOperationCalled"):
    """An orchestrator called an entity."""

    event_id: int
    entity: str
    operation: str
    input: str | None = None
    timestamp: int = 0


class EntityOperationSignaled(_Event, frozen=True, tag="EntityOperationSignaled"):
    """An orchestrator signalled an entity; `due` 0 is now."""

    event_id: int
    entity: str
    operation: str
    input: str | None = None
    due: int = 0
    timestamp: int = 0


class EntityOperationCompleted(_Event, frozen=True, tag="EntityOperationCompleted"):
    task_scheduled_id: int
    result: str | None = None
    timestamp: int = 0


class EntityOperationFailed(_Event, frozen=True, tag="EntityOperationFailed"):
    task_scheduled_id: int
    reason: str = ""
    failure: FailureDetails | None = None
    timestamp: int = 0


class EntityLocksRequested(_Event, frozen=True, tag="EntityLocksRequested"):
    """An orchestrator asked for a critical section over `entities` (sorted scheduler ids)."""

    event_id: int
    entities: tuple[str, ...]
    timestamp: int = 0


class EntityLockGranted(_Event, frozen=True, tag="EntityLockGranted"):
    """All locks of the critical section `task_scheduled_id` are held."""

    task_scheduled_id: int
    timestamp: int = 0


class EntityLocksReleased(_Event, frozen=True, tag="EntityLocksReleased"):
    """An orchestrator left the critical section that task `lock_id` opened."""

    event_id: int
    lock_id: int
    entities: tuple[str, ...]
    timestamp: int = 0


HistoryEvent = Union[
    OrchestratorStarted,
    ExecutionStarted,
    TaskScheduled,
    TaskCompleted,
    TaskFailed,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TimerCreated,
    TimerFired,
    EventRaised,
    EventSent,
    ExecutionSuspended,
    ExecutionResumed,
    ExecutionTerminated,
    ExecutionRewound,
    ExecutionCompleted,
    ContinueAsNew,
    EntityOperationRequested,
    EntityLockRequested,
    EntityUnlocked,
    EntityOperationCalled,
    EntityOperationSignaled,
    EntityOperationCompleted,
    EntityOperationFailed,
    EntityLocksRequested,
    EntityLockGranted,
    EntityLocksReleased,
]
