"""One host: its parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import socket
import time
import uuid
from collections.abc import Callable
from typing import Any

from msgspec import structs

from perdure import portable
from perdure.host.admin_api import AdminApi
from perdure.host.app_loading import AppReload, LoadedApp
from perdure.host.by_hand import by_hand
from perdure.host.client_hubs import ClientHubs, OtherStores, other_hubs
from perdure.host.composition import OpenStore, hub_options, open_store, supervisor_options
from perdure.host.config import HostConfig
from perdure.host.console import Console
from perdure.host.environments import other_environment
from perdure.host.errors import StartError
from perdure.host.function_list import HTTP, FunctionList, in_error, printed_list
from perdure.host.health import HealthApi
from perdure.host.host_monitor import HostMonitor
from perdure.host.host_status import working
from perdure.host.http import Front
from perdure.host.hub_access import HubAccess
from perdure.host.library_logs import library_logs
from perdure.host.listeners import Listeners
from perdure.host.logs import ERROR, INFORMATION, WARNING, HostLog
from perdure.host.loop import LoopClock
from perdure.host.management_api import ManagementApi
from perdure.host.messages import AppIndexed, IndexedFunction
from perdure.host.metrics_api import PATH as METRICS_PATH
from perdure.host.retention import retention_rules
from perdure.host.routing import RouteTable
from perdure.host.scale_signals import PATH as SCALE_PATH
from perdure.host.scale_signals import Capacity, ScaleSignals
from perdure.host.server import HttpServer
from perdure.host.settings_table import visible_cpus
from perdure.host.supervisor import Supervisor, WorkerStartError
from perdure.host.timers import Timers
from perdure.host.tls import tls_options
from perdure.host.wakes import OpenWakes, open_wakes
from perdure.model.operations import Refused
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.options import HubOptions
from perdure.taskhub.retention import Retention

#: what stopping may take beyond the grace of running functions, in seconds
_CLOSING = 3.0
#: what taking work again after a drain may take, in seconds
_RESUMING = 10.0
#: after this time a host that is not ready says so
_SLOW_START = 20.0


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
        self._draining: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._clock = LoopClock(self._loop)
        self._access = HubAccess(config.hub_name, config.throw_on_raise_event)
        self._supervisor = Supervisor(
            supervisor_options(config, dict(os.environ), self._code),
            on_log=self._log.user,
            on_client_call=self._access.from_worker,
            on_executed=self._log.run,
        )
        self._monitor = HostMonitor(
            self._clock,
            lambda: self._supervisor.workers,
            lambda text: self._log.write("Host.Monitor", INFORMATION, text),
            pid=os.getpid(),
            cpus=visible_cpus(),
        )
        self._front = Front(config, self._log, self._supervisor.calls)
        self._front.watch(HealthApi(self))
        console.on_pressure(self._log_pressure)
        self._workers: asyncio.Future[AppIndexed] | None = None
        self._store: OpenStore | None = None
        self._hub: TaskHub | None = None
        self._other_hubs: ClientHubs | None = None
        self._other_stores: OtherStores | None = None
        self._retention: Retention | None = None
        self._server: HttpServer | None = None
        self._timers: Timers | None = None
        self._wakes: OpenWakes | None = None
        self._reload: AppReload | None = None
        self._listeners = Listeners(config, self._log, self.host_id)

    async def run(self, sockets: list[socket.socket]) -> int:
        """The whole life of the host; the exit code. Raises `StartError` when it cannot start."""
        with library_logs(self._log):
            return await self._run(sockets)

    async def _run(self, sockets: list[socket.socket]) -> int:
        portable.on_stop_signals(self._loop, self._signalled)
        started = asyncio.ensure_future(self._start(sockets))
        stop_asked = asyncio.ensure_future(self._stop_asked.wait())
        try:
            await self._within_start_timeout(started, stop_asked)
            if not started.done():
                await self._abandon(started)
                return 0
            await started
        except BaseException:
            stop_asked.cancel()
            await self._abandon(started)
            raise
        await stop_asked
        await self._stop()
        return 0

    # start ------------------------------------------------------------------------------------------------------

    async def _within_start_timeout(self, *events: asyncio.Future[Any]) -> None:
        """Wait until the host has started or is told to stop. Raises `StartError` after the time of --timeout."""
        limit = self._config.flags.timeout
        done, _ = await asyncio.wait(events, timeout=limit or _SLOW_START, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return
        if limit is not None:
            raise StartError(f"The host did not start within {limit:g} s (--timeout): the app is still loading.")
        self._log.write("perdure", WARNING, f"The app has been loading for {_SLOW_START:g} s and is not ready yet.")
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)

    async def _start(self, sockets: list[socket.socket]) -> None:
        config = self._config
        retention_rules(config.retention)
        # the workers load the app while this process opens the store and the server
        self._workers = asyncio.ensure_future(self._supervisor.start())
        await self._listeners.open()
        self._other_stores = OtherStores(config, self._listeners.sampling)
        await asyncio.sleep(0)
        self._store = open_store(
            config,
            self._clock,
            self._loop,
            self._changed,
            listen_url=config.setting("PERDURE_STORE_LISTEN"),
            told=lambda text: self._log.write("perdure", INFORMATION, text),
        )
        self._server = HttpServer(self._front, ssl=tls_options(config))
        try:
            app = await self._workers
        except WorkerStartError as error:
            raise StartError(str(error)) from None
        loaded = LoadedApp(app, config)
        await self._open_hub(loaded)
        assert self._hub is not None
        self._management = ManagementApi(
            self._access.ask,
            task_hub=config.hub_name,
            code=self._code,
            forwarded=config.use_forwarded_host,
            show_task_inputs=config.show_task_inputs,
            elsewhere=self._other_stores.find,
        )
        self._front.answer_at(
            SCALE_PATH,
            ScaleSignals(self._store.provider, self._capacity),
        )
        self._front.answer_at(METRICS_PATH, self._listeners.metrics_api(self._hub, self._supervisor))
        self._front.attach(AdminApi(self), self._management)
        await self._server.start(sockets)
        self._take(loaded)
        self.state = "Running"
        self._monitor.start()
        self._announce()
        if config.under_debugger:
            where = f"at 127.0.0.1:{config.flags.debug}" if config.flags.debug else f"({config.worker_arguments})"
            self._log.write("perdure", WARNING, f"A debugger may attach {where}; file changes do not reload the app.")
        elif config.flags.reload or (config.flags.reload is None and _is_loopback(config.address)):
            self._reload = AppReload(config, self._code, self._supervisor, self._log, self._take_anew)
            await self._reload.start()

    async def _open_hub(self, loaded: LoadedApp) -> None:
        assert self._store is not None
        self._wakes = await open_wakes(
            self._config.store.kind,
            self._config.hub_name,
            self._store.provider,
            self._clock,
            lambda: self._hub.token if self._hub is not None else 0,
            self._changed,
            self._config.port,
        )
        self._hub = TaskHub(
            self._store.provider,
            self._supervisor,
            self._clock,
            self._wakes.wakes,
            self._hub_options(loaded),
            self._listeners.telling(loaded.functions),
        )
        self._other_hubs = other_hubs(self._config, self._listeners.sampling)
        client = HubClient(self._hub)
        self._access.open(client, self._other_hubs)
        await _called(self._hub.start)
        self._retention = Retention(self._hub, client.purge, retention_rules(self._config.retention), self._deleted)
        self._retention.begin()
        # others on this machine look more often while they are not alone
        self._wakes.wakes.wake(0)

    def _hub_options(self, loaded: LoadedApp) -> HubOptions:
        sampling = self._listeners.sampling
        return hub_options(loaded.config, loaded.functions, self.host_id, loaded.fingerprint, loaded.dialect, sampling)

    def _take(self, loaded: LoadedApp) -> None:
        """Serve these functions from now on."""
        loaded.tell(self._log)
        timers = self._new_timers(loaded.functions)
        self.functions = loaded.functions.without(timers.mistakes)
        self.errors = loaded.errors + [in_error(function, text) for function, text in timers.mistakes.items()]
        if not self._drained:
            self._serve(timers)

    def _new_timers(self, functions: FunctionList) -> Timers:
        assert self._store is not None
        assert self._hub is not None
        hub = self._hub
        return Timers(
            functions,
            self._config,
            clock=self._clock,
            now=hub.committer.time,
            store=self._store.provider,
            token=lambda: hub.token,
            run=self._supervisor.calls.invoke_trigger,
            log=self._log,
        )

    def _serve(self, timers: Timers) -> None:
        self._front.serve(self.functions.routes)
        self._timers = timers
        timers.start()

    def _take_anew(self, loaded: LoadedApp) -> None:
        """The app was loaded again: the host, its token and what waits in it stay."""
        assert self._hub is not None
        self._config = loaded.config
        self._log.take_levels(loaded.config)
        self._front.configure(loaded.config)
        if self._timers is not None:
            self._loop.create_task(self._timers.stop())
        self._listeners.app_changed(loaded.functions)
        self._hub.app_changed(self._hub_options(loaded))
        self._take(loaded)
        self._log.write("Worker", INFORMATION, "Worker process started and initialized.")

    def _announce(self) -> None:
        config = self._config
        if not _is_loopback(config.address):
            text = (
                f"Functions and management are open to everyone who reaches {config.address}: nothing is protected "
                "by keys yet."
            )
            self._log.write("perdure", WARNING, text)
        other = other_environment(config.script_root, config.worker_python, os.environ)
        if other is not None:
            self._log.write("perdure", WARNING, other)
        scheme = "https" if config.flags.use_https else "http"
        for text, colour in printed_list(self.functions, f"{scheme}://localhost:{config.port}"):
            self._console.text(text, colour)
        if not config.flags.verbose:
            self._console.text("For detailed output, run perdure with --verbose flag.")
        self._log.write("Worker", INFORMATION, "Worker process started and initialized.")
        milliseconds = (time.perf_counter() - self._began) * 1000
        self._log.write("Host.Startup", INFORMATION, f"Host started ({milliseconds:.0f}ms)")

    # while it runs ----------------------------------------------------------------------------------------------

    def _changed(self, numbers: list[int]) -> None:
        """Other hosts sent something, to these instances where that is known."""
        if self._hub is not None:
            for n in numbers or (0,):
                self._hub.woken(n)

    def _deleted(self, count: int) -> None:
        self._log.write("perdure", INFORMATION, f"Retention: {count} finished instances were deleted.")

    def _log_pressure(self, high: bool) -> None:
        """From the thread of the console: user code that logs waits while the output does not keep up."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._supervisor.hold_logs, high)

    async def run_by_hand(self, function: IndexedFunction, payload: str | None) -> None:
        """Run a function of any kind to its end; what comes of it is in the log."""
        operation = by_hand(function, payload)
        if operation is not None:
            answer = await self._access.ask(operation)
            if isinstance(answer, Refused):
                self._log.write("perdure", ERROR, f"'{function.name}' was not started: {answer.text}")
        elif function.trigger == HTTP:
            body = (payload or "").encode("utf-8")
            headers = [("content-type", "application/json"), ("host", f"localhost:{self._config.port}")]
            url = f"http://localhost:{self._config.port}/admin/functions/{function.name}"
            await self._supervisor.calls.invoke_http(function.name, "POST", url, headers, {}, {}, body)
        else:
            await self._supervisor.calls.invoke_trigger(function.name, payload)

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
        self._supervisor.kill()
        self._console.close(0.5)
        os._exit(0)

    def working(self) -> dict[str, Any]:
        """See `host_status.py`."""
        return {} if self._hub is None else working(self._hub, self._supervisor, self._monitor)

    def drain(self) -> None:
        """Stop taking new work."""
        if not self._drained and self._hub is not None:
            self._drained = True
            if self._timers is not None:
                self._draining = asyncio.ensure_future(self._timers.stop())
            self._front.pause(0.0)
            self._hub.drain(lambda: None)

    def drain_state(self) -> tuple[str, int]:
        """Disabled, InProgress or Completed, and the number of functions of any kind under way."""
        if not self._drained:
            return "Disabled", 0
        running = self._running_functions()
        return ("InProgress" if running else "Completed"), running

    def _running_functions(self) -> int:
        # HTTP functions that wait for their turn are in no worker yet
        return max(self._front.outstanding, self._supervisor.outstanding)

    def _capacity(self) -> Capacity:
        config, names = self._config, self.functions.durable_names()["activity"]
        activities = config.max_concurrent_activities
        if not self.functions.coroutine_activities().issuperset(names):
            activities = min(activities, max(1, self._supervisor.threads))
        return Capacity(activities, config.max_concurrent_orchestrators)

    def unready(self) -> list[str]:
        """Why the host cannot do its work now; empty when it can."""
        reasons = []
        if self.state != "Running":
            reasons.append(f"The host is {self.state.lower()}.")
        elif self._drained or (self._hub is not None and self._hub.token and not self._hub.accepting):
            reasons.append("The host is drained.")
        elif not self._supervisor.processes:
            reasons.append("No worker process has loaded the app.")
        if self._hub is None or not self._hub.token:
            reasons.append("The host holds no token of the task hub.")
        elif not self._hub.committer.is_current():
            reasons.append("The store has not taken anything for so long that other hosts may take this one for dead.")
        return reasons

    async def resume(self) -> str | None:
        """Take work again after a drain, whether that is over or not. None when the host does, else why not."""
        if self.state != "Running" or self._hub is None:
            return f"The host is {self.state.lower()}."
        if self._drained:
            self._drained = False
            self._serve(self._new_timers(self.functions))
        if not await _within(asyncio.ensure_future(_called(self._hub.resume)), _RESUMING):
            return "The store does not answer. The host takes work again as soon as it does."
        return None

    async def _stop(self) -> None:
        assert self._hub is not None
        assert self._server is not None
        assert self._store is not None
        self.state = "Stopping"
        self._monitor.stop()
        deadline = self._loop.time() + self._config.shutdown_timeout
        running = self._running_functions()
        if running:
            what, grace = "1 function" if running == 1 else f"{running} functions", self._config.shutdown_timeout
            text = f"Stopping: {what} may end within {grace:g} s. A second signal stops at once."
            self._log.write("perdure", INFORMATION, text)
        self._front.pause(0.0)
        self._hub.retire()
        if self._management is not None:
            self._management.end_waits()
        if self._reload is not None:
            await self._reload.stop()
        if self._retention is not None:
            self._retention.end()
        if self._timers is not None:
            await _within(asyncio.ensure_future(self._timers.stop()), deadline - self._loop.time())
        while self._front.outstanding and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        drained = asyncio.ensure_future(_called(self._hub.drain))
        if not await _within(drained, deadline - self._loop.time()):
            self._hub.end_grace()
            await _within(drained, _CLOSING)
        await self._supervisor.stop(max(0.0, deadline - self._loop.time()))
        await _within(asyncio.ensure_future(_called(self._hub.stop)), _CLOSING)
        await self._server.stop(1.0)
        await self._listeners.close(_CLOSING)
        if self._other_stores is not None:
            await _within(asyncio.ensure_future(self._other_stores.close()), _CLOSING)
        if self._other_hubs is not None:
            await _within(asyncio.ensure_future(self._other_hubs.close()), _CLOSING)
        if self._wakes is not None:
            self._wakes.close()
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


async def _called(call: Callable[[Callable[[], None]], None]) -> None:
    """Await a call that takes a callback."""
    done = asyncio.Event()
    call(done.set)
    await done.wait()


def _is_loopback(address: str) -> bool:
    return address.lower() == "localhost" or ipaddress.ip_address(address).is_loopback


async def _within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Whether the future is done within that time; it goes on either way."""
    done, _ = await asyncio.wait([future], timeout=max(0.0, seconds))
    return bool(done)
