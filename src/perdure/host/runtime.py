"""One host: its parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

from msgspec import structs

from perdure import portable
from perdure.host.admin_api import AdminApi
from perdure.host.composition import OpenStore, hub_options, open_store, supervisor_options
from perdure.host.config import HostConfig
from perdure.host.console import Console
from perdure.host.errors import StartError
from perdure.host.executions import Execution, RunKind, RunStarted
from perdure.host.function_list import HTTP, FunctionList, list_functions, printed_list
from perdure.host.host_telemetry import HostTelemetry
from perdure.host.http import Front
from perdure.host.logs import ERROR, HOST_API, INFORMATION, WARNING, HostLog
from perdure.host.loop import LoopClock, NoWakes, answer_of
from perdure.host.management_api import ManagementApi
from perdure.host.messages import AppIndexed, ClientCall, IndexedFunction
from perdure.host.routing import RouteTable
from perdure.host.server import HttpServer, open_sockets
from perdure.host.supervisor import Supervisor, WorkerStartError
from perdure.host.timers import Timers
from perdure.model.operations import Operation, OperationAnswer, RefusalCode, Refused, StartInstance
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub

#: what stopping may take beyond the grace of running functions, in seconds
_CLOSING = 3.0
_LEVELS = {"Information": INFORMATION, "Warning": WARNING, "Error": ERROR}


class Host:
    """A running host. `run` starts it, serves until it is told to stop, and stops it."""

    def __init__(self, config: HostConfig, console: Console, began: float) -> None:
        self._config = config
        self._console = console
        self._began = began
        self._log = HostLog.of(config, console.record)
        self._code = secrets.token_urlsafe(32)
        self.host_id = uuid.uuid4().hex
        self.state = "Starting"
        self.errors: list[str] = []
        self.functions = FunctionList((), RouteTable(config.route_prefix), {})
        self._stop_asked = asyncio.Event()
        self._drained = False
        self._loop = asyncio.get_running_loop()
        self._clock = LoopClock(self._loop)
        self._store: OpenStore | None = None
        self._hub: TaskHub | None = None
        self._client: HubClient | None = None
        self._front: Front
        self._supervisor: Supervisor
        self._workers: asyncio.Future[AppIndexed] | None = None
        self._server: HttpServer | None = None
        self._timers: Timers | None = None

    async def run(self) -> int:
        """The whole life of the host; the exit code. Raises `StartError` when it cannot start."""
        portable.on_stop_signals(self._loop, self._signalled)
        sockets = open_sockets(self._config.address, self._config.port)
        self._config = self._config.on_port(sockets[0].getsockname()[1])
        started = asyncio.ensure_future(self._start(sockets))
        stop_asked = asyncio.ensure_future(self._stop_asked.wait())
        try:
            await asyncio.wait([started, stop_asked], return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                await self._abandon(started)
                return 0
            await started
        except BaseException:
            stop_asked.cancel()
            await self._abandon(started)
            raise
        finally:
            if self._server is None or not self._server.started:
                for opened in sockets:
                    opened.close()
        await stop_asked
        await self._stop()
        return 0

    # start ------------------------------------------------------------------------------------------------------

    async def _start(self, sockets: list[Any]) -> None:
        config = self._config
        self._supervisor = Supervisor(
            supervisor_options(config, dict(os.environ), self._code),
            on_log=lambda line: self._log.user(line, 0),
            on_client_call=self._client_call,
            on_executed=self._executed,
        )
        # the workers load the app while this process opens the store and the server
        self._workers = asyncio.ensure_future(self._supervisor.start())
        await asyncio.sleep(0)
        self._store = open_store(config, self._clock, self._loop, self._changed)
        self._front = Front(config, self._log, self._supervisor)
        self._server = HttpServer(self._front, ssl=None)
        try:
            app = await self._workers
        except WorkerStartError as error:
            raise StartError(str(error)) from None
        self._take_in(app)
        await self._open_hub(app)
        self._front.attach(
            AdminApi(self, config.route_prefix),
            ManagementApi(
                self.ask,
                task_hub=config.hub_name,
                code=self._code,
                forwarded=config.use_forwarded_host,
            ),
        )
        self._front.serve(self.functions.routes)
        await self._server.start(sockets)
        self.state = "Running"
        self._announce()
        self._timers = self._made_timers()
        self._timers.start()

    def _take_in(self, app: AppIndexed) -> None:
        """Learn what the app contains. Raises `StartError` with the user's own text when it cannot run."""
        fatal = [error.text for error in app.errors if error.fatal]
        if fatal:
            raise StartError("\n".join(fatal))
        self.functions = list_functions(app.functions, self._config)
        self.errors = [error.text for error in app.errors]
        for function, text in self.functions.mistakes.items():
            self.errors.append(f"The '{function}' function is in error: {text}")
        for text in self.errors:
            self._log.write("perdure", ERROR, text)
        for text in app.warnings:
            self._log.write("perdure", WARNING, text)
        self._tell_about_triggers()

    def _tell_about_triggers(self) -> None:
        silent = self.functions.not_fired()
        if silent:
            names = ", ".join(f"{function.name} ({function.trigger})" for function in silent)
            self._log.write(
                "perdure", WARNING, f"Not fired here, only by hand with POST /admin/functions/NAME: {names}."
            )

    async def _open_hub(self, app: AppIndexed) -> None:
        assert self._store is not None
        self._hub = TaskHub(
            self._store.provider,
            self._supervisor,
            self._clock,
            NoWakes(),
            hub_options(self._config, self.functions, self.host_id, app.fingerprint),
            HostTelemetry(self._log, self.host_id),
        )
        self._client = HubClient(self._hub)
        started = self._loop.create_future()
        self._hub.start(lambda: None if started.done() else started.set_result(None))
        await started

    def _made_timers(self) -> Timers:
        assert self._store is not None
        assert self._hub is not None
        hub = self._hub
        return Timers(
            self.functions,
            self._config,
            clock=self._clock,
            store=self._store.provider,
            token=lambda: hub.token,
            run=self._supervisor.invoke_trigger,
            log=self._log,
        )

    def _announce(self) -> None:
        config = self._config
        for level, text in config.notes:
            self._log.write("perdure", _LEVELS[level], text)
        if config.address not in ("127.0.0.1", "::1", "localhost"):
            self._log.write(
                "perdure",
                WARNING,
                f"Functions and management are open to everyone who reaches {config.address}: nothing is protected "
                "by keys yet.",
            )
        scheme = "https" if config.flags.use_https else "http"
        for text, colour in printed_list(self.functions, f"{scheme}://localhost:{config.port}", config.route_prefix):
            self._console.text(text, colour)
        if not config.flags.verbose:
            self._console.text("For detailed output, run perdure with --verbose flag.")
        self._log.write("Worker", INFORMATION, "Worker process started and initialized.")
        self._log.write(
            "Host.Startup", INFORMATION, f"Host started ({(time.perf_counter() - self._began) * 1000:.0f}ms)"
        )

    # while it runs ----------------------------------------------------------------------------------------------

    async def ask(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the hub of that name, "" for the app's own."""
        return await answer_of(lambda done: self._ask(operation, task_hub, done))

    def _ask(self, operation: Operation, task_hub: str, done: Callable[[OperationAnswer], None]) -> None:
        if self._client is None:
            done(Refused(RefusalCode.UNAVAILABLE, "The host is starting."))
        elif task_hub and task_hub.lower() != self._config.hub_name.lower():
            done(
                Refused(
                    RefusalCode.NOT_BUILT,
                    f"Task hub '{task_hub}' is not the one of this app ('{self._config.hub_name}'); "
                    "addressing another hub is not built yet.",
                )
            )
        else:
            self._client.call(operation, done)

    def _client_call(self, call: ClientCall, reply: Callable[[OperationAnswer], None]) -> None:
        self._ask(call.operation, call.task_hub, reply)

    def _executed(self, event: Execution) -> None:
        if isinstance(event, RunStarted):
            by_host = event.kind in (RunKind.HTTP, RunKind.TRIGGER)
            reason = event.reason or (HOST_API if by_host else "(null)")
            self._log.executing(event.function, event.invocation, reason, event.details, event.instance_id)
        else:
            self._log.executed(
                event.function, event.invocation, event.duration * 1000, event.error or None, event.instance_id
            )

    def _changed(self, numbers: list[int]) -> None:
        if self._hub is not None:
            self._hub.woken()

    async def run_by_hand(self, function: IndexedFunction, payload: str | None) -> None:
        """Run a function of any kind to its end; what comes of it is in the log."""
        if function.trigger == HTTP:
            body = (payload or "").encode("utf-8")
            headers = [("content-type", "application/json"), ("host", f"localhost:{self._config.port}")]
            url = f"http://localhost:{self._config.port}/admin/functions/{function.name}"
            await self._supervisor.invoke_http(function.name, "POST", url, headers, {}, {}, body)
        elif function.trigger == "orchestrationtrigger":
            answer = await self.ask(StartInstance(function.durable_name or function.name, None, payload))
            if isinstance(answer, Refused):
                self._log.write("perdure", ERROR, f"'{function.name}' was not started: {answer.text}")
        else:
            await self._supervisor.invoke_trigger(function.name, payload)

    def effective_settings(self) -> dict[str, Any]:
        """The settings that the host runs by, without what may be secret."""
        hidden = {"app_settings", "environment", "flags", "store", "custom_headers"}
        shown = {name: value for name, value in structs.asdict(self._config).items() if name not in hidden}
        return {**shown, "store": str(self._config.store)}

    # stop -------------------------------------------------------------------------------------------------------

    def _signalled(self) -> None:
        if not self._stop_asked.is_set():
            self._stop_asked.set()
            return
        # the second time: end at once; whatever was acknowledged is durable
        if self._workers is not None:
            self._supervisor.kill()
        self._console.close(0.5)
        os._exit(0)

    def drain(self) -> None:
        """Stop taking new work."""
        if not self._drained and self._hub is not None:
            self._drained = True
            self._front.pause(0.0)
            self._hub.drain(lambda: None)

    def drain_state(self) -> tuple[str, int]:
        """Disabled, InProgress or Completed, and the number of HTTP functions under way."""
        if not self._drained:
            return "Disabled", 0
        running = self._front.outstanding
        return ("InProgress" if running else "Completed"), running

    def resume(self) -> bool:
        """Taking work again after a drain is not possible: the host must be restarted."""
        return not self._drained

    async def _stop(self) -> None:
        self.state = "Stopping"
        deadline = self._loop.time() + self._config.shutdown_timeout
        self._front.pause(0.0)
        timers_ended = asyncio.ensure_future(self._timers.stop()) if self._timers is not None else None
        while self._front.outstanding and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        if timers_ended is not None and not await _within(timers_ended, deadline - self._loop.time()):
            timers_ended.cancel()
        assert self._hub is not None
        assert self._server is not None
        drained = self._loop.create_future()
        self._hub.drain(lambda: None if drained.done() else drained.set_result(None))
        if not await _within(drained, deadline - self._loop.time()):
            self._hub.end_grace()
            await _within(drained, _CLOSING)
        await self._supervisor.stop(max(0.0, deadline - self._loop.time()))
        closed = self._loop.create_future()
        self._hub.stop(lambda: None if closed.done() else closed.set_result(None))
        await _within(closed, _CLOSING)
        await self._server.stop(1.0)
        assert self._store is not None
        await self._loop.run_in_executor(None, self._store.shutdown)
        self.state = "Stopped"

    async def _abandon(self, started: asyncio.Future[None]) -> None:
        """The start failed, or is no longer wanted: leave nothing behind."""
        started.cancel()
        with contextlib.suppress(asyncio.CancelledError, StartError):
            await started
        if self._workers is not None:
            await _within(asyncio.ensure_future(self._supervisor.stop(0.0)), _CLOSING)
            self._supervisor.kill()
            self._workers.cancel()
            await asyncio.wait([self._workers])
        if self._store is not None:
            await self._loop.run_in_executor(None, self._store.shutdown)


async def _within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Whether the future is done within that time; it goes on either way."""
    done, _ = await asyncio.wait([future], timeout=max(0.0, seconds))
    return bool(done)


def run_host(config: HostConfig, began: float) -> int:
    """Run a host in this process until it is told to stop; the exit code. Raises `StartError`."""
    import sys

    console = Console(sys.stdout, config.flags.log_format)
    try:
        print_banner(console)
        return _run_on_loop(lambda: Host(config, console, began).run())
    finally:
        console.close()


def print_banner(console: Console) -> None:
    """What stands above everything else."""
    import platform

    import perdure

    console.text("")
    console.text("perdure")
    console.text(f"perdure Version:          {perdure.__version__} (Python {platform.python_version()})", "gray")
    console.text("Function Runtime Version: 4 (Durable Functions for Python)", "gray")
    console.text("")


def _run_on_loop(work: Callable[[], Any]) -> int:
    async def whole() -> int:
        code: int = await work()
        return code

    try:
        import uvloop
    except ImportError:
        return asyncio.run(whole())
    if hasattr(uvloop, "run"):
        return uvloop.run(whole())
    uvloop.install()
    return asyncio.run(whole())
