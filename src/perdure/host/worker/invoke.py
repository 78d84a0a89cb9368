"""Run user functions: arguments from their bindings, results and failures as messages for the host.

The functions here choose no thread: plain functions run on the thread that calls `run`, coroutines on the event loop
that awaits `run_async`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Union

from perdure.host.protocol.messages import (
    ActivityResult,
    BeginActivity,
    HttpAnswer,
    HttpInvocation,
    InvocationDone,
    InvocationFailed,
    TriggerInvocation,
)
from perdure.host.protocol.user_errors import hidden_frames
from perdure.host.worker.bindings import Bindings, Out
from perdure.host.worker.http_values import http_answer, http_request
from perdure.host.worker.indexing import LoadedFunction, is_coroutine_function
from perdure.host.worker.native_activity import input_parameter, of_input
from perdure.host.worker.trigger_values import trigger_value
from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityRequest
from perdure.model.failure import FailureDetails, describe
from perdure.sdk.serialization import decode_activity_input, dumps, encode_activity_result

ACTIVITY = "activitytrigger"

Begin = Union[BeginActivity, HttpInvocation, TriggerInvocation]
End = Union[ActivityResult, HttpAnswer, InvocationDone, InvocationFailed]
Outputs = dict[str, Out]
_NO_OUTPUTS: Outputs = {}


class UserFunction:
    """One function of the app, ready to be called. `typed`: convert inputs to annotated types."""

    __slots__ = (
        "_undelivered",
        "bindings",
        "call",
        "is_async",
        "is_plain",
        "name",
        "trigger",
        "trigger_binding",
        "typed",
    )

    def __init__(self, loaded: LoadedFunction, durable_client: str, typed: bool = False) -> None:
        """Raises ValueError when a parameter has no binding."""
        indexed = loaded.indexed
        self.name = indexed.name
        self.trigger = indexed.trigger
        self.typed = typed
        lowered = [{name.lower(): value for name, value in binding.items()} for binding in indexed.bindings]
        self.trigger_binding = next(b for b in lowered if str(b.get("type", "")).lower() == indexed.trigger)
        self.call = loaded.call
        if indexed.trigger == ACTIVITY:
            input_name = str(self.trigger_binding.get("name", ""))
            parameter = input_parameter(self.call, input_name, [str(b.get("name", "")) for b in lowered])
            if parameter is not None:
                self.call, self.typed = of_input(self.call, input_name, parameter), True
        self.bindings = Bindings(indexed.name, self.call, indexed.bindings, loaded.directory, durable_client)
        self.is_plain = self.bindings.is_plain
        self.is_async = is_coroutine_function(loaded.call)
        self._undelivered = dict(self.bindings.other_outputs)

    def prepare(self, begin: Begin) -> tuple[dict[str, Any], Outputs]:
        """The keyword arguments for `begin`, and the outputs among them. Raises what decoding the input raises."""
        if isinstance(begin, BeginActivity):
            request = begin.request
            value = decode_activity_input(request.input, self.bindings.trigger_annotation, typed=self.typed)
            trace = request.trace
        elif isinstance(begin, HttpInvocation):
            value, trace = http_request(begin), begin.trace
        elif self.trigger == ACTIVITY:
            value = decode_activity_input(begin.payload, self.bindings.trigger_annotation, typed=self.typed)
            trace = begin.trace
        else:
            value, trace = trigger_value(self.trigger, begin.payload, self.trigger_binding), begin.trace
        if self.is_plain:
            return {self.bindings.trigger: value}, _NO_OUTPUTS
        retry = begin.retry if isinstance(begin, TriggerInvocation) else None
        return self.bindings.arguments(value, begin.invocation, trace, retry)

    def finish(self, begin: Begin, returned: Any, outputs: Outputs, started: int, worker: str) -> End:
        """The message for a run that returned. Raises TypeError, ValueError or RuntimeError for a wrong value."""
        if self._undelivered:
            self._tell_undelivered(returned, outputs)
        if isinstance(begin, BeginActivity):
            request, result = begin.request, encode_activity_result(returned)
            return ActivityResult(
                begin.invocation,
                ActivityCompleted(request.n, request.generation, request.task, result, started, now(), worker),
            )
        if isinstance(begin, HttpInvocation):
            return http_answer(begin.invocation, self.bindings, returned, outputs)
        return InvocationDone(begin.invocation, _shown(returned))

    def _tell_undelivered(self, returned: Any, outputs: Outputs) -> None:
        """Say once of each output binding that its values go nowhere here."""
        given = [
            name
            for name in self._undelivered
            if (returned is not None if name == "$return" else name in outputs and outputs[name].is_set)
        ]
        if given:
            shown = ", ".join(f"{name} ({self._undelivered.pop(name)})" for name in given)
            which, verb = ("binding", "is") if len(given) == 1 else ("bindings", "are")
            logging.getLogger(__name__).info(
                "Function %s gave values to its output %s %s, which %s not delivered here.",
                self.name,
                which,
                shown,
                verb,
            )

    def fail(self, begin: Begin, error: BaseException, started: int, worker: str) -> End:
        """The message for a run that raised."""
        failure = describe(error, hide=hidden_frames())
        if isinstance(begin, BeginActivity):
            return ActivityResult(
                begin.invocation, activity_failed(begin.request, self.name, failure, started, now(), worker)
            )
        return InvocationFailed(begin.invocation, failure)

    def run(self, begin: Begin, worker: str, resolve: Callable[[Awaitable[Any]], Any]) -> End:
        """Run a plain function on this thread. `resolve` awaits what turns out to be a coroutine after all."""
        started = now()
        try:
            arguments, outputs = self.prepare(begin)
            returned = self.call(**arguments)
            if inspect.isawaitable(returned):
                returned = resolve(returned)
            return self.finish(begin, returned, outputs, started, worker)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its result, sys.exit() included
            return self.fail(begin, error, started, worker)

    async def run_async(self, begin: Begin, worker: str) -> End:
        """Run a coroutine function on this loop."""
        started = now()
        try:
            arguments, outputs = self.prepare(begin)
            returned = await self.call(**arguments)
            return self.finish(begin, returned, outputs, started, worker)
        except (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001
            # as above; what else ends a coroutine (GeneratorExit) belongs to the loop
            return self.fail(begin, error, started, worker)


def activity_failed(
    request: ActivityRequest, name: str, failure: FailureDetails, started: int, finished: int, worker: str
) -> ActivityFailed:
    """A failed activity with the published text (sdk-api.md 4.15; two blanks after the colon)."""
    reason = f"Activity function '{name}' failed:  {failure.error_type}: {failure.message}"
    return ActivityFailed(request.n, request.generation, request.task, reason, None, failure, started, finished, worker)


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def _shown(returned: Any) -> str | None:
    """JSON text of what a trigger function returned; nobody needs it, so nothing about it is an error."""
    if returned is None:
        return None
    try:
        return dumps(returned)
    except (TypeError, ValueError):
        return dumps(repr(returned))
