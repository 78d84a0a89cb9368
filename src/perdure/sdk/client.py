"""The durable clients: `DurableFunctionsClient` (2.0), `DurableOrchestrationClient` (1.x), and their blocking twin."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from perdure.model import operations as ops
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord
from perdure.sdk import client_requests as requests
from perdure.sdk.client_core import BlockingCore, ClientCore, HttpManagementPayload, NoTaskHub
from perdure.sdk.client_requests import microseconds
from perdure.sdk.client_transport import ClientTransport, client_options, set_transport, transport
from perdure.sdk.client_types import (
    TERMINAL,
    CleanEntityStorageResult,
    EntityMetadata,
    EntityQuery,
    OrchestrationQuery,
    OrchestrationState,
    OrchestrationStatus,
    PurgeInstancesResult,
    metadata_of,
    state_of,
)
from perdure.sdk.references import durable_name
from perdure.sdk.serialization import dumps, stored_input
from perdure.sdk.statuses import DurableOrchestrationStatus, EntityStateResponse, PurgeHistoryResult
from perdure.sdk.types import (
    ORCHESTRATION_TRIGGER,
    EntityId,
    EntityInstanceId,
    OrchestrationRuntimeStatus,
    scheduler_id,
)

if TYPE_CHECKING:
    from azure.functions import HttpRequest, HttpResponse

    from perdure.model.history import HistoryEvent

Entity = EntityId | EntityInstanceId
_FIRST_POLL, _SLOWEST_POLL = 0.02, 1.0
_LARGEST_PAGE = 1000
#: entities whose backlog is asked for at once
_BACKLOGS = 1000


class DurableFunctionsClient(ClientCore):
    """Starts, reads and manages orchestrations and entities (2.0)."""

    #: how waiting methods wait and read the time, replaceable in tests
    _sleep: Callable[[float], Coroutine[Any, Any, None]] = staticmethod(asyncio.sleep)
    _now: Callable[[], float] = staticmethod(time.monotonic)

    async def schedule_new_orchestration(
        self,
        orchestrator: Any,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: ops.ExistingPolicy | None = None,
        tags: dict[str, str] | None = None,
        version: str | None = None,
    ) -> str:
        """Start an orchestration, by name or decorated function, and give its id. Raises `ValueError` when refused."""
        operation = ops.StartInstance(
            durable_name(orchestrator, ORCHESTRATION_TRIGGER, "orchestrator"),
            instance_id or None,
            None if input is None else stored_input(dumps(input, "input"), self._dialect),
            version,
            tags,
            microseconds(start_at) or 0,
            reuse_id_policy,
        )
        answer = _expect(await self._ask(operation), ops.Started)
        return answer.instance_id

    async def get_orchestration_state(
        self, instance_id: str, *, fetch_payloads: bool = True
    ) -> OrchestrationState | None:
        """The state of an orchestration, None when there is none with this id."""
        answer = await self._ask(ops.GetInstance(instance_id))
        if _is_missing(answer):
            return None
        return state_of(_expect(answer, ops.Found).record, payloads=fetch_payloads)

    async def get_orchestration_history(
        self, instance_id: str, *, execution_id: str | None = None, for_work_item_processing: bool = False
    ) -> list[HistoryEvent]:
        """The history events of the current execution, oldest first."""
        answer = _expect(await self._ask(ops.GetInstance(instance_id, with_history=True)), ops.Found)
        return answer.history or []

    async def get_all_orchestration_states(self, query: OrchestrationQuery | None = None) -> list[OrchestrationState]:
        """The states of all orchestrations that match."""
        query = query or OrchestrationQuery()
        statuses = tuple(status.value for status in query.runtime_status or ())
        filter_ = InstanceFilter(
            created_from=microseconds(query.created_time_from),
            created_to=microseconds(query.created_time_to),
            statuses=statuses,
            kinds=(InstanceKind.ORCHESTRATION,),
        )
        records = await self._list(filter_, query.max_instance_count)
        return [state_of(record, payloads=query.fetch_inputs_and_outputs) for record in records]

    async def list_instance_ids(
        self,
        *,
        runtime_status: list[OrchestrationStatus] | None = None,
        completed_time_from: datetime | None = None,
        completed_time_to: datetime | None = None,
        page_size: int = 100,
        continuation_token: str | None = None,
    ) -> Page:
        """One page of instance ids, of at most 1000. Raises `ValueError` for a `page_size` below 1."""
        if page_size < 1:
            raise ValueError(f"page_size is {page_size}. Expected at least 1.")
        size = min(page_size, _LARGEST_PAGE)
        statuses = tuple(status.value for status in runtime_status or ())
        filter_ = InstanceFilter(statuses=statuses, kinds=(InstanceKind.ORCHESTRATION,))
        answer = _expect(await self._ask(ops.ListInstances(filter_, size, continuation_token)), ops.Listed)
        first, last = microseconds(completed_time_from) or 0, microseconds(completed_time_to)
        items = [
            record.instance_id
            for record in answer.items
            if record.completed >= first and (last is None or 0 < record.completed <= last)
        ]
        return Page(items, answer.continuation)

    async def wait_for_orchestration_start(
        self, instance_id: str, *, fetch_payloads: bool = False, timeout: float = 60
    ) -> OrchestrationState | None:
        """Wait until the orchestration is no longer pending; raises `TimeoutError` after `timeout` seconds."""
        return await self._wait(
            instance_id, lambda s: s.runtime_status is not OrchestrationStatus.PENDING, fetch_payloads, timeout, "start"
        )

    async def wait_for_orchestration_completion(
        self, instance_id: str, *, fetch_payloads: bool = True, timeout: float = 60
    ) -> OrchestrationState | None:
        """Wait until the orchestration has ended; raises `TimeoutError` after `timeout` seconds."""
        return await self._wait(
            instance_id, lambda state: state.runtime_status in TERMINAL, fetch_payloads, timeout, "complete"
        )

    async def _wait(
        self,
        instance_id: str,
        reached: Callable[[OrchestrationState], bool],
        payloads: bool,
        timeout: float,
        what: str,
    ) -> OrchestrationState | None:
        deadline, pause = self._now() + timeout, _FIRST_POLL
        while True:
            state = await self.get_orchestration_state(instance_id, fetch_payloads=payloads)
            if state is None or reached(state):
                return state
            remaining = deadline - self._now()
            if remaining <= 0:
                raise TimeoutError(f"Timed-out waiting for orchestration '{instance_id}' to {what}")
            await self._sleep(min(pause, remaining))
            pause = min(pause * 1.5, _SLOWEST_POLL)

    async def raise_orchestration_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        """Raise an external event."""
        _expect(await self._ask(ops.RaiseEvent(instance_id, event_name, dumps(data, "data"), client=True)), ops.Done)

    async def terminate_orchestration(self, instance_id: str, *, output: Any = None, recursive: bool = True) -> None:
        """End an orchestration (and its children) with `output`."""
        reason = output if output is None or isinstance(output, str) else dumps(output, "output")
        await self._ask_unless_gone(ops.TerminateInstance(instance_id, reason, recursive))

    async def suspend_orchestration(self, instance_id: str) -> None:
        """Suspend an orchestration."""
        await self._ask_unless_gone(ops.SuspendInstance(instance_id))

    async def resume_orchestration(self, instance_id: str) -> None:
        """Resume a suspended orchestration."""
        await self._ask_unless_gone(ops.ResumeInstance(instance_id))

    async def rewind_orchestration(self, instance_id: str, *, reason: str | None = None) -> None:
        """Run again what failed in a failed orchestration."""
        _expect(await self._ask(ops.RewindInstance(instance_id, reason)), ops.Done)

    async def restart_orchestration(self, instance_id: str, *, restart_with_new_instance_id: bool = False) -> str:
        """Start again with the original input; gives the id of the instance that runs."""
        answer = _expect(await self._ask(ops.RestartInstance(instance_id, restart_with_new_instance_id)), ops.Started)
        return answer.instance_id

    async def purge_orchestration(self, instance_id: str, recursive: bool = True) -> PurgeInstancesResult:
        """Delete an instance."""
        answer = await self._ask(ops.PurgeInstance(instance_id, recursive))
        return PurgeInstancesResult(0 if _is_missing(answer) else _expect(answer, ops.Purged).instances)

    async def purge_orchestrations_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationStatus] | None = None,
        recursive: bool = False,
    ) -> PurgeInstancesResult:
        """Delete the finished orchestrations that match."""
        filter_ = InstanceFilter(
            created_from=microseconds(created_time_from),
            created_to=microseconds(created_time_to),
            statuses=tuple(status.value for status in runtime_status or ()),
            kinds=(InstanceKind.ORCHESTRATION,),
        )
        return PurgeInstancesResult(_expect(await self._ask(ops.PurgeInstances(filter_)), ops.Purged).instances)

    async def get_entity(self, entity_instance_id: Entity, include_state: bool = True) -> EntityMetadata | None:
        """An entity with its state, None when it does not exist."""
        answer = await self._ask(ops.GetInstance(scheduler_id(entity_instance_id)))
        if _is_missing(answer):
            return None
        record = _expect(answer, ops.Found).record
        if record.state is None:
            return None
        (backlog,) = await self._backlogs([record])
        return metadata_of(record, with_state=include_state, backlog=backlog)

    async def get_all_entities(self, query: EntityQuery | None = None) -> list[EntityMetadata]:
        """All entities that match."""
        query = query or EntityQuery()
        prefix = query.instance_id_starts_with
        filter_ = InstanceFilter(
            id_prefix=prefix if not prefix or prefix.startswith("@") else f"@{prefix.lower()}",
            kinds=(InstanceKind.ENTITY,),
        )
        records = [r for r in await self._list(filter_, None) if r.state is not None or query.include_transient]
        backlogs = await self._backlogs(records)
        found = [
            metadata_of(record, with_state=query.include_state, backlog=backlog)
            for record, backlog in zip(records, backlogs, strict=True)
        ]
        first, last = query.last_modified_from, query.last_modified_to
        return [
            entity
            for entity in found
            if (first is None or entity.last_modified >= first) and (last is None or entity.last_modified <= last)
        ]

    async def _backlogs(self, records: list[InstanceRecord]) -> list[int]:
        """How much waits for each of these entities."""
        counts: list[int] = []
        for first in range(0, len(records), _BACKLOGS):
            numbers = tuple(record.n for record in records[first : first + _BACKLOGS])
            counts += _expect(await self._ask(ops.CountWaiting(numbers)), ops.WaitingCounted).counts
        return counts

    async def clean_entity_storage(
        self, remove_empty_entities: bool = True, release_orphaned_locks: bool = True
    ) -> CleanEntityStorageResult:
        """Remove empty entities and release locks of instances that are gone."""
        operation = ops.CleanEntities(remove_empty_entities, release_orphaned_locks)
        answer = _expect(await self._ask(operation), ops.EntitiesCleaned)
        return CleanEntityStorageResult(answer.empty_removed, answer.locks_released)

    async def signal_entity(
        self,
        entityId: Entity | None = None,
        operation_name: str = "",
        operation_input: Any = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
        *,
        input: Any = None,
        signal_time: datetime | None = None,
        entity_instance_id: Entity | None = None,
    ) -> None:
        """Send an operation to an entity, now or at `signal_time`, without waiting."""
        entity = entityId if entityId is not None else entity_instance_id
        if entity is None:
            raise TypeError("signal_entity needs an entity id")
        value = operation_input if operation_input is not None else input
        if signal_time is not None:
            text = None if value is None else dumps(value, "operation_input")
            due = microseconds(signal_time) or 0
            operation = ops.SignalEntityOperation(scheduler_id(entity), operation_name, text, due, client=True)
            _expect(await self._ask(operation), ops.Done)
            return
        await self._send(
            requests.signal_entity(self._base, entity, operation_name, value, task_hub_name, connection_name)
        )

    async def _list(self, filter_: InstanceFilter, limit: int | None) -> list[Any]:
        found: list[Any] = []
        continuation: str | None = None
        while limit is None or len(found) < limit:
            size = _LARGEST_PAGE if limit is None else min(_LARGEST_PAGE, limit - len(found))
            answer = _expect(await self._ask(ops.ListInstances(filter_, size, continuation)), ops.Listed)
            found += answer.items
            continuation = answer.continuation
            if continuation is None:
                break
        return found

    async def _ask_unless_gone(self, operation: ops.Operation) -> None:
        answer = await self._ask(operation)
        if not (isinstance(answer, ops.Refused) and answer.code is ops.RefusalCode.GONE):
            _expect(answer, ops.Done)


class DurableOrchestrationClient(DurableFunctionsClient):
    """Starts, reads and manages orchestrations and entities, with the methods and errors of SDK 1.x."""

    async def start_new(
        self,
        orchestration_function_name: str,
        instance_id: str | None = None,
        client_input: Any = None,
        version: str | None = None,
    ) -> str:
        """Start an orchestration and give its id.

        Raises `Exception` for an unknown orchestrator, an id that is in use or may not be used.
        """
        name = durable_name(orchestration_function_name, ORCHESTRATION_TRIGGER, "orchestration_function_name")
        request = requests.start_new(self._base, name, instance_id, client_input, version, self._dialect)
        identifier: str = await self._send(request)
        return identifier

    async def get_status(
        self,
        instance_id: str,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = False,
    ) -> DurableOrchestrationStatus:
        """The status of an instance; a false value when there is none with this id."""
        view = requests.View(show_input, show_history, show_history_output)
        status: DurableOrchestrationStatus = await self._send(requests.get_status(self._base, instance_id, view))
        return status

    async def get_status_all(self) -> list[DurableOrchestrationStatus]:
        """The statuses of all orchestrations."""
        return await self._send_list(requests.list_instances(self._base))

    async def get_status_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationRuntimeStatus] | None = None,
        instance_id_prefix: str | None = None,
    ) -> list[DurableOrchestrationStatus]:
        """The statuses of the orchestrations that match."""
        request = requests.list_instances(
            self._base, created_time_from, created_time_to, runtime_status, instance_id_prefix
        )
        return await self._send_list(request)

    async def raise_event(
        self,
        instance_id: str,
        event_name: str,
        event_data: Any = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
    ) -> None:
        """Raise an external event. Raises `Exception` when there is no such instance or it has ended."""
        await self._send(
            requests.raise_event(self._base, instance_id, event_name, event_data, task_hub_name, connection_name)
        )

    async def terminate(self, instance_id: str, reason: str | None = None) -> None:
        """End an instance. One that has ended is left alone; raises `Exception` when there is none."""
        operation = ops.TerminateInstance(instance_id, reason)
        await self._send(requests.with_reason(self._base, instance_id, "terminate", operation, reason))

    async def suspend(self, instance_id: str, reason: str | None = None) -> None:
        """Suspend an instance. One that has ended is left alone; raises `Exception` when there is none."""
        operation = ops.SuspendInstance(instance_id, reason)
        await self._send(requests.with_reason(self._base, instance_id, "suspend", operation, reason))

    async def resume(self, instance_id: str, reason: str | None = None) -> None:
        """Resume an instance. One that has ended is left alone; raises `Exception` when there is none."""
        operation = ops.ResumeInstance(instance_id, reason)
        await self._send(requests.with_reason(self._base, instance_id, "resume", operation, reason))

    async def rewind(
        self,
        instance_id: str,
        reason: str | None = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
    ) -> None:
        """Run again what failed in a failed instance. Raises `Exception` in any other state."""
        await self._send(requests.rewind(self._base, instance_id, reason, task_hub_name, connection_name))

    async def restart(self, instance_id: str, restart_with_new_instance_id: bool = True) -> str:
        """Start again with the original input; gives the id of the instance that runs."""
        identifier: str = await self._send(requests.restart(self._base, instance_id, restart_with_new_instance_id))
        return identifier

    async def purge_instance_history(self, instance_id: str) -> PurgeHistoryResult:
        """Delete an instance with everything it has."""
        result: PurgeHistoryResult = await self._send(requests.purge(self._base, instance_id))
        return result

    async def purge_instance_history_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationRuntimeStatus] | None = None,
    ) -> PurgeHistoryResult:
        """Delete the finished orchestrations that match. Raises `ValueError` without `created_time_from`."""
        request = requests.purge_by(self._base, created_time_from, created_time_to, runtime_status)
        result: PurgeHistoryResult = await self._send(request)
        return result

    async def read_entity_state(
        self,
        entityId: Entity | None = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
        *,
        entity_instance_id: Entity | None = None,
    ) -> EntityStateResponse:
        """The state of an entity."""
        entity = entityId if entityId is not None else entity_instance_id
        if entity is None:
            raise TypeError("read_entity_state needs an entity id")
        request = requests.read_entity(self._base, entity, task_hub_name, connection_name)
        response: EntityStateResponse = await self._send(request)
        return response

    async def wait_for_completion_or_create_check_status_response(
        self,
        request: HttpRequest | None,
        instance_id: str,
        timeout_in_milliseconds: int = 10000,
        retry_interval_in_milliseconds: int = 1000,
        return_internal_server_error_on_failure: bool | None = None,
    ) -> HttpResponse:
        """The output as HTTP response when the instance ends in time, else the check-status response."""
        timeout, interval = timeout_in_milliseconds, retry_interval_in_milliseconds
        if interval > timeout:
            raise Exception(f"Total timeout {timeout} (ms) should be bigger than retry timeout {interval} (ms)")
        failed_is_error = return_internal_server_error_on_failure
        if failed_is_error is None:
            failed_is_error = self._dialect == 1
        started = self._now()
        while True:
            status = await self.get_status(instance_id)
            response = _final_response(status, failed_is_error) if status else None
            if response is not None:
                return response
            remaining = timeout - (self._now() - started) * 1000
            if remaining <= 0:
                break
            await self._sleep(min(interval, remaining) / 1000)
        return self.create_check_status_response(request, instance_id, bool(return_internal_server_error_on_failure))


def _final_response(status: DurableOrchestrationStatus, failed_is_error: bool) -> HttpResponse | None:
    """The HTTP response to an ended instance, None while it runs. A text output is sent without quotes."""
    from azure.functions import HttpResponse

    runtime_status = status.runtime_status
    code, body = 200, None
    if runtime_status is OrchestrationRuntimeStatus.Completed:
        body = status.output
    elif runtime_status in (OrchestrationRuntimeStatus.Canceled, OrchestrationRuntimeStatus.Terminated):
        body = status.to_json()
    elif runtime_status is OrchestrationRuntimeStatus.Failed:
        code, body = 500 if failed_is_error else 200, status.to_json()
    else:
        return None
    return HttpResponse(
        status_code=code,
        body=body if isinstance(body, str) else json.dumps(body),
        mimetype="application/json",
        headers={"Content-Type": "application/json"},
    )


class Page:
    """One page of ids; `continuation_token` is None after the last."""

    def __init__(self, items: list[str], continuation_token: str | None) -> None:
        self.items = items
        self.continuation_token = continuation_token


A = TypeVar("A", bound=ops.OperationAnswer)


def _expect(answer: ops.OperationAnswer, kind: type[A]) -> A:
    """`answer` as what it must be; raises `ValueError` with the hub's text when it refused."""
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, ops.Refused):
        raise ValueError(answer.text)
    raise TypeError(f"the task hub answered {type(answer).__name__} where {kind.__name__} belongs")


def _is_missing(answer: ops.OperationAnswer) -> bool:
    return isinstance(answer, ops.Refused) and answer.code is ops.RefusalCode.NOT_FOUND


# ---------------------------------------------------------------- the blocking twin

P = ParamSpec("P")
T = TypeVar("T")


async def _sleep_blocking(seconds: float) -> None:
    time.sleep(seconds)


class _Blocking(BlockingCore, DurableOrchestrationClient):
    """A client whose coroutines run to their end without an event loop."""

    _sleep = staticmethod(_sleep_blocking)


def _blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """The blocking form of a client's method, with the same signature."""

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine = method(self._blocking_client, *args, **kwargs)
        try:
            coroutine.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result
        coroutine.close()
        raise RuntimeError("a blocking client waited for an event loop")

    return call


class SyncDurableFunctionsClient(ClientCore):
    """The client for plain functions: all methods of both SDK generations, blocking."""

    def __init__(self, context: str, function_invocation_id: str | None = None) -> None:
        super().__init__(context, function_invocation_id)
        self._blocking_client = _Blocking(context, function_invocation_id)

    schedule_new_orchestration = _blocking(DurableOrchestrationClient.schedule_new_orchestration)
    get_orchestration_state = _blocking(DurableOrchestrationClient.get_orchestration_state)
    get_orchestration_history = _blocking(DurableOrchestrationClient.get_orchestration_history)
    get_all_orchestration_states = _blocking(DurableOrchestrationClient.get_all_orchestration_states)
    list_instance_ids = _blocking(DurableOrchestrationClient.list_instance_ids)
    wait_for_orchestration_start = _blocking(DurableOrchestrationClient.wait_for_orchestration_start)
    wait_for_orchestration_completion = _blocking(DurableOrchestrationClient.wait_for_orchestration_completion)
    raise_orchestration_event = _blocking(DurableOrchestrationClient.raise_orchestration_event)
    terminate_orchestration = _blocking(DurableOrchestrationClient.terminate_orchestration)
    suspend_orchestration = _blocking(DurableOrchestrationClient.suspend_orchestration)
    resume_orchestration = _blocking(DurableOrchestrationClient.resume_orchestration)
    rewind_orchestration = _blocking(DurableOrchestrationClient.rewind_orchestration)
    restart_orchestration = _blocking(DurableOrchestrationClient.restart_orchestration)
    purge_orchestration = _blocking(DurableOrchestrationClient.purge_orchestration)
    purge_orchestrations_by = _blocking(DurableOrchestrationClient.purge_orchestrations_by)
    get_entity = _blocking(DurableOrchestrationClient.get_entity)
    get_all_entities = _blocking(DurableOrchestrationClient.get_all_entities)
    clean_entity_storage = _blocking(DurableOrchestrationClient.clean_entity_storage)
    signal_entity = _blocking(DurableOrchestrationClient.signal_entity)
    start_new = _blocking(DurableOrchestrationClient.start_new)
    get_status = _blocking(DurableOrchestrationClient.get_status)
    get_status_all = _blocking(DurableOrchestrationClient.get_status_all)
    get_status_by = _blocking(DurableOrchestrationClient.get_status_by)
    raise_event = _blocking(DurableOrchestrationClient.raise_event)
    terminate = _blocking(DurableOrchestrationClient.terminate)
    suspend = _blocking(DurableOrchestrationClient.suspend)
    resume = _blocking(DurableOrchestrationClient.resume)
    rewind = _blocking(DurableOrchestrationClient.rewind)
    restart = _blocking(DurableOrchestrationClient.restart)
    purge_instance_history = _blocking(DurableOrchestrationClient.purge_instance_history)
    purge_instance_history_by = _blocking(DurableOrchestrationClient.purge_instance_history_by)
    read_entity_state = _blocking(DurableOrchestrationClient.read_entity_state)
    wait_for_completion_or_create_check_status_response = _blocking(
        DurableOrchestrationClient.wait_for_completion_or_create_check_status_response
    )


__all__ = [
    "ClientTransport",
    "DurableFunctionsClient",
    "DurableOrchestrationClient",
    "HttpManagementPayload",
    "NoTaskHub",
    "SyncDurableFunctionsClient",
    "client_options",
    "set_transport",
    "transport",
]
