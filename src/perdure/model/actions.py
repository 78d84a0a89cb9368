"""What orchestrator code may ask for in a turn.

`id` is the task id: the SDK numbers from 0 in the order in which tasks are scheduled, anew in each generation.
"""

from __future__ import annotations

from typing import Union

from msgspec import Struct

from perdure.model.failure import FailureDetails


class _Action(Struct, frozen=True, array_like=True):
    """Common shape: a tagged array, which only crosses between task hub and worker and is never stored."""


class ScheduleTask(_Action, frozen=True, tag=0):
    """Run an activity. `attempt` counts from 1 within a retried call."""

    id: int
    name: str
    input: str | None = None
    attempt: int = 1


class CreateTimer(_Action, frozen=True, tag=1):
    id: int
    fire_at: int


class CancelTimer(_Action, frozen=True, tag=2):
    """Forget timer `id`. Takes no task id of its own and leaves no history event."""

    id: int


class CreateSubOrchestration(_Action, frozen=True, tag=3):
    """Start a child; without `instance_id` the engine derives one from execution id and task id."""

    id: int
    name: str
    instance_id: str | None = None
    input: str | None = None
    version: str | None = None
    attempt: int = 1


class SendEvent(_Action, frozen=True, tag=4):
    id: int
    instance_id: str
    name: str
    input: str | None = None


class CallEntity(_Action, frozen=True, tag=5):
    id: int
    entity: str
    operation: str
    input: str | None = None


class SignalEntity(_Action, frozen=True, tag=6):
    id: int
    entity: str
    operation: str
    input: str | None = None
    due: int = 0


class LockEntities(_Action, frozen=True, tag=7):
    """Open a critical section over `entities`: sorted, distinct scheduler ids."""

    id: int
    entities: tuple[str, ...]


class UnlockEntities(_Action, frozen=True, tag=8):
    """Leave the critical section that task `lock_id` opened."""

    id: int
    lock_id: int
    entities: tuple[str, ...]


class CarriedEvent(Struct, frozen=True, array_like=True):
    """An external event that was raised and not consumed."""

    name: str
    input: str | None = None
    client: bool = False


class ContinueAsNewWith(_Action, frozen=True, tag=9):
    """End this generation and start the next with `input`. `carry` holds the events that nobody consumed."""

    input: str | None = None
    carry: tuple[CarriedEvent, ...] = ()


class CompleteOrchestration(_Action, frozen=True, tag=10):
    """The code returned (`failure` is None) or raised. `result` is JSON text; on failure the published
    error text, plain."""

    result: str | None = None
    failure: FailureDetails | None = None


Action = Union[
    ScheduleTask,
    CreateTimer,
    CancelTimer,
    CreateSubOrchestration,
    SendEvent,
    CallEntity,
    SignalEntity,
    LockEntities,
    UnlockEntities,
    ContinueAsNewWith,
    CompleteOrchestration,
]
