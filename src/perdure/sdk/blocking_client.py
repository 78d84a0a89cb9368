"""The blocking twin of the durable clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from perdure.sdk.client_core import BlockingCore, ClientCore

if TYPE_CHECKING:
    pass

from perdure.sdk.orchestration_client import DurableOrchestrationClient

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
