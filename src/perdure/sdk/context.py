"""`DurableOrchestrationContext`: what one-argument orchestrators work with, in the dialect of their app."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload
from uuid import UUID

from perdure.model.actions import SignalEntity
from perdure.sdk import calls, determinism
from perdure.sdk.atomic_tasks import EntityCallTask, EventTask, TimerTask
from perdure.sdk.compound_tasks import WhenAllTask, WhenAnyTask
from perdure.sdk.durable_http import call_http
from perdure.sdk.execution import Execution
from perdure.sdk.expectation import Expectation, decode
from perdure.sdk.retry import check_policy
from perdure.sdk.serialization import stored_input
from perdure.sdk.tasks import SUCCEEDED, AtomicTask, TaskBase
from perdure.sdk.types import EntityId, FunctionContext, RetryOptions, RetryPolicy, TokenSource, scheduler_id

if TYPE_CHECKING:
    from perdure.sdk.histories import HistoryEvent

T = TypeVar("T")
_getframe = sys._getframe


class DurableOrchestrationContext:
    """The context of one orchestration: what it is, and what it may ask for.

    Every `call_*` returns a task at once; yield it (in `async def`: await it) to get the result.
    """

    _execution: Execution
    _input_type: Any
    _converts: bool
    _clock: tuple[int, datetime] | None
    _function_context: FunctionContext
    #: history and schema version of the 1.x protocol, when that made the context
    _payload: tuple[list[dict[str, Any]], int] | None = None

    def __init__(
        self,
        history: list[dict[str, Any]],
        instanceId: str,
        isReplaying: bool,
        parentInstanceId: str | None,
        input: Any = None,
        upperSchemaVersion: int = 0,
        maximumShortTimerDuration: str | None = None,
        longRunningTimerIntervalDuration: str | None = None,
        upperSchemaVersionNew: int | None = None,
        **kwargs: Any,
    ) -> None:
        from perdure.sdk.wire import execution_of

        execution = execution_of(history, instanceId, parentInstanceId, input)
        execution.replaying = bool(isReplaying)
        self._set(execution, None, converts=False)
        self._function_context = FunctionContext(**kwargs)
        self._payload = (history, max(upperSchemaVersion, upperSchemaVersionNew or 0))

    def _set(self, execution: Execution, input_type: Any, *, converts: bool) -> None:
        self._execution = execution
        self._input_type = input_type
        self._converts = converts
        self._clock = None
        self._function_context = FunctionContext()

    @classmethod
    def _of(cls, execution: Execution, input_type: Any, *, converts: bool) -> DurableOrchestrationContext:
        context = cls.__new__(cls)
        context._set(execution, input_type, converts=converts)
        return context

    @classmethod
    def from_json(cls, json_string: str) -> DurableOrchestrationContext:
        """A context from the trigger payload of the 1.x protocol, for tests."""
        import json

        return cls(**json.loads(json_string))

    # -- what it is

    @property
    def instance_id(self) -> str:
        return self._execution.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """The instance id of the parent orchestration, None for a top-level instance."""
        return self._execution.parent_id

    @property
    def version(self) -> str | None:
        """The version given when the instance was started."""
        return self._execution.version or self._execution.dialect.unset_version

    @property
    def is_replaying(self) -> bool:
        """Whether the code runs again what it did in earlier turns."""
        return self._execution.replaying

    @property
    def current_utc_datetime(self) -> datetime:
        """The time of this turn, the same on every replay; aware, in UTC."""
        now = self._execution.now
        clock = self._clock
        if clock is None or clock[0] != now:
            clock = self._clock = (now, determinism.from_microseconds(now))
        return clock[1]

    @current_utc_datetime.setter
    def current_utc_datetime(self, value: datetime) -> None:
        self._clock = (self._execution.now, value)

    @property
    def custom_status(self) -> Any:
        """The last value given to `set_custom_status`."""
        return self._execution.custom_status

    @property
    def will_continue_as_new(self) -> bool:
        return self._execution.continuation is not None

    @property
    def function_context(self) -> FunctionContext:
        return self._function_context

    @property
    def histories(self) -> list[HistoryEvent]:
        """The history of this execution so far, with the events of this turn (not in 2.0)."""
        if not self._execution.dialect.has_histories:
            raise NotImplementedError("histories is not available in SDK 2.0")
        from perdure.sdk.histories import HistoryEvent, histories

        if self._payload is not None:
            return [HistoryEvent(**event) for event in self._payload[0]]
        return histories(self._execution)

    @property
    def decision_started_event(self) -> HistoryEvent:
        """The first `ORCHESTRATOR_STARTED` event."""
        return self.histories[0]

    @property
    def open_tasks(self) -> dict[Any, Any]:
        """Open tasks by number, waits by event name."""
        return {**self._execution.open, **{waits[0].name: list(waits) for waits in self._execution.waits.values()}}

    @property
    def deferred_tasks(self) -> dict[str, Any]:
        """Events that arrived before anything waited for them, by name."""
        return {queue[0][1].name: [event for _, event in queue] for queue in self._execution.buffered.values()}

    def get_input(self, expected_type: Any = None) -> Any:
        """The input, decoded anew on every call; None without one."""
        text = self._execution.input
        if text is None:
            return None
        type_ = expected_type or self._input_type
        return decode(text, None if type_ is None else Expectation(type_, self._converts), "input")

    # -- what it may ask for

    @overload
    def call_activity(
        self, name: Callable[..., Awaitable[T]], input_: Any = None, expected_type: type | None = None
    ) -> TaskBase[T]: ...
    @overload
    def call_activity(
        self, name: Callable[..., T], input_: Any = None, expected_type: type | None = None
    ) -> TaskBase[T]: ...
    @overload
    def call_activity(self, name: str, input_: Any, expected_type: type[T]) -> TaskBase[T]: ...
    @overload
    def call_activity(self, name: str, input_: Any = None, expected_type: type | None = None) -> TaskBase[Any]: ...
    def call_activity(self, name: Any, input_: Any = None, expected_type: Any = None) -> TaskBase[Any]:
        """Run an activity, given by name or by its decorated function."""
        return calls.call_activity(self._execution, name, input_, expected_type, converts=self._converts)

    def call_activity_with_retry(
        self, name: Any, retry_options: RetryOptions | RetryPolicy, input_: Any = None, expected_type: Any = None
    ) -> TaskBase[Any]:
        """Run an activity, again after failures as `retry_options` says."""
        return calls.call_activity_with_retry(
            self._execution, name, retry_options, input_, expected_type, converts=self._converts
        )

    def call_sub_orchestrator(
        self,
        name: Any,
        input_: Any = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: Any = None,
    ) -> TaskBase[Any]:
        """Run another orchestration as a child of this one."""
        return calls.call_sub_orchestrator(
            self._execution, name, input_, instance_id, version, expected_type, converts=self._converts
        )

    def call_sub_orchestrator_with_retry(
        self,
        name: Any,
        retry_options: RetryOptions | RetryPolicy,
        input_: Any = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: Any = None,
    ) -> TaskBase[Any]:
        """Run a child orchestration, again after failures as `retry_options` says."""
        return calls.call_sub_orchestrator(
            self._execution,
            name,
            input_,
            instance_id,
            version,
            expected_type,
            check_policy(retry_options),
            converts=self._converts,
        )

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

    def call_entity(
        self, entityId: EntityId, operationName: str, operationInput: Any = None, expected_type: Any = None
    ) -> TaskBase[Any]:
        """Run an operation on an entity and get its result."""
        if not entityId:
            raise ValueError("entity_id cannot be empty")
        expected = None if expected_type is None else Expectation(expected_type, self._converts)
        text = calls.input_text(operationInput, "call_entity")
        task: EntityCallTask[Any] = EntityCallTask(
            self._execution, scheduler_id(entityId), operationName, text, expected
        )
        frame = _getframe(1)
        task._origin = (frame.f_code, frame.f_lasti)
        self._execution.begin(task)
        return task

    def signal_entity(self, entityId: EntityId, operationName: str, operationInput: Any = None) -> TaskBase[Any]:
        """Send an operation to an entity without waiting. Takes effect when called; needs no yield."""
        if not entityId:
            raise ValueError("entity_id cannot be empty")
        execution = self._execution
        text = calls.input_text(operationInput, "signal_entity")
        execution.act(SignalEntity(execution.skip_number(), scheduler_id(entityId), operationName, text))
        return sent(execution)

    def create_timer(self, fire_at: datetime) -> TimerTask:
        """A timer that fires at `fire_at`, however far away. Naive times are UTC, other zones are converted."""
        if not isinstance(fire_at, datetime):
            raise ValueError("fireAt: Expected valid datetime object but got ", fire_at)
        task = TimerTask(execution=self._execution, fire_at=determinism.to_microseconds(fire_at))
        frame = _getframe(1)
        task._origin = (frame.f_code, frame.f_lasti)
        self._execution.begin(task)
        return task

    def wait_for_external_event(self, name: str, expected_type: Any = None) -> TaskBase[Any]:
        """Wait for one external event of this name, whatever its case."""
        if not name:
            raise ValueError("external_event_name cannot be empty")
        expected = None if expected_type is None else Expectation(expected_type, self._converts)
        task: EventTask[Any] = EventTask(self._execution, name, expected)
        frame = _getframe(1)
        task._origin = (frame.f_code, frame.f_lasti)
        self._execution.begin(task)
        return task

    def task_all(self, activities: Iterable[TaskBase[Any]]) -> TaskBase[list[Any]]:
        """All of `activities`: their results in list order. 1.x fails at the first failure."""
        return WhenAllTask(activities, self._execution)

    def task_any(self, activities: Iterable[TaskBase[Any]]) -> TaskBase[TaskBase[Any]]:
        """The first of `activities` that is complete, as a task, failed or not."""
        return WhenAnyTask(activities, self._execution)

    def continue_as_new(self, input_: Any) -> None:
        """End this execution and start anew with `input_`. Code up to the next yield or return still runs."""
        continue_as_new(self._execution, input_, save_events=False)

    def set_custom_status(self, status: Any) -> None:
        """Set the custom status, a value that JSON can hold; the last one of a turn is stored."""
        set_custom_status(self._execution, status)

    def new_uuid(self) -> str:
        """A new UUID, the same on every replay."""
        return determinism.new_uuid(self.instance_id, self.current_utc_datetime, next_counter(self._execution))

    def new_guid(self) -> UUID:
        """A new UUID, the same on every replay, by the older formula."""
        return determinism.new_guid(self.instance_id, self.current_utc_datetime, next_counter(self._execution))


def sent(execution: Execution) -> TaskBase[Any]:
    """A task that stands for something sent: complete, so that a needless yield does no harm."""
    task: AtomicTask[Any] = AtomicTask(-1)
    task._execution = execution
    task.scheduled = True
    task.state = SUCCEEDED
    return task


def continue_as_new(execution: Execution, value: Any, *, save_events: bool) -> None:
    """The first call wins."""
    text = stored_input(calls.input_text(value, "continue_as_new"), execution.options.dialect)
    if not execution.is_running("continue_as_new") or execution.continuation is not None:
        return
    execution.continuation = (text, save_events)


def set_custom_status(execution: Execution, status: Any) -> None:
    if execution.is_running("set_custom_status"):
        execution.custom_status = status
        execution.status_set = True


def next_counter(execution: Execution) -> int:
    counter = execution.uuid_counter
    execution.uuid_counter = counter + 1
    return counter
