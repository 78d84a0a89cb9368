"""The durable client of SDK 1.x: its methods and errors over the client of 2.0."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perdure.model import operations as ops
from perdure.sdk import client_requests as requests
from perdure.sdk.references import durable_name
from perdure.sdk.statuses import DurableOrchestrationStatus, EntityStateResponse, PurgeHistoryResult
from perdure.sdk.types import (
    ORCHESTRATION_TRIGGER,
    OrchestrationRuntimeStatus,
)

if TYPE_CHECKING:
    from azure.functions import HttpRequest, HttpResponse


from perdure.sdk.client import DurableFunctionsClient, Entity


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
