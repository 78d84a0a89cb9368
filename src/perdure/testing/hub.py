"""A task hub in memory on virtual time: an app's orchestrations run in a test, a month of timers in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from perdure.model.instance import entity_scheduler_id
from perdure.model.operations import (
    EntityFound,
    Found,
    GetInstance,
    Operation,
    OperationAnswer,
    RaiseEvent,
    ReadEntity,
    Refused,
    ResumeInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)
from perdure.sdk.client_types import OrchestrationState, state_of, time_of
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import dumps
from perdure.storage.memory import MemoryDatabase, MemoryStore
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.options import HubOptions
from perdure.testing.app_functions import AppFunctions
from perdure.testing.clock import VirtualClock, VirtualTime
from perdure.testing.executor import InProcessExecutor

#: nobody else is on the hub, so there is nobody to watch: seconds between looks
_NEVER = 10.0 * 365 * 24 * 3600
_SECONDS_TO_ANSWER = 60.0


class OperationRefused(Exception):
    """The hub refused; `refusal` has code and text."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class InstanceParked(Exception):
    """The code of an instance no longer does what its history holds; the text is the report."""


class VirtualHub:
    """Runs the orchestrators, activities and entities of a function app object, as `perdure start` would.

        with VirtualHub(app) as hub:
            hub.replace_activity("SendMail", lambda address: "sent")
            instance = hub.start("Reminder", {"days": 30})
            hub.advance(timedelta(days=30))
            assert hub.status(instance).get_output() == "sent"

    Time stands still except in `advance`, in `wait` and while an operation is answered. `replay` True replays every
    orchestration from scratch at every turn, so that code which is not deterministic is found. A `VirtualHub` is also
    a transport for durable clients: `perdure.sdk.client_transport.set_transport(hub)`.
    """

    def __init__(self, app: Any, *, replay: bool = True, options: SdkOptions | None = None) -> None:
        chosen = options or SdkOptions(max_sessions=0 if replay else 10000)
        self._functions = AppFunctions(app, chosen)
        self._time = VirtualTime()
        clock = VirtualClock(self._time)
        self._executor = InProcessExecutor(clock, self._functions, slots=100)
        self._database = MemoryDatabase(clock)
        self._hub = TaskHub(
            MemoryStore(self._database),
            self._executor,
            clock,
            _NoWakes(),
            HubOptions(names=self._functions.names, host_ttl=_NEVER, scan_interval=_NEVER),
        )
        self._client = HubClient(self._hub)
        self._hub.start(lambda: None)
        self._time.run_until(lambda: self._hub.accepting, within=_SECONDS_TO_ANSWER)

    def __enter__(self) -> VirtualHub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions."""
        self._executor.close()

    # -- time

    @property
    def now(self) -> datetime:
        """The hub's time, aware, in UTC."""
        return time_of(self._time.now)

    def advance(self, duration: timedelta | float) -> None:
        """Let time pass (a number is seconds): everything that comes due happens."""
        self._time.advance(_seconds(duration))

    def wait(self, instance_id: str, within: timedelta | float = timedelta(days=3650)) -> OrchestrationState:
        """Let time pass until the instance has finished; its state.

        Raises `TimeoutError` when it does not finish, `InstanceParked` when its code does not fit its history,
        `LookupError` when there is no such instance.
        """
        tables, limit = self._database.tables, self._time.now + round(_seconds(within) * 1_000_000)
        if instance_id not in tables.ids:
            raise LookupError(f"there is no instance '{instance_id}'")
        n = tables.ids[instance_id]
        self._time.run_until(
            lambda: tables.instances[n].status.is_terminal or tables.instances[n].parked is not None,
            within=(limit - self._time.now) / 1_000_000,
        )
        record = tables.instances[n]
        if record.parked is not None:
            raise InstanceParked(f"'{instance_id}' cannot go on: {record.parked}")
        if not record.status.is_terminal:
            raise TimeoutError(f"'{instance_id}' is still {record.status.label} after {_seconds(within):g} seconds")
        return state_of(record)

    # -- operations

    def start(self, name: str, input: Any = None, instance_id: str | None = None) -> str:
        """Start an orchestration; its id."""
        answer = self.ask(StartInstance(name, instance_id, None if input is None else dumps(input)))
        assert isinstance(answer, Started)
        return answer.instance_id

    def status(self, instance_id: str) -> OrchestrationState | None:
        """The state of an instance, None when there is no such instance."""
        answer = self.call_sync(GetInstance(instance_id))
        return state_of(answer.record) if isinstance(answer, Found) else None

    def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raise an external event; orchestrators get `data` as the events posted over HTTP, decoded."""
        self.ask(RaiseEvent(instance_id, name, dumps(data)))

    def terminate(self, instance_id: str, reason: str = "") -> None:
        """End an instance."""
        self.ask(TerminateInstance(instance_id, reason))

    def suspend(self, instance_id: str, reason: str = "") -> None:
        """Hold an instance."""
        self.ask(SuspendInstance(instance_id, reason))

    def resume(self, instance_id: str, reason: str = "") -> None:
        """Let a suspended instance go on."""
        self.ask(ResumeInstance(instance_id, reason))

    def signal_entity(self, name: str, key: str, operation: str, input: Any = None) -> None:
        """Send an operation to an entity."""
        self.ask(SignalEntityOperation(entity_scheduler_id(name, key), operation, dumps(input)))

    def entity_state(self, name: str, key: str) -> Any:
        """The state of an entity, None when it does not exist."""
        answer = self.ask(ReadEntity(entity_scheduler_id(name, key)))
        assert isinstance(answer, EntityFound)
        return None if answer.state is None else json.loads(answer.state)

    def replace_activity(self, name: str, activity: Callable[[Any], Any]) -> None:
        """Run `activity(value)` in place of the app's activity."""
        self._functions.replace(name, activity)

    # -- the transport of durable clients

    def ask(self, operation: Operation) -> OperationAnswer:
        """Carry out an operation, and what it sets going at once. Raises `OperationRefused`."""
        answer = self.call_sync(operation)
        if isinstance(answer, Refused):
            raise OperationRefused(answer)
        self._time.advance(0)
        return answer

    async def call(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        return self.call_sync(operation, task_hub)

    def call_sync(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        answers: list[OperationAnswer] = []
        self._client.call(operation, answers.append)
        if not self._time.run_until(lambda: bool(answers), within=_SECONDS_TO_ANSWER):
            raise RuntimeError(f"the hub did not answer {operation!r}")
        return answers[0]


class _NoWakes:
    """There is nobody to wake."""

    def wake(self, token: int, n: int = 0) -> None:
        pass


def _seconds(duration: timedelta | float) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
