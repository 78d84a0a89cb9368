"""Tasks that stand for one thing: an activity, a child, an entity call, an event, a timer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from perdure.model.actions import CallEntity, CancelTimer, CreateSubOrchestration, CreateTimer, ScheduleTask
from perdure.sdk.failures import TaskCancelledError
from perdure.sdk.tasks import FAILED, RUNNING, AtomicTask, TaskBase, settle

if TYPE_CHECKING:
    from perdure.sdk.execution import Execution

T = TypeVar("T")


class ActivityTask(AtomicTask[T]):
    __slots__ = ("_input", "attempt", "name")
    call = "call_activity"

    def __init__(self, execution: Execution, name: str, input_: str | None, expected: Any = None, attempt: int = 1):
        self.id = None
        self.state = RUNNING
        self.is_played = False
        self.scheduled = False
        self._value = None
        self._parent = None
        self._execution = execution
        self._expected = expected
        self._origin = None
        self.name = name
        self._input = input_
        self.attempt = attempt

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(ScheduleTask(number, self.name, self._input, self.attempt))
        self._input = None

    def describe(self) -> str:
        return f"context.call_activity({self.name!r})"


class SubOrchestrationTask(AtomicTask[T]):
    __slots__ = ("_input", "attempt", "instance_id", "name", "version")

    def __init__(
        self,
        execution: Execution,
        name: str,
        input_: str | None,
        instance_id: str | None,
        version: str | None,
        expected: Any = None,
        attempt: int = 1,
    ) -> None:
        super().__init__()
        self._execution = execution
        self._expected = expected
        self.name = name
        self._input = input_
        self.instance_id = instance_id
        self.version = version
        self.attempt = attempt

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(
            CreateSubOrchestration(number, self.name, self.instance_id, self._input, self.version, self.attempt)
        )
        self._input = None

    def describe(self) -> str:
        return f"context.call_sub_orchestrator({self.name!r})"


class EntityCallTask(AtomicTask[T]):
    __slots__ = ("_input", "entity", "operation")

    def __init__(self, execution: Execution, entity: str, operation: str, input_: str | None, expected: Any) -> None:
        super().__init__()
        self._execution = execution
        self._expected = expected
        self.entity = entity
        self.operation = operation
        self._input = input_

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(CallEntity(number, self.entity, self.operation, self._input))
        self._input = None

    def describe(self) -> str:
        return f"context.call_entity({self.entity!r}, {self.operation!r})"


class EventTask(AtomicTask[T]):
    """A wait for one external event. Keyed by the event's name, whatever its case; takes no number."""

    __slots__ = ("_cancelled", "name")

    def __init__(self, execution: Execution, name: str, expected: Any) -> None:
        super().__init__(name)
        self._execution = execution
        self._expected = expected
        self._cancelled = False
        self.name = name

    def open(self, execution: Execution) -> None:
        if not self._cancelled:
            execution.open_wait(self)

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> bool:
        """Stop waiting; an event of this name goes to other waits. False when the task is over already."""
        if self.state is not RUNNING or self._cancelled:
            return False
        self._cancelled = True
        assert self._execution is not None
        self._execution.close_wait(self)
        _settle_cancelled(self)
        return True

    def describe(self) -> str:
        return f"context.wait_for_external_event({self.name!r})"


class TimerTask(AtomicTask[None]):
    """A durable timer of any length."""

    __slots__ = ("_cancelled", "fire_at")

    def __init__(self, id_: Any = None, action: Any = None, *, execution: Execution | None = None, fire_at: int = 0):
        super().__init__(id_, action)
        self._execution = execution
        self._cancelled = False
        self.fire_at = fire_at

    def open(self, execution: Execution) -> None:
        if not self._cancelled:
            number = self.id = execution.take_number(self)
            execution.actions.append(CreateTimer(number, self.fire_at))

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called. A cancelled timer never completes (2.0: completes, its result raises)."""
        return self._cancelled

    def is_canceled(self) -> bool:
        return self._cancelled

    def cancel(self) -> bool:
        """Cancel the timer; false when it was cancelled before.

        On a fired timer 1.x raises `ValueError`, 2.0 returns false.
        """
        execution = self._execution
        if self.state is not RUNNING:
            if self._cancelled or (execution is not None and execution.dialect.cancelled_completes):
                return False
            raise ValueError("Cannot cancel a completed task.")
        if self._cancelled:
            return False
        self._cancelled = True
        if execution is not None:
            if self.scheduled and execution.open.pop(self.id, None) is not None:
                execution.act(CancelTimer(self.id))
            _settle_cancelled(self)
        return True

    def describe(self) -> str:
        return "context.create_timer(...)"


LongTimerTask = TimerTask


def _settle_cancelled(task: TaskBase[Any]) -> None:
    if task._execution is not None and task._execution.dialect.cancelled_completes:
        settle(task, FAILED, TaskCancelledError(f"The task was cancelled: {task.describe()}"))
