"""The durable client of SDK 2.0; `orchestration_client.py` adds the methods of 1.x, `blocking_client.py` blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.model import operations as ops
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord
from perdure.sdk import client_requests as requests
from perdure.sdk.client_core import ClientCore
from perdure.sdk.client_requests import microseconds
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
from perdure.sdk.types import (
    ORCHESTRATION_TRIGGER,
    EntityId,
    EntityInstanceId,
    scheduler_id,
)

if TYPE_CHECKING:
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
