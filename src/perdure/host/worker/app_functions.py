"""The functions of an app as a worker calls them: found by what the host sends, run on any thread or on the loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Union

from perdure.host.protocol.messages import (
    ActivityResult,
    BeginActivity,
    BeginEntity,
    EntityResult,
    HttpInvocation,
    IndexError_,
    InvocationFailed,
    TriggerInvocation,
)
from perdure.host.protocol.user_errors import hidden_frames
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.worker import durable_http
from perdure.host.worker.indexing import LoadedApp
from perdure.host.worker.invoke import ACTIVITY, Begin, End, UserFunction, activity_failed, now
from perdure.model.execution import ActivityCompleted
from perdure.model.failure import FailureDetails, describe
from perdure.sdk import entity
from perdure.sdk.app import EntityCode, OrchestratorCode
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import dumps

#: instance number, generation and task id
ActivityKey = tuple[int, int, int]


class HttpCall:
    """The built-in activity of `call_http`, with the shape of a `UserFunction`."""

    name = durable_http.NAME
    is_async = False

    def __init__(self, allow: list[str]) -> None:
        self._allow = allow

    def run(self, begin: BeginActivity, worker: str, resolve: Callable[[Awaitable[Any]], Any]) -> End:
        """Send the request; what goes wrong fails the activity."""
        request, started = begin.request, now()
        try:
            result = dumps(durable_http.call(request.input, self._allow, request.trace))
        except Exception as error:  # noqa: BLE001 - the failure of the call is its result
            failure = describe(error, hide=hidden_frames())
            outcome: Any = activity_failed(request, self.name, failure, started, now(), worker)
        else:
            outcome = ActivityCompleted(request.n, request.generation, request.task, result, started, now(), worker)
        return ActivityResult(begin.invocation, outcome)


class EntityBatch:
    """One entity, with the shape of a `UserFunction`."""

    def __init__(self, name: str, code: EntityCode, options: SdkOptions) -> None:
        self.name = name
        self.is_async = code.is_async
        self._code = code
        self._options = options

    def run(self, begin: BeginEntity, worker: str, resolve: Callable[[Awaitable[Any]], Any]) -> EntityResult:
        """Run the batch on this thread."""
        started = time.monotonic()
        decided = entity.run_batch(self._code, begin.request, self._options)
        return EntityResult(begin.invocation, decided, int((time.monotonic() - started) * 1_000_000))

    async def run_async(self, begin: BeginEntity, worker: str) -> EntityResult:
        """Run the batch on this loop."""
        started = time.monotonic()
        decided = await entity.run_batch_async(self._code, begin.request, self._options)
        return EntityResult(begin.invocation, decided, int((time.monotonic() - started) * 1_000_000))


Runnable = Union[UserFunction, HttpCall, EntityBatch]
BeginAny = Union[Begin, BeginEntity]


class AppFunctions:
    """All functions of an app by name; names compare without case."""

    def __init__(self, app: LoadedApp, options: SdkOptions, settings: WorkerSettings) -> None:
        """Make everything ready to be called; what cannot be called is moved to the errors of `app`."""
        self._functions: dict[str, UserFunction] = {}
        self._activities: dict[str, Runnable] = {durable_http.NAME.lower(): HttpCall(list(settings.http_allow))}
        self._entities: dict[str, EntityBatch] = {}
        self._orchestrators: dict[str, tuple[str, OrchestratorCode]] = {}
        for loaded in list(app.functions):
            indexed, code = loaded.indexed, loaded.code
            if isinstance(code, OrchestratorCode):
                self._orchestrators[indexed.durable_name.lower()] = (indexed.name, code)
            elif isinstance(code, EntityCode):
                self._entities[indexed.durable_name.lower()] = EntityBatch(indexed.name, code, options)
            else:
                typed = options.typed_payloads or options.dialect == 2
                try:
                    function = UserFunction(loaded, settings.durable_client, typed)
                except ValueError as error:
                    app.errors.append(IndexError_(indexed.name, f"{error} ({indexed.location})"))
                    app.functions.remove(loaded)
                    continue
                self._functions[indexed.name.lower()] = function
                if indexed.trigger == ACTIVITY:
                    self._activities[indexed.durable_name.lower()] = function

    def find(self, begin: BeginAny) -> Runnable | None:
        """What `begin` runs."""
        name = function_name(begin).lower()
        if isinstance(begin, BeginActivity):
            return self._activities.get(name)
        return self._entities.get(name) if isinstance(begin, BeginEntity) else self._functions.get(name)

    def orchestrator(self, durable_name: str) -> OrchestratorCode | None:
        """The user's code of an orchestrator."""
        found = self._orchestrators.get(durable_name.lower())
        return found[1] if found else None

    def orchestrator_function(self, durable_name: str) -> str:
        """The function name behind the durable name of an orchestrator."""
        found = self._orchestrators.get(durable_name.lower())
        return found[0] if found else durable_name


def activity_key(begin: Any) -> ActivityKey | None:
    """What names the activity that `begin` starts; None for other kinds."""
    if isinstance(begin, BeginActivity):
        request = begin.request
        return request.n, request.generation, request.task
    return None


def instance_id(begin: Any) -> str:
    """The instance that `begin` runs for, empty for triggers."""
    if isinstance(begin, BeginActivity):
        return begin.request.instance_id
    return begin.request.entity_id if isinstance(begin, BeginEntity) else ""


def trace_of(begin: BeginAny) -> str | None:
    """The trace context that `begin` gives to user code. Operations of an entity each have their own."""
    if isinstance(begin, BeginActivity):
        return begin.request.trace
    return None if isinstance(begin, BeginEntity) else begin.trace


def function_name(begin: BeginAny) -> str:
    """The function that `begin` names: by its durable name, or by its own for triggers."""
    return begin.function if isinstance(begin, (HttpInvocation, TriggerInvocation)) else begin.request.name


def unknown(begin: BeginAny) -> Any:
    """The answer when there is no such function."""
    name = function_name(begin)
    failure = FailureDetails("FunctionNotFound", f"The function '{name}' doesn't exist or is disabled.")
    if isinstance(begin, BeginActivity):
        return ActivityResult(begin.invocation, activity_failed(begin.request, name, failure, 0, 0, ""))
    return InvocationFailed(begin.invocation, failure)


def cancelled(begin: BeginActivity, name: str) -> ActivityResult:
    """The answer for an activity that was cancelled before it began."""
    failure = FailureDetails("ActivityCancelled", "The activity was cancelled before it began.")
    return ActivityResult(begin.invocation, activity_failed(begin.request, name, failure, 0, 0, ""))
