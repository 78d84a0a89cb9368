"""Entry point of a worker: `python -m perdure.host.worker_process CHANNEL`.

Threads: the frames thread reads the channel, hands messages on and beats; the turn thread advances orchestrators; the
main thread runs the event loop, which imports the app and runs `async def` functions; the pool runs plain functions
and entity batches. Before the app's own imports only what the SDK needs is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import inspect
import os
import platform
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Union

from perdure import portable
from perdure.host import durable_http
from perdure.host.asgi import Lifespan
from perdure.host.begun import BegunSlots, invocation_number
from perdure.host.dialect import decide_dialect
from perdure.host.indexing import LoadedApp, fingerprint, load_app, prepare_paths
from perdure.host.invoke import ACTIVITY, Begin, End, UserFunction, activity_failed, now
from perdure.host.messages import (
    ActivityResult,
    AppIndexed,
    BeginActivity,
    BeginEntity,
    BeginTurn,
    CancelActivity,
    ClientReply,
    DropSession,
    EntityResult,
    Heartbeat,
    HostMessage,
    HttpInvocation,
    IndexError_,
    InvocationFailed,
    LogCredit,
    LogLine,
    StartWorker,
    StopWorker,
    TriggerInvocation,
)
from perdure.host.user_errors import hidden_frames
from perdure.host.worker_channel import WorkerChannel
from perdure.host.worker_client import ChannelTransport
from perdure.host.worker_logs import CURRENT, Invocation, LogCapture
from perdure.host.worker_settings import WorkerSettings
from perdure.host.worker_threads import Pool, TurnThread, thread_count
from perdure.model.execution import ActivityCompleted
from perdure.model.failure import FailureDetails, describe
from perdure.sdk import client, entity, serialization
from perdure.sdk.app import EntityCode, OrchestratorCode
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import dumps

_BEAT_SECONDS = 1.0
_BUSY_TICK = 0.05
_BLOCKING_SECONDS = 0.25
_HTTP_CALL_THREADS = 64
_WARNING = 30


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
            result = dumps(durable_http.call(request.input, self._allow))
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


class Worker:
    """One worker process."""

    def __init__(self, channel: WorkerChannel) -> None:
        self.channel = channel
        self.loop = asyncio.new_event_loop()
        self.transport = ChannelTransport(channel)
        self.running: dict[str, Invocation] = {}
        self.logs = LogCapture(channel.send, self.running.get, self._only_running)
        self.id = ""
        self.stopping = False
        self._start: asyncio.Future[StartWorker] = self.loop.create_future()
        self._stopped = asyncio.Event()
        self._functions: dict[str, UserFunction] = {}
        self._activities: dict[str, Runnable] = {}
        self._entities: dict[str, EntityBatch] = {}
        self._orchestrators: dict[str, tuple[str, OrchestratorCode]] = {}
        self._lifespan: Lifespan | None = None
        self._turns: TurnThread | None = None
        self._begun: BegunSlots | None = None
        self._pool: Pool[tuple[Any, Any]] | None = None
        self._http_pool: Pool[tuple[Any, Any]] | None = None
        #: activities under way or waiting, and the task of each that is a coroutine
        self._open: dict[tuple[int, int, int], asyncio.Task[None] | None] = {}
        self._dropped: set[tuple[int, int, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_beat = 0.0
        self._reported: BeginTurn | None = None

    # main thread -----------------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Load the app, then live until the host says stop."""
        start = await self._start
        await self._load(start)
        await self._stopped.wait()

    async def _load(self, start: StartWorker) -> None:
        settings = WorkerSettings.from_message(start.settings)
        self.id = start.worker_id
        self.logs.show_replay = settings.trace_replay_events
        last_words = self.logs.install(settings.log_level)
        faulthandler.enable(last_words, all_threads=False)
        self._begun = BegunSlots(settings.begun_file or None)
        self._begun.remove()
        client.set_transport(self.transport)
        prepare_paths(start.script_root)
        app = load_app(start.script_root, start.functions)
        dialect, reason = self._dialect(app, start.script_root, settings)
        options = SdkOptions(dialect=dialect, **_sdk_fields(settings.sdk))
        client.set_transport(self.transport, options)
        serialization.trust_only(options.trusted_classes)
        self._prepare(app, options, settings)
        self._lifespan = app.lifespan
        threads = start.threads or thread_count()
        self._pool = Pool(threads, self._run_plain, 1, "ThreadPoolExecutor-0")
        self._http_pool = Pool(_HTTP_CALL_THREADS, self._run_plain, threads + 1, "perdure-http")
        self._turns = TurnThread(
            self.channel, self._orchestrator, options, self._begun, self.running, self._orchestrator_function
        )
        self._turns.start()
        gc.collect()
        gc.freeze()
        self.channel.send(
            AppIndexed(
                [loaded.indexed for loaded in app.functions],
                app.errors,
                app.warnings,
                app.programming_model,
                dialect,
                reason,
                platform.python_version(),
                fingerprint(start.script_root),
                os.getpid(),
                threads,
            )
        )

    def _dialect(self, app: LoadedApp, root: str, settings: WorkerSettings) -> tuple[int, str]:
        for loaded in app.functions:
            function = loaded.code.function if loaded.code else loaded.call
            # annotations are lazy from Python 3.14 on: this is what touches the names in them
            with contextlib.suppress(Exception):
                inspect.get_annotations(function)
        try:
            return decide_dialect(settings.dialect, root, _newer_name_used())
        except ValueError as error:
            app.errors.append(IndexError_("", str(error), fatal=True))
            return 1, "the setting is wrong"

    def _prepare(self, app: LoadedApp, options: SdkOptions, settings: WorkerSettings) -> None:
        """Make everything ready to be called; what cannot be called is reported and left out."""
        self._activities[durable_http.NAME.lower()] = HttpCall(list(settings.http_allow))
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

    async def _end(self, grace: float) -> None:
        """Give what runs `grace` seconds, then end the loop."""
        ends = time.monotonic() + grace
        while (self.running or self._tasks) and time.monotonic() < ends:
            await asyncio.sleep(0.02)
        for task in list(self._tasks):
            task.cancel()
        if self._lifespan is not None:
            await self._lifespan.end(ends - time.monotonic())
        if self._turns is not None:
            self._turns.close(timeout=max(0.0, min(1.0, ends - time.monotonic())))
        self.channel.flush()
        self._stopped.set()

    # frames thread ---------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """The frames thread. When the host is gone, so is this process, whatever user code does."""
        thread = threading.current_thread()
        # a debugger that halts all threads leaves these two marks alone
        thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
        thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
        portable.die_with_parent()
        try:
            self.channel.serve(self.on_messages, self.tick)
        finally:
            portable.kill_tree(os.getpid())
            os._exit(1)

    def on_messages(self, messages: list[HostMessage]) -> None:
        """Hand the messages of one frame to the threads that work on them."""
        turns: list[BeginTurn | DropSession] = []
        coroutines: list[tuple[Any, Any]] = []
        for message in messages:
            if isinstance(message, (BeginTurn, DropSession)):
                turns.append(message)
            elif isinstance(message, BeginActivity):
                request = message.request
                runnable = self._activities.get(request.name.lower())
                self._open[request.n, request.generation, request.task] = None
                self._begin(runnable, message, request.name, coroutines)
            elif isinstance(message, (HttpInvocation, TriggerInvocation)):
                self._begin(self._functions.get(message.function.lower()), message, message.function, coroutines)
            elif isinstance(message, BeginEntity):
                name = message.request.name
                self._begin(self._entities.get(name.lower()), message, name, coroutines)
            elif isinstance(message, ClientReply):
                self.transport.deliver(message)
            else:
                self._control(message)
        if turns and self._turns is not None:
            self._turns.put(turns)
        if coroutines:
            self.loop.call_soon_threadsafe(self._start_coroutines, coroutines)

    def _begin(self, runnable: Runnable | None, begin: BeginAny, name: str, coroutines: list[tuple[Any, Any]]) -> None:
        if runnable is None:
            self.channel.send(_unknown(begin, name))
        elif runnable.is_async:
            coroutines.append((runnable, begin))
        elif isinstance(runnable, HttpCall):
            assert self._http_pool is not None
            self._http_pool.put((runnable, begin))
        else:
            assert self._pool is not None
            self._pool.put((runnable, begin))

    def _control(self, message: HostMessage) -> None:
        if isinstance(message, StartWorker):
            self.loop.call_soon_threadsafe(self._start.set_result, message)
        elif isinstance(message, StopWorker):
            self.stopping = True
            grace = message.grace
            threading.Thread(target=_end_after, args=(grace + 1.0,), name="perdure-end", daemon=True).start()
            self.loop.call_soon_threadsafe(lambda: self._keep(self.loop.create_task(self._end(grace)), own=True))
        elif isinstance(message, LogCredit):
            self.logs.grant(message.characters)
        elif isinstance(message, CancelActivity):
            self._cancel((message.n, message.generation, message.task))

    def _cancel(self, key: tuple[int, int, int]) -> None:
        if key not in self._open:
            return
        task = self._open[key]
        if task is not None:
            self.loop.call_soon_threadsafe(task.cancel)
        else:
            self._dropped.add(key)

    def tick(self) -> float:
        """Beat, and name an orchestrator that blocks. Gives the seconds until the next call."""
        time_now = time.monotonic()
        turns = self._turns
        if turns is not None and turns.is_busy:
            current = turns.current
            if current is not None and current is not self._reported:
                seconds = time_now - turns.since
                if seconds >= _BLOCKING_SECONDS:
                    self._reported = current
                    self._report_blocking(current, turns, seconds)
        if time_now - self._last_beat >= _BEAT_SECONDS:
            self._last_beat = time_now
            self.channel.post(self._heartbeat(time_now))
            self.channel.flush()
        if turns is not None and turns.is_busy:
            return _BUSY_TICK
        return max(0.0, self._last_beat + _BEAT_SECONDS - time_now)

    def _heartbeat(self, time_now: float) -> Heartbeat:
        turn, seconds = "", 0.0
        if self._turns is not None and (current := self._turns.current) is not None:
            turn, seconds = current.invocation, time_now - self._turns.since
        debugpy = sys.modules.get("debugpy")
        attached = bool(debugpy is not None and debugpy.is_client_connected())
        free = max(0, (self._pool.size if self._pool else 0) - len(self.running))
        return Heartbeat(len(self.running), turn, seconds, free, attached)

    def _report_blocking(self, begin: BeginTurn, turns: TurnThread, seconds: float) -> None:
        name, place = self._orchestrator_function(begin.request.name), turns.place()
        text = (
            f"Orchestrator function '{name}' has been running for {seconds * 1000:.0f} ms without reaching a yield"
            f"{f' (now at {place})' if place else ''}. It keeps the other orchestrations of this worker waiting: "
            "move blocking work and long computations into an activity."
        )
        self.channel.send(
            LogLine(now(), _WARNING, text, name, begin.invocation, begin.request.instance_id, "perdure.worker")
        )

    # pool and loop ---------------------------------------------------------------------------------------------

    def _run_plain(self, slot: int, item: tuple[Any, Any]) -> None:
        """Run one plain function or entity batch on a thread of a pool."""
        runnable, begin = item
        assert self._begun is not None
        key = _activity_key(begin)
        if key is not None and key in self._dropped:
            self._dropped.discard(key)
            self._open.pop(key, None)
            self.channel.send(_cancelled(begin, runnable.name))
            return
        id = begin.invocation
        invocation = self.running[id] = Invocation(id, runnable.name, _instance_id(begin))
        CURRENT.set(invocation)
        self._begun.mark(slot, invocation_number(id))
        end = runnable.run(begin, self.id, self._resolve)
        self.logs.end_lines()
        del self.running[id]
        if key is not None:
            self._open.pop(key, None)
            self._dropped.discard(key)
        self.channel.send(end)
        self._begun.mark(slot, 0)

    def _resolve(self, awaitable: Awaitable[Any]) -> Any:
        """Await on the loop what a plain function returned."""

        async def wait() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result()

    def _start_coroutines(self, items: list[tuple[Any, Any]]) -> None:
        for runnable, begin in items:
            task = self.loop.create_task(self._run_coroutine(runnable, begin))
            self._keep(task)
            key = _activity_key(begin)
            if key is not None:
                if key in self._dropped:
                    task.cancel()
                    self._dropped.discard(key)
                self._open[key] = task

    async def _run_coroutine(self, runnable: Any, begin: Any) -> None:
        id = begin.invocation
        invocation = self.running[id] = Invocation(id, runnable.name, _instance_id(begin))
        CURRENT.set(invocation)
        try:
            end = await runnable.run_async(begin, self.id)
        finally:
            self.logs.end_lines()
            del self.running[id]
            key = _activity_key(begin)
            if key is not None:
                self._open.pop(key, None)
        self.channel.send(end)

    def _keep(self, task: asyncio.Task[None], own: bool = False) -> None:
        """Hold a task until it is done; the loop itself holds it only weakly."""
        kept = _own_tasks if own else self._tasks
        kept.add(task)
        task.add_done_callback(kept.discard)

    # lookups ---------------------------------------------------------------------------------------------------

    def _orchestrator(self, durable_name: str) -> OrchestratorCode | None:
        found = self._orchestrators.get(durable_name.lower())
        return found[1] if found else None

    def _orchestrator_function(self, durable_name: str) -> str:
        found = self._orchestrators.get(durable_name.lower())
        return found[0] if found else durable_name

    def _only_running(self) -> Invocation | None:
        running = list(self.running.values())
        return running[0] if len(running) == 1 else None


_own_tasks: set[asyncio.Task[None]] = set()


def _sdk_fields(written: dict[str, Any]) -> dict[str, Any]:
    """Fields of `SdkOptions` among the settings, with sequences as tuples."""
    known = set(SdkOptions.__struct_fields__) - {"dialect"}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in written.items() if name in known
    }


def _newer_name_used() -> str | None:
    """A name that exists only in SDK 2.0 and that the app touched."""
    from perdure import azure_names

    return f"df.{min(azure_names.touched_2)}" if azure_names.touched_2 else None


def _activity_key(begin: Any) -> tuple[int, int, int] | None:
    if isinstance(begin, BeginActivity):
        request = begin.request
        return request.n, request.generation, request.task
    return None


def _instance_id(begin: Any) -> str:
    if isinstance(begin, BeginActivity):
        return begin.request.instance_id
    return begin.request.entity_id if isinstance(begin, BeginEntity) else ""


def _unknown(begin: BeginAny, name: str) -> Any:
    failure = FailureDetails("FunctionNotFound", f"The function '{name}' doesn't exist or is disabled.")
    if isinstance(begin, BeginActivity):
        return ActivityResult(begin.invocation, activity_failed(begin.request, name, failure, 0, 0, ""))
    return InvocationFailed(begin.invocation, failure)


def _cancelled(begin: BeginActivity, name: str) -> ActivityResult:
    failure = FailureDetails("ActivityCancelled", "The activity was cancelled before it began.")
    return ActivityResult(begin.invocation, activity_failed(begin.request, name, failure, 0, 0, ""))


def _end_after(seconds: float) -> None:
    """End the process when user code keeps it from ending by itself."""
    time.sleep(seconds)
    os._exit(0)


def main() -> None:
    """Run a worker on the channel that the last command line argument names."""
    # the folder this process was started in is no place to import from; the app's folder takes its place later
    worker = Worker(WorkerChannel(portable.open_channel(sys.argv[-1])))
    from perdure import azure_names

    azure_names.install()
    sys.argv = ["perdure"]
    asyncio.set_event_loop(worker.loop)
    threading.Thread(target=worker.serve, name="perdure-frames", daemon=True).start()
    worker.loop.run_until_complete(worker.main())


if __name__ == "__main__":
    main()
