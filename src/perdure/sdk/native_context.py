"""`OrchestrationContext`: what two-argument orchestrators work with (SDK 2.0), in any app."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Union, overload

from perdure.model.actions import SendEvent, SignalEntity
from perdure.sdk import calls, determinism
from perdure.sdk.atomic_tasks import EntityCallTask, EventTask, TimerTask
from perdure.sdk.compound_tasks import WhenAllTask, WhenAnyTask
from perdure.sdk.context import continue_as_new, next_counter, set_custom_status
from perdure.sdk.durable_http import call_http
from perdure.sdk.execution import Execution
from perdure.sdk.expectation import Expectation
from perdure.sdk.locks import CriticalSection, EntityLock, lock_task
from perdure.sdk.tasks import TaskBase
from perdure.sdk.types import EntityId, EntityInstanceId, RetryPolicy, TokenSource, scheduler_id

if TYPE_CHECKING:
    LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    LoggerAdapter = logging.LoggerAdapter

T = TypeVar("T")
AnyEntity = Union[EntityId, EntityInstanceId, str]
_getframe = sys._getframe


class OrchestrationContext:
    """The context of one orchestration. Calls are scheduled when made; yield (or await) a task to get its result."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._section = CriticalSection(execution)

    @property
    def instance_id(self) -> str:
        return self._execution.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """The instance id of the parent orchestration, None for a top-level instance."""
        return self._execution.parent_id

    @property
    def version(self) -> str | None:
        """The version given when the instance was started, None when there was none."""
        return self._execution.version or None

    @property
    def current_utc_datetime(self) -> datetime:
        """The time of this turn, the same on every replay; naive, in UTC."""
        return determinism.from_microseconds(self._execution.now).replace(tzinfo=None)

    @property
    def is_replaying(self) -> bool:
        """Whether the code runs again what it did in earlier turns."""
        return self._execution.replaying

    @overload
    def call_activity(
        self,
        activity: Callable[..., Awaitable[T]],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> TaskBase[T]: ...
    @overload
    def call_activity(
        self,
        activity: Callable[..., T],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> TaskBase[T]: ...
    @overload
    def call_activity(
        self,
        activity: str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> TaskBase[Any]: ...
    def call_activity(
        self,
        activity: Any,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> TaskBase[Any]:
        """Run an activity, given by name or by its decorated function. `tags` are accepted and not stored."""
        if retry_policy is None:
            return calls.call_activity(self._execution, activity, input, return_type, converts=True)
        return calls.call_activity_with_retry(
            self._execution, activity, retry_policy, input, return_type, converts=True
        )

    def call_sub_orchestrator(
        self,
        orchestrator: Any,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        return_type: type | None = None,
    ) -> TaskBase[Any]:
        """Run another orchestration as a child of this one. Not inside a critical section."""
        self._section.check_no_children()
        return calls.call_sub_orchestrator(
            self._execution, orchestrator, input, instance_id, version, return_type, retry_policy, converts=True
        )

    def call_entity(
        self, entity: AnyEntity, operation: str, input: Any = None, *, return_type: type | None = None
    ) -> TaskBase[Any]:
        """Run an operation on an entity and get its result. Inside a critical section only on locked entities."""
        target = scheduler_id(entity)
        expected = None if return_type is None else Expectation(return_type, True)
        self._section.check_call(target)
        task: EntityCallTask[Any] = EntityCallTask(
            self._execution, target, operation, calls.input_text(input, "call_entity"), expected
        )
        self._section.note_call(target, task)
        self._execution.begin(task)
        return task

    def signal_entity(
        self, entity_id: AnyEntity, operation_name: str, input: Any = None, signal_time: datetime | None = None
    ) -> None:
        """Send an operation to an entity without waiting, at `signal_time` if given."""
        target = scheduler_id(entity_id)
        self._section.check_signal(target)
        execution = self._execution
        due = 0 if signal_time is None else determinism.to_microseconds(signal_time)
        text = calls.input_text(input, "signal_entity")
        execution.act(SignalEntity(execution.skip_number(), target, operation_name, text, due))

    def lock_entities(self, entities: Iterable[AnyEntity]) -> TaskBase[EntityLock]:
        """Lock entities for a critical section: `with (yield ctx.lock_entities([...])):`."""
        task = lock_task(self._section, [scheduler_id(entity) for entity in entities])
        self._execution.begin(task)
        return task

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """A timer that fires at a time, or after a duration."""
        if isinstance(fire_at, timedelta):
            due = self._execution.now + fire_at // timedelta(microseconds=1)
        elif isinstance(fire_at, datetime):
            due = determinism.to_microseconds(fire_at)
        else:
            raise ValueError(f"create_timer expects a datetime or a timedelta, not {type(fire_at).__name__}")
        task = TimerTask(execution=self._execution, fire_at=due)
        frame = _getframe(1)
        task._origin = (frame.f_code, frame.f_lasti)
        self._execution.begin(task)
        return task

    def wait_for_external_event(self, name: str, *, data_type: type | None = None) -> EventTask[Any]:
        """Wait for one external event of this name, whatever its case. The task can be cancelled."""
        if not name:
            raise ValueError("name cannot be empty")
        expected = None if data_type is None else Expectation(data_type, True)
        task: EventTask[Any] = EventTask(self._execution, name, expected)
        frame = _getframe(1)
        task._origin = (frame.f_code, frame.f_lasti)
        self._execution.begin(task)
        return task

    def send_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Raise an external event for another orchestration. Dropped when that does not exist."""
        if not instance_id:
            raise ValueError("instance_id cannot be empty")
        if instance_id.startswith("@"):
            raise ValueError(f"events are sent to orchestrations, {instance_id!r} is the id of an entity")
        if not event_name:
            raise ValueError("event_name cannot be empty")
        execution = self._execution
        text = None if data is None else calls.input_text(data, "send_event")
        execution.act(SendEvent(execution.skip_number(), instance_id, event_name, text))

    def call_http(
        self,
        method: str,
        uri: str,
        content: Any = None,
        headers: dict[str, str] | None = None,
        token_source: TokenSource | None = None,
        is_raw_str: bool = False,
    ) -> TaskBase[Any]:
        """Make an HTTP request as an activity; a 202 with `Location` is polled by durable timers."""
        task = call_http(self._execution, method, uri, content, headers, token_source, is_raw_str)
        self._execution.begin(task)
        return task

    def when_all(self, tasks: Iterable[TaskBase[Any]]) -> TaskBase[list[Any]]:
        """All of `tasks`: their results, or the first failure once all are over."""
        return WhenAllTask(tasks, self._execution)

    def when_any(self, tasks: Iterable[TaskBase[Any]]) -> TaskBase[TaskBase[Any]]:
        """The first of `tasks` that is complete, as a task."""
        return WhenAnyTask(tasks, self._execution)

    task_all = when_all
    task_any = when_any

    def continue_as_new(self, new_input: Any, *, save_events: bool = False) -> None:
        """End this execution and start anew with `new_input`. The first call wins."""
        self._section.leave()
        continue_as_new(self._execution, new_input, save_events=save_events)

    def set_custom_status(self, custom_status: Any) -> None:
        """Set the custom status; None clears it."""
        set_custom_status(self._execution, custom_status)

    def new_uuid(self) -> str:
        """A new UUID, the same on every replay."""
        now = determinism.from_microseconds(self._execution.now)
        return determinism.new_uuid(self.instance_id, now, next_counter(self._execution))

    def create_replay_safe_logger(self, logger: logging.Logger) -> ReplaySafeLogger:
        """A logger that is silent while the code replays."""
        return ReplaySafeLogger(logger, self._execution)


class ReplaySafeLogger(LoggerAdapter):
    """A logger adapter that is silent while its orchestration replays."""

    def __init__(self, logger: logging.Logger, execution: Execution) -> None:
        super().__init__(logger, {})
        self._execution = execution

    def isEnabledFor(self, level: int) -> bool:
        return not self._execution.silent and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def when_all(tasks: Iterable[TaskBase[Any]]) -> WhenAllTask:
    """All of `tasks`, which belong to one orchestration (2.0's `task.when_all`)."""
    children = list(tasks)
    return WhenAllTask(children, children[0]._execution if children else None)


def when_any(tasks: Iterable[TaskBase[Any]]) -> WhenAnyTask:
    """The first of `tasks`, which belong to one orchestration (2.0's `task.when_any`)."""
    children = list(tasks)
    return WhenAnyTask(children, children[0]._execution if children else None)
