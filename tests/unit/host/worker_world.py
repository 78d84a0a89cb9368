"""A supervisor with real worker processes over an app that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from perdure.host.protocol.executions import Execution
from perdure.host.protocol.messages import AppIndexed, ClientCall, HttpAnswer, InvocationFailed, LogLine
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.supervision.supervisor import Supervisor
from perdure.host.supervision.worker_link import SupervisorOptions
from perdure.model.execution import ActivityRequest, EntityRequest, TurnRequest
from perdure.model.history import ExecutionStarted, HistoryEvent
from perdure.model.operations import OperationAnswer, Started

BASE = "http://localhost:7071/runtime/webhooks/durabletask"
CLIENT_BINDING = (
    '{"taskHubName": "hub", "creationUrls": {"createNewInstancePostUri": "B/orchestrators?taskHub=hub&connection=S"},'
    '"managementUrls": {"id": "INSTANCEID", "statusQueryGetUri": "B/instances/INSTANCEID?taskHub=hub&connection=S"},'
    '"baseUrl": "B", "rpcBaseUrl": "B/"}'
).replace("B/", BASE + "/")

HEADER = """
import asyncio, logging, os, sys, threading, time
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""


class World:
    """One supervisor and what it told."""

    def __init__(self, options: SupervisorOptions) -> None:
        self.logs: list[LogLine] = []
        self.told: list[Execution] = []
        self.calls: list[ClientCall] = []
        self.answer: Callable[[ClientCall], OperationAnswer] = lambda call: Started("started")
        self.supervisor = Supervisor(
            options, on_log=self.logs.append, on_executed=self.told.append, on_client_call=self._client_call
        )
        self.app: AppIndexed

    def _client_call(self, call: ClientCall, reply: Callable[[OperationAnswer], None]) -> None:
        self.calls.append(call)
        reply(self.answer(call))

    @property
    def lines(self) -> list[str]:
        return [line.text for line in self.logs]

    def activity(self, name: str, input: str | None = None, task: int = 0, n: int = 1) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self.supervisor.run_activity(ActivityRequest(n, 0, task, f"instance{n}", name, input), future.set_result)
        return future

    def turn(
        self,
        name: str,
        n: int = 1,
        base: int = 0,
        events: list[HistoryEvent] | None = None,
        history: list[bytes] | None = None,
    ) -> asyncio.Future[Any]:
        if base == 0:
            events, history = [ExecutionStarted(name), *(events or [])], []
        future = asyncio.get_running_loop().create_future()
        request = TurnRequest(n, 0, base, f"instance{n}", name, 1_700_000_000_000_000 + base, events or [], history)
        self.supervisor.run_turn(request, future.set_result)
        return future

    def entity(self, request: EntityRequest) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self.supervisor.run_entity(request, future.set_result)
        return future

    async def http(self, function: str, body: bytes = b"", **fields: Any) -> HttpAnswer | InvocationFailed:
        url = f"http://localhost/api/{function}"
        return await self.supervisor.calls.invoke_http(function, "POST", url, [], {}, {}, body, **fields)

    async def until(self, reached: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait for something that a worker will tell."""
        ends = asyncio.get_running_loop().time() + seconds
        while not reached():
            assert asyncio.get_running_loop().time() < ends, self.lines
            await asyncio.sleep(0.005)


@asynccontextmanager
async def world(
    root: Path, app: str | None = None, settings: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[World]:
    """Start workers on `app`, the text of a function_app.py below `HEADER` (None: the files that are there)."""
    if app is not None:
        (root / "function_app.py").write_text(HEADER + app)
    values = WorkerSettings(**{"durable_client": CLIENT_BINDING, **(settings or {})})
    made = World(SupervisorOptions(str(root), settings=values, **options))
    try:
        made.app = await made.supervisor.start()
        yield made
    finally:
        await made.supervisor.stop(0.2)
