"""One host: its parts put together, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import structs

from perdure import portable
from perdure.host.announcement import announce, is_loopback
from perdure.host.app_loading import AppReload, LoadedApp
from perdure.host.by_hand import run_by_hand
from perdure.host.client_hubs import ClientHubs, OtherStores, other_hubs
from perdure.host.composition import OpenStore, hub_options, open_store, supervisor_options
from perdure.host.errors import StartError
from perdure.host.functions.function_list import FunctionList
from perdure.host.host_status import working
from perdure.host.http.admin_api import AdminApi
from perdure.host.http.front import Front
from perdure.host.http.health import HealthApi
from perdure.host.http.management_api import ManagementApi
from perdure.host.http.scale_signals import PATH as SCALE_PATH
from perdure.host.http.scale_signals import Capacity, ScaleSignals
from perdure.host.http.server import HttpServer
from perdure.host.http.tls import tls_options
from perdure.host.hub_access import HubAccess
from perdure.host.logs.console import Console
from perdure.host.logs.library_logs import library_logs
from perdure.host.logs.log import INFORMATION, WARNING, HostLog
from perdure.host.loop import LoopClock
from perdure.host.protocol.messages import AppIndexed, IndexedFunction
from perdure.host.retention import retention_rules
from perdure.host.serving import Serving
from perdure.host.settings.config import HostConfig
from perdure.host.settings.table import visible_cpus
from perdure.host.supervision.supervisor import Supervisor, WorkerStartError
from perdure.host.telemetry.host_monitor import HostMonitor
from perdure.host.telemetry.listeners import Listeners
from perdure.host.telemetry.metrics_api import PATH as METRICS_PATH
from perdure.host.triggers.timers import Timers
from perdure.host.wakes import open_wakes
from perdure.storage.provider import Provider
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.options import HubOptions
from perdure.taskhub.retention import Retention, RetentionRules

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
        self._stop_asked = asyncio.Event()
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
        self._serving = Serving(self._front, config.route_prefix, self._new_timers)
        console.on_pressure(self._log_pressure)
        self._hub: TaskHub | None = None
        #: ends what works by itself: no more begins
        self._background = contextlib.AsyncExitStack()
        #: closes what was opened, the last first
        self._opened = contextlib.AsyncExitStack()
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
        rules = retention_rules(config.retention)
        # the workers load the app while this process opens the store
        workers = asyncio.ensure_future(self._supervisor.start())
        self._opened.push_async_callback(self._end_workers, workers)
        await self._listeners.open()
        self._opened.push_async_callback(self._listeners.close, _CLOSING)
        await asyncio.sleep(0)
        store = open_store(
            config,
            self._clock,
            self._loop,
            self._changed,
            listen_url=config.setting("PERDURE_STORE_LISTEN"),
            told=lambda text: self._log.write("perdure", INFORMATION, text),
        )
        self._opened.push_async_callback(_shut_down, store)
        server = HttpServer(self._front, ssl=tls_options(config))
        try:
            app = await workers
        except WorkerStartError as error:
            raise StartError(str(error)) from None
        loaded = LoadedApp(app, config)
        hub, client = await self._open_hub(store.provider, loaded)
        self._watch_over(hub, client, rules)
        self._front.answer_at(SCALE_PATH, ScaleSignals(store.provider, self._capacity))
        self._front.answer_at(METRICS_PATH, self._listeners.metrics_api(hub, self._supervisor))
        self._front.attach(AdminApi(self), self._management_api())
        await server.start(sockets)
        self._opened.push_async_callback(server.stop, 1.0)
        loaded.tell(self._log)
        self._serving.take(loaded)
        self.state = "Running"
        announce(config, self.functions, self._console, self._log, (time.perf_counter() - self._began) * 1000)
        await self._watch_files()

    async def _open_hub(self, provider: Provider, loaded: LoadedApp) -> tuple[TaskHub, HubClient]:
        config = self._config
        wakes = await open_wakes(
            config.store.kind,
            config.hub_name,
            provider,
            self._clock,
            lambda: self._hub.token if self._hub is not None else 0,
            self._changed,
            config.port,
        )
        self._opened.callback(wakes.close)
        telemetry = self._listeners.telling(loaded.functions)
        hub = TaskHub(provider, self._supervisor, self._clock, wakes.wakes, self._hub_options(loaded), telemetry)
        others = other_hubs(config, self._listeners.sampling)
        if others is not None:
            self._opened.push_async_callback(_closed, others)
        client = HubClient(hub)
        self._access.open(client, others)
        self._hub = hub
        self._opened.push_async_callback(self._leave, hub)
        await _called(hub.start)
        return hub, client

    def _watch_over(self, hub: TaskHub, client: HubClient, rules: RetentionRules) -> None:
        """Begin what goes on beside the work: deleting what is old, watching the processes."""
        retention = Retention(hub, client.purge, rules, self._deleted)
        retention.begin()
        self._background.callback(retention.end)
        self._monitor.start()
        self._background.callback(self._monitor.stop)

    def _management_api(self) -> ManagementApi:
        config = self._config
        other_stores = OtherStores(config, self._listeners.sampling)
        self._opened.push_async_callback(_closed, other_stores)
        management = ManagementApi(
            self._access.ask,
            task_hub=config.hub_name,
            code=self._code,
            forwarded=config.use_forwarded_host,
            show_task_inputs=config.show_task_inputs,
            elsewhere=other_stores.find,
        )
        self._background.callback(management.end_waits)
        return management

    async def _watch_files(self) -> None:
        """Load the app anew when its files change, where that is wanted."""
        config = self._config
        if config.under_debugger:
            where = f"at 127.0.0.1:{config.flags.debug}" if config.flags.debug else f"({config.worker_arguments})"
            self._log.write("perdure", WARNING, f"A debugger may attach {where}; file changes do not reload the app.")
        elif config.flags.reload or (config.flags.reload is None and is_loopback(config.address)):
            reload = AppReload(config, self._code, self._supervisor, self._log, self._take_anew)
            self._background.push_async_callback(reload.stop)
            await reload.start()

    def _hub_options(self, loaded: LoadedApp) -> HubOptions:
        sampling = self._listeners.sampling
        return hub_options(loaded.config, loaded.functions, self.host_id, loaded.fingerprint, loaded.dialect, sampling)

    def _new_timers(self, functions: FunctionList) -> Timers:
        hub = self._hub
        assert hub is not None
        return Timers(
            functions,
            self._config,
            clock=self._clock,
            now=hub.committer.time,
            store=hub.store,
            token=lambda: hub.token,
            run=self._supervisor.calls.invoke_trigger,
            log=self._log,
        )

    def _take_anew(self, loaded: LoadedApp) -> None:
        """The app was loaded again: the host, its token and what waits in it stay."""
        assert self._hub is not None
        self._config = loaded.config
        self._log.take_levels(loaded.config)
        self._front.configure(loaded.config)
        self._listeners.app_changed(loaded.functions)
        self._hub.app_changed(self._hub_options(loaded))
        loaded.tell(self._log)
        self._serving.take(loaded)
        self._log.write("Worker", INFORMATION, "Worker process started and initialized.")

    @property
    def functions(self) -> FunctionList:
        """The functions of the app."""
        return self._serving.functions

    @property
    def errors(self) -> list[str]:
        """What keeps functions from running."""
        return self._serving.errors

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
        await run_by_hand(function, payload, self._access, self._supervisor.calls, self._config.port, self._log)

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
        if self._hub is not None and not self._serving.paused:
            self._serving.pause()
            self._hub.drain(lambda: None)

    def drain_state(self) -> tuple[str, int]:
        """Disabled, InProgress or Completed, and the number of functions of any kind under way."""
        if not self._serving.paused:
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
        elif self._serving.paused or (self._hub is not None and self._hub.token and not self._hub.accepting):
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
        if self._serving.paused:
            self._serving.resume()
        if not await _within(_called(self._hub.resume), _RESUMING):
            return "The store does not answer. The host takes work again as soon as it does."
        return None

    async def _stop(self) -> None:
        """Let what runs end, within the time for that; then close everything."""
        hub = self._hub
        assert hub is not None
        self.state = "Stopping"
        deadline = self._loop.time() + self._config.shutdown_timeout
        running = self._running_functions()
        if running:
            what, grace = "1 function" if running == 1 else f"{running} functions", self._config.shutdown_timeout
            text = f"Stopping: {what} may end within {grace:g} s. A second signal stops at once."
            self._log.write("perdure", INFORMATION, text)
        self._serving.pause()
        hub.retire()
        await self._background.aclose()
        await _within(self._serving.timers_ended(), deadline - self._loop.time())
        while self._front.outstanding and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        drained = asyncio.ensure_future(_called(hub.drain))
        if not await _within(drained, deadline - self._loop.time()):
            hub.end_grace()
            await _within(drained, _CLOSING)
        await self._supervisor.stop(max(0.0, deadline - self._loop.time()))
        await self._leave(hub)
        await self._opened.aclose()
        self.state = "Stopped"

    async def _abandon(self, started: asyncio.Future[None]) -> None:
        """The start failed, or is no longer wanted: leave nothing behind."""
        started.cancel()
        # whatever it ended with, what was opened is closed
        await asyncio.gather(started, return_exceptions=True)
        await self._background.aclose()
        await self._opened.aclose()

    async def _end_workers(self, starting: asyncio.Future[AppIndexed]) -> None:
        await _within(self._supervisor.stop(0.0), _CLOSING)
        self._supervisor.kill()
        starting.cancel()
        await asyncio.wait([starting])

    async def _leave(self, hub: TaskHub) -> None:
        """Give the token back. It may have been given back already."""
        await _within(_called(hub.stop), _CLOSING)


async def _shut_down(store: OpenStore) -> None:
    # it waits for what the store has begun
    await asyncio.get_running_loop().run_in_executor(None, store.shutdown)


async def _closed(hubs: ClientHubs | OtherStores) -> None:
    await _within(hubs.close(), _CLOSING)


async def _called(call: Callable[[Callable[[], None]], None]) -> None:
    """Await a call that takes a callback."""
    done = asyncio.Event()
    call(done.set)
    await done.wait()


async def _within(work: Awaitable[Any], seconds: float) -> bool:
    """Whether the work is done within that time; it goes on either way."""
    done, _ = await asyncio.wait([asyncio.ensure_future(work)], timeout=max(0.0, seconds))
    return bool(done)
