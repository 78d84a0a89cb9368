"""The worker processes of a host: start, count, watch, retire, replace. Knows nothing of what they run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from msgspec import structs

from perdure.host.protocol.messages import AppIndexed, WorkerMessage
from perdure.host.supervision.worker_link import SupervisorOptions, WorkerLink

WATCH_SECONDS = 1.0
_STABLE_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0


class WorkerStartError(Exception):
    """No worker came up; the text says what the process said and what to do."""


class Listener(Protocol):
    """What a `WorkerSet` tells. Everything on the loop's thread."""

    def on_messages(self, link: WorkerLink, messages: list[WorkerMessage]) -> None:
        """The messages of one frame."""

    def on_line(self, link: WorkerLink, line: str) -> None:
        """The process wrote a line past its channel."""

    def on_ready(self, link: WorkerLink) -> None:
        """It can be given work from now on."""

    def on_retired(self, link: WorkerLink) -> None:
        """It is given nothing new; its sessions are not used again."""

    def on_gone(self, link: WorkerLink) -> None:
        """The process is gone; what it was running is in `inflight`. Its replacement is on its way."""

    def on_look(self, link: WorkerLink, now: float) -> None:
        """Once a second, for each worker that no debugger holds."""

    def on_trouble(self, text: str) -> None:
        """Something that people should read."""


class WorkerSet:
    """All worker processes. `ready` are those that can be given work, the one for quarantine not among them."""

    def __init__(self, options: SupervisorOptions, listener: Listener) -> None:
        self.options = options
        self.ready: list[WorkerLink] = []
        self.quarantine: WorkerLink | None = None
        self.stopping = False
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._links: list[WorkerLink] = []
        self._leaving: set[WorkerLink] = set()
        self._serial = 0
        self._quick_deaths = 0
        self._first: asyncio.Future[AppIndexed] = self._loop.create_future()
        #: the workers one of which `start` or `reload` waits for
        self._awaited: set[WorkerLink] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._looked = self._loop.time()
        self._tasks: set[asyncio.Task[None]] = set()

    def all(self) -> list[WorkerLink]:
        """Every worker whose process is not gone."""
        return [*self._links, *self._leaving, *([self.quarantine] if self.quarantine is not None else [])]

    async def start(self) -> AppIndexed:
        """Start all workers at once; what the first that is ready says of the app.

        A fatal error in it means that the app cannot run. Raises `WorkerStartError` when no worker comes up.
        """
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look_after)
        links = [self._new_link() for _ in range(self.options.processes)]
        self._awaited.update(links)
        for link in links:
            await self._launch(link)
        return await self._first

    async def reload(self, options: SupervisorOptions) -> AppIndexed:
        """Replace all workers by new ones, as soon as one of these has loaded the app.

        With a fatal error in the app, or when no worker comes up (`WorkerStartError`), the old ones stay.
        """
        before, self.options = self.options, options
        self._first = self._loop.create_future()
        old = list(self._links)
        fresh = self._new_link()
        self._awaited = {fresh}
        try:
            await self._launch(fresh)
            app = await self._first
        except WorkerStartError:
            self.options = before
            raise
        if is_broken(app):
            self.options = before
            if old:
                self.dismiss(fresh, 0.0)
            return app
        for link in [*old, *([self.quarantine] if self.quarantine is not None else [])]:
            self.dismiss(link, options.shutdown_grace)
        for _ in range(options.processes - 1):
            await self._launch(self._new_link())
        return app

    async def stop(self, grace: float) -> None:
        """End all workers; what runs in them may end within `grace` seconds."""
        self.stopping = True
        if self._watch is not None:
            self._watch.cancel()
        links = self.all()
        for link in links:
            link.stop(grace)
        if links:
            await asyncio.wait([self._loop.create_task(link.gone.wait()) for link in links], timeout=grace + 3.0)
        for link in links:
            if not link.gone.is_set():
                link.kill()
                await link.gone.wait()

    def kill(self) -> None:
        """End all workers at once."""
        self.stopping = True
        for link in self.all():
            link.kill()

    def start_quarantine(self) -> None:
        """Start the worker in which suspects run."""
        options = structs.replace(self.options, arguments=()) if self.options.under_debugger else self.options
        self.quarantine = self._link("quarantine", options)
        self._spawn(self._launch(self.quarantine))

    def dismiss(self, link: WorkerLink, grace: float) -> None:
        """Retire it, let what runs end within `grace` seconds, then end it."""
        self._retire(link)
        link.stop(grace)

    def exchange(self, link: WorkerLink, grace: float) -> None:
        """Dismiss it and start another in its place."""
        if link.retired:
            return
        replaced = link is not self.quarantine and not self.stopping
        self.dismiss(link, grace)
        if replaced:
            self._spawn(self._launch(self._new_link()))

    def indexed(self, link: WorkerLink, app: AppIndexed) -> None:
        """The worker has loaded the app. With a fatal error in it, it is never ready."""
        link.app = app
        link.threads = app.threads or 1
        self._awaited.discard(link)
        if not self._first.done():
            self._first.set_result(app)
        if is_broken(app) or link.retired:
            return
        if link is not self.quarantine:
            self.ready.append(link)
        self._listener.on_ready(link)

    def _new_link(self) -> WorkerLink:
        """A worker that is counted from now on; `_launch` starts its process."""
        link = self._link("worker", self.options)
        self._links.append(link)
        return link

    def _link(self, role: str, options: SupervisorOptions) -> WorkerLink:
        self._serial += 1
        listener = self._listener
        return WorkerLink(f"{role}-{self._serial}", options, listener.on_messages, listener.on_line, self._on_link_end)

    async def _launch(self, link: WorkerLink) -> None:
        try:
            await link.start()
        except OSError as error:
            self._forget(link)
            raise WorkerStartError(
                f"The Python interpreter {self.options.interpreter or 'of this host'} could not be started: {error}. "
                "Check languageWorkers__python__defaultExecutablePath."
            ) from error

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._listener.on_trouble(str(error))

    def _forget(self, link: WorkerLink) -> None:
        for group in (self._links, self.ready):
            if link in group:
                group.remove(link)
        self._leaving.discard(link)
        if self.quarantine is link:
            self.quarantine = None

    def _retire(self, link: WorkerLink) -> None:
        link.retired = True
        self._forget(link)
        self._leaving.add(link)
        self._listener.on_retired(link)

    def _look_after(self) -> None:
        """Once a second: workers that do not beat are replaced."""
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look_after)
        now, limit = self._loop.time(), self.options.heartbeat_limit
        slept, self._looked = now - self._looked > 5 * WATCH_SECONDS, now
        for link in self.all():
            if slept:
                # this process stood still: silence meanwhile says nothing about a worker
                link.heard = now
            if link.heartbeat.debugger:
                continue
            silence = now - link.heard
            if limit and silence > limit and link.exit_code is None:
                self._listener.on_trouble(
                    f"Worker {link.name} (process {link.pid}) has not answered for {silence:.0f} s and is replaced."
                )
                link.kill_as_hung()
            else:
                self._listener.on_look(link, now)

    def _on_link_end(self, link: WorkerLink) -> None:
        """A process is gone: replace it unless its end was meant."""
        confined = link is self.quarantine
        self._retire(link)
        self._leaving.discard(link)
        if not link.dismissed and not self.stopping:
            if link.app is not None:
                reason = link.describe_end()
                self._listener.on_trouble(f"{reason[0].upper()}{reason[1:]} and is replaced.")
            if not confined:
                self._replace(link)
        self._listener.on_gone(link)

    def _replace(self, link: WorkerLink) -> None:
        if link in self._awaited:
            self._awaited.discard(link)
            if not self._awaited and not self._first.done():
                self._first.set_exception(WorkerStartError(_start_problem(link)))
            return
        if link.app is not None and self._loop.time() - link.started >= _STABLE_SECONDS:
            self._quick_deaths = 0
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._quick_deaths) if self._quick_deaths else 0.0
        self._quick_deaths += 1
        self._loop.call_later(pause, self._add_after_pause)

    def _add_after_pause(self) -> None:
        if not self.stopping and len(self._links) < self.options.processes:
            self._spawn(self._launch(self._new_link()))


def is_broken(app: AppIndexed) -> bool:
    """Whether an app cannot run at all."""
    return any(error.fatal for error in app.errors)


def _start_problem(link: WorkerLink) -> str:
    """Why a worker did not come up."""
    words = "\n".join(link.last_words)
    interpreter = link.options.interpreter or "the interpreter of this host"
    if "No module named perdure" in words or "No module named 'perdure'" in words:
        return f"perdure is not installed for {interpreter}: {interpreter} -m pip install perdure"
    return f"The worker process did not start: {link.describe_end()}." + (f"\n{words}" if words else "")
