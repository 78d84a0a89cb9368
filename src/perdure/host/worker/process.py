"""Entry point of a worker: `python -m perdure.host.worker.process CHANNEL`.

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
from collections.abc import Awaitable
from typing import Any

from perdure import portable
from perdure.host.cycles import look_rarely
from perdure.host.protocol.begun import BegunSlots, invocation_number
from perdure.host.protocol.messages import (
    ActivityGivenBack,
    AppIndexed,
    BeginActivity,
    BeginEntity,
    BeginTurn,
    CancelActivity,
    ClientReply,
    DropSession,
    HostMessage,
    HttpInvocation,
    IndexError_,
    LogCredit,
    Ping,
    Pong,
    RecallActivity,
    StartWorker,
    StopWorker,
    TriggerInvocation,
)
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.settings.dialect import decide_dialect
from perdure.host.worker.app_functions import (
    ActivityKey,
    AppFunctions,
    BeginAny,
    HttpCall,
    activity_key,
    cancelled,
    instance_id,
    trace_of,
    unknown,
)
from perdure.host.worker.asgi import Lifespan
from perdure.host.worker.channel import WorkerChannel
from perdure.host.worker.client import ChannelTransport
from perdure.host.worker.heartbeats import Heartbeats
from perdure.host.worker.indexing import LoadedApp, fingerprint, load_app, prepare_paths
from perdure.host.worker.logs import CURRENT, Invocation, LogCapture
from perdure.host.worker.threads import Pool, TurnThread, default_threads
from perdure.host.worker.user_traces import Attach, attaching
from perdure.sdk import client_transport, serialization
from perdure.sdk.options import SdkOptions

_HTTP_CALL_THREADS = 64


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
        self._app: AppFunctions
        self._lifespan: Lifespan | None = None
        self._turns: TurnThread | None = None
        self._begun: BegunSlots | None = None
        self._pool: Pool[tuple[Any, Any]] | None = None
        self._http_pool: Pool[tuple[Any, Any]] | None = None
        #: activities under way or waiting, and the task of each that is a coroutine
        self._open: dict[ActivityKey | None, asyncio.Task[None] | None] = {}
        self._dropped: set[ActivityKey] = set()
        #: activities that wait for a thread, by invocation; whichever thread takes one out has it
        self._queued: dict[str, BeginActivity] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._attach: Attach | None = None
        self._heartbeats = Heartbeats(channel, self.running)

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
        client_transport.set_transport(self.transport)
        prepare_paths(start.script_root)
        self._attach = attaching()
        app = load_app(start.script_root, start.functions)
        dialect, reason = self._dialect(app, start.script_root, settings)
        options = SdkOptions(dialect=dialect, **_sdk_fields(settings.sdk))
        client_transport.set_transport(self.transport, options)
        serialization.trust_only(options.trusted_classes)
        self._app = AppFunctions(app, options, settings)
        self._lifespan = app.lifespan
        threads = start.threads or default_threads()
        self._pool = Pool(threads, self._run_plain, 1, "ThreadPoolExecutor-0")
        self._http_pool = Pool(_HTTP_CALL_THREADS, self._run_plain, threads + 1, "perdure-http")
        self._turns = TurnThread(
            self.channel,
            self._app.orchestrator,
            options,
            self._begun,
            self.running,
            self._app.orchestrator_function,
            self.logs.end_lines,
        )
        self._turns.start()
        self._heartbeats.watch(self._turns, self._app.orchestrator_function, threads)
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
            self.channel.serve(self.on_messages, self._heartbeats.tick)
        finally:
            portable.kill_tree(os.getpid())
            os._exit(1)

    def on_messages(self, messages: list[HostMessage]) -> None:
        """Hand the messages of one frame to the threads that work on them."""
        turns: list[BeginTurn | DropSession] = []
        coroutines: list[tuple[Any, Any]] = []
        replies: list[ClientReply] = []
        for message in messages:
            if isinstance(message, (BeginTurn, DropSession)):
                turns.append(message)
            elif isinstance(message, (BeginActivity, HttpInvocation, TriggerInvocation, BeginEntity)):
                key = activity_key(message)
                if key is not None:
                    self._open[key] = None
                self._begin(message, coroutines)
            elif isinstance(message, ClientReply):
                replies.append(message)
            else:
                self._control(message)
        if turns and self._turns is not None:
            self._turns.put(turns)
        if replies:
            self.transport.deliver(replies)
        if coroutines:
            self.loop.call_soon_threadsafe(self._start_coroutines, coroutines)

    def _begin(self, begin: BeginAny, coroutines: list[tuple[Any, Any]]) -> None:
        runnable = self._app.find(begin)
        if runnable is None:
            self._open.pop(activity_key(begin), None)
            self.channel.send(unknown(begin))
        elif runnable.is_async:
            coroutines.append((runnable, begin))
        elif isinstance(runnable, HttpCall):
            assert self._http_pool is not None
            self._http_pool.put((runnable, begin))
        else:
            assert self._pool is not None
            if isinstance(begin, BeginActivity):
                self._queued[begin.invocation] = begin
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
        elif isinstance(message, Ping):
            self.channel.send(Pong(time.process_time()))
        elif isinstance(message, RecallActivity):
            self._give_back(message.invocation)
        elif isinstance(message, CancelActivity):
            self._cancel((message.n, message.generation, message.task), message.running)

    def _cancel(self, key: ActivityKey, running: bool) -> None:
        if key not in self._open:
            return
        task = self._open[key]
        if task is not None:
            if running:
                self.loop.call_soon_threadsafe(task.cancel)
        else:
            self._dropped.add(key)

    def _give_back(self, invocation: str) -> None:
        """An activity that still waits for a thread is the host's again."""
        begin = self._queued.pop(invocation, None)
        if begin is None:
            return
        key = (begin.request.n, begin.request.generation, begin.request.task)
        self._open.pop(key, None)
        if key in self._dropped:
            self._dropped.discard(key)
            self.channel.send(cancelled(begin, begin.request.name))
        else:
            self.channel.send(ActivityGivenBack(invocation))

    # pool and loop ---------------------------------------------------------------------------------------------

    def _run_plain(self, slot: int, item: tuple[Any, Any]) -> None:
        """Run one plain function or entity batch on a thread of a pool."""
        runnable, begin = item
        assert self._begun is not None
        key = activity_key(begin)
        if key is not None and not isinstance(runnable, HttpCall) and self._queued.pop(begin.invocation, None) is None:
            return  # the host has taken it back
        if key is not None and key in self._dropped:
            self._dropped.discard(key)
            self._open.pop(key, None)
            self.channel.send(cancelled(begin, runnable.name))
            return
        id = begin.invocation
        invocation = self.running[id] = Invocation(id, runnable.name, instance_id(begin), trace := trace_of(begin))
        CURRENT.set(invocation)
        self._begun.mark(slot, invocation_number(id))
        detach = self._attach(trace) if self._attach is not None and trace is not None else None
        end = runnable.run(begin, self.id, self._resolve)
        if detach is not None:
            detach()
        self.logs.end_lines()
        del self.running[id]
        if key is not None:
            self._open.pop(key, None)
            self._dropped.discard(key)
        if self._pool is not None and self._pool.waits:
            # this thread goes on at once: what the next items give goes out with it
            self.channel.send_soon(end)
        else:
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
            key = activity_key(begin)
            if key is not None:
                if key in self._dropped:
                    task.cancel()
                    self._dropped.discard(key)
                self._open[key] = task

    async def _run_coroutine(self, runnable: Any, begin: Any) -> None:
        id = begin.invocation
        invocation = self.running[id] = Invocation(id, runnable.name, instance_id(begin), trace := trace_of(begin))
        CURRENT.set(invocation)
        if self._attach is not None and trace is not None:
            self._attach(trace)  # for this task alone: it runs in a context of its own
        try:
            end = await runnable.run_async(begin, self.id)
        finally:
            self.logs.end_lines()
            del self.running[id]
            key = activity_key(begin)
            if key is not None:
                self._open.pop(key, None)
        self.channel.send(end)

    def _keep(self, task: asyncio.Task[None], own: bool = False) -> None:
        """Hold a task until it is done; the loop itself holds it only weakly."""
        kept = _own_tasks if own else self._tasks
        kept.add(task)
        task.add_done_callback(kept.discard)

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


def _end_after(seconds: float) -> None:
    """End the process when user code keeps it from ending by itself."""
    time.sleep(seconds)
    os._exit(0)


def main() -> None:
    """Run a worker on the channel that the last command line argument names."""
    look_rarely()
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
