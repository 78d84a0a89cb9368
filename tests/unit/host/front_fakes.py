"""A front over a real server on a free port, with a hub and workers that answer what a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from perdure.host.http.front import Front
from perdure.host.http.server import HttpServer, open_sockets
from perdure.host.logs.log import HostLog, LevelFilter, Record
from perdure.host.protocol.messages import HttpAnswer, HttpInvocation, InvocationFailed
from perdure.host.settings.config import Flags, HostConfig, load_config
from perdure.model.operations import Operation, OperationAnswer, RefusalCode, Refused


def configured(
    root: Path, host: str = '{"version": "2.0"}', flags: Flags | None = None, **environment: str
) -> HostConfig:
    """The configuration of an app that has nothing but a host.json."""
    (root / "host.json").write_text(host)
    return load_config(flags or Flags(), environment, root)


class FakeHub:
    """Records operations; answers from a table by type of operation."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.hubs: list[str] = []
        self.answers: dict[type, OperationAnswer | Callable[[Any], OperationAnswer]] = {}

    async def __call__(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        self.operations.append(operation)
        self.hubs.append(task_hub)
        answer = self.answers.get(type(operation), Refused(RefusalCode.NOT_FOUND, "nobody"))
        return answer(operation) if callable(answer) else answer


class FakeWorkers:
    """Records calls; answers with what `answer` gives."""

    def __init__(self) -> None:
        self.calls: list[HttpInvocation] = []
        self.answer: Callable[[HttpInvocation], HttpAnswer | InvocationFailed] = lambda call: HttpAnswer(
            call.invocation, 200, [("content-type", "text/plain; charset=utf-8")], b"ok"
        )
        self.hold: asyncio.Event | None = None

    async def invoke_http(self, *fields: Any) -> HttpAnswer | InvocationFailed:
        call = HttpInvocation("invocation", *fields)
        self.calls.append(call)
        if self.hold is not None:
            await self.hold.wait()
        return self.answer(call)


class Running:
    """A server on a thread of its own."""

    def __init__(self, config: HostConfig) -> None:
        self.records: list[Record] = []
        self.workers = FakeWorkers()
        self.hub = FakeHub()
        self.loop = asyncio.new_event_loop()
        self.front: Front
        self.port = 0
        self._config = config
        self._thread = threading.Thread(target=self.loop.run_forever)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call something on the server's loop."""

        async def on_loop() -> Any:
            return call(*arguments)

        return self.run(on_loop())

    def start(self, prepare: Callable[[Running], None]) -> None:
        self._thread.start()
        self.run(self._start(prepare))

    async def _start(self, prepare: Callable[[Running], None]) -> None:
        self.front = Front(self._config, HostLog(self.records.append, LevelFilter({})), self.workers)
        prepare(self)
        sockets = open_sockets("127.0.0.1", 0)
        self.port = sockets[0].getsockname()[1]
        self._server = HttpServer(self.front)
        await self._server.start(sockets)

    def stop(self) -> None:
        self.run(self._server.stop(1))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@contextmanager
def running(config: HostConfig, prepare: Callable[[Running], None]) -> Iterator[tuple[Running, httpx.Client]]:
    """A front that answers, and a client for it."""
    server = Running(config)
    server.start(prepare)
    try:
        with httpx.Client(base_url=f"http://localhost:{server.port}", timeout=10) as client:
            yield server, client
    finally:
        server.stop()
