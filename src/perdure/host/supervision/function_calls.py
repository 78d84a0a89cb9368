"""Functions that somebody waits for: an HTTP request, a timer, a person at the admin API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Union

from perdure.host.protocol.executions import RunKind
from perdure.host.protocol.messages import (
    HttpAnswer,
    HttpInvocation,
    InvocationDone,
    InvocationFailed,
    Retry,
    TriggerInvocation,
)
from perdure.host.supervision.runs import Run, Runs

CallOutcome = Union[HttpAnswer, InvocationDone, InvocationFailed]


class FunctionCalls:
    """Makes runs of calls and waits for their ends; `dispatch` gets each to a worker."""

    def __init__(self, runs: Runs, dispatch: Callable[[Run], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._runs = runs
        self._dispatch = dispatch

    async def invoke_http(
        self,
        function: str,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        params: dict[str, str],
        route_params: dict[str, str],
        body: bytes,
        trace: str | None = None,
    ) -> HttpAnswer | InvocationFailed:
        """Run an HTTP function to the end. A failure is an answer, not an exception."""
        invocation = self._runs.ids.next()
        begin = HttpInvocation(invocation, function, method, url, headers, params, route_params, body, trace)
        answer = await self._call(RunKind.HTTP, begin)
        assert isinstance(answer, (HttpAnswer, InvocationFailed))
        return answer

    async def invoke_trigger(
        self,
        function: str,
        payload: str | None,
        trace: str | None = None,
        reason: str = "",
        details: str = "",
        retry: Retry | None = None,
    ) -> InvocationDone | InvocationFailed:
        """Run any other function with its trigger's JSON text. `reason` and `details` are for the log."""
        begin = TriggerInvocation(self._runs.ids.next(), function, payload, trace, retry)
        answer = await self._call(RunKind.TRIGGER, begin, reason, details)
        assert isinstance(answer, (InvocationDone, InvocationFailed))
        return answer

    async def _call(
        self, kind: RunKind, begin: HttpInvocation | TriggerInvocation, reason: str = "", details: str = ""
    ) -> CallOutcome:
        future: asyncio.Future[CallOutcome] = self._loop.create_future()

        def done(outcome: CallOutcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self._dispatch(self._runs.call(kind, begin, done, reason, details))
        return await future
