"""Runs of user code: what was asked for becomes one, and its start and end are told for logs and metrics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from perdure.engine.catalog import BUILT_IN_HTTP
from perdure.host.protocol.begun import InvocationIds
from perdure.host.protocol.executions import Execution, RunEnded, RunKind, RunStarted
from perdure.host.protocol.messages import (
    AppIndexed,
    BeginActivity,
    BeginEntity,
    BeginTurn,
    HttpInvocation,
    TriggerInvocation,
)
from perdure.model.execution import ActivityRequest, EntityRequest, TurnRequest


class Run:
    """One invocation that a worker was given and has not answered."""

    __slots__ = (
        "announced",
        "begin",
        "details",
        "done",
        "function",
        "instance_id",
        "invocation",
        "is_async",
        "kind",
        "needs_thread",
        "reason",
        "sent",
    )

    def __init__(
        self,
        kind: RunKind,
        begin: Any,
        function: str,
        instance_id: str,
        is_async: bool,
        done: Callable[[Any], None],
        reason: str = "",
        details: str = "",
        *,
        needs_thread: bool = False,
    ) -> None:
        #: whether its start was told
        self.announced = False
        #: of the worker's pool
        self.needs_thread = needs_thread
        self.reason = reason
        self.details = details
        self.kind = kind
        self.begin = begin
        self.invocation: str = begin.invocation
        self.function = function
        self.instance_id = instance_id
        self.is_async = is_async
        self.done = done
        self.sent = 0.0


class Runs:
    """Makes runs of the functions of the app that it knows; `told` gets the start and end of each (None: nobody does).
    `ids` numbers them."""

    def __init__(self, told: Callable[[Execution], None] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = told
        self.ids = InvocationIds(os.urandom(10))
        self._names: dict[tuple[str, str], str] = {}
        self._async_functions: set[str] = set()

    def know(self, app: AppIndexed) -> None:
        """The app as a worker has loaded it."""
        self._names = {
            (function.trigger, function.durable_name.lower()): function.name
            for function in app.functions
            if function.durable_name
        }
        self._async_functions = {function.name for function in app.functions if function.is_async}

    def turn(self, request: TurnRequest, unread: Run | None, done: Callable[[Any], None]) -> Run:
        """`unread`: the run that could not begin without the history and goes on as this one."""
        begin = BeginTurn(self.ids.next() if unread is None else unread.invocation, request)
        run = Run(
            RunKind.TURN, begin, self._name("orchestrationtrigger", request.name), request.instance_id, False, done
        )
        run.announced = unread is not None
        return run

    def activity(self, request: ActivityRequest, done: Callable[[Any], None]) -> Run:
        begin = BeginActivity(self.ids.next(), request)
        function = self._name("activitytrigger", request.name)
        run = Run(RunKind.ACTIVITY, begin, function, request.instance_id, function in self._async_functions, done)
        run.needs_thread = not run.is_async and request.name != BUILT_IN_HTTP
        return run

    def entity(self, request: EntityRequest, done: Callable[[Any], None]) -> Run:
        begin = BeginEntity(self.ids.next(), request)
        function = self._name("entitytrigger", request.name)
        is_async = function in self._async_functions
        return Run(RunKind.ENTITY, begin, function, request.entity_id, is_async, done, needs_thread=not is_async)

    def call(
        self,
        kind: RunKind,
        begin: HttpInvocation | TriggerInvocation,
        done: Callable[[Any], None],
        reason: str = "",
        details: str = "",
    ) -> Run:
        """A function that is no durable one. `reason` and `details` are what its trigger says of the run."""
        function = begin.function
        is_async = function in self._async_functions
        return Run(kind, begin, function, "", is_async, done, reason, details, needs_thread=not is_async)

    def started(self, run: Run) -> None:
        """A worker was given the run; told once."""
        if self._told is not None and not run.announced:
            run.announced = True
            self._told(RunStarted(run.function, run.invocation, run.kind, run.instance_id, run.reason, run.details))

    def ended(self, run: Run, error: str | None) -> None:
        """`error` "": it ended well; None: no word of it, it never began."""
        if self._told is not None and run.announced and error is not None:
            duration = self._loop.time() - run.sent
            self._told(RunEnded(run.function, run.invocation, run.kind, duration, not error, run.instance_id, error))

    def _name(self, trigger: str, durable_name: str) -> str:
        return self._names.get((trigger, durable_name.lower()), durable_name)
