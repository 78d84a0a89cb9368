"""Worker processes: start, watch, replace; and who runs what. The executor port of the task hub, and the HTTP front's.

Everything here happens on the loop's thread. Blame for deaths is in `blame.py`, single processes in `worker_link.py`.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Union

from perdure.host import blame
from perdure.host.begun import InvocationIds
from perdure.host.executions import Execution, RunEnded, RunKind, RunStarted
from perdure.host.messages import (
    ActivityResult,
    AppIndexed,
    BeginActivity,
    BeginEntity,
    BeginTurn,
    CancelActivity,
    ClientCall,
    ClientReply,
    DropSession,
    EntityResult,
    Heartbeat,
    HttpAnswer,
    HttpInvocation,
    InvocationDone,
    InvocationFailed,
    LogCredit,
    LogLine,
    SessionEvicted,
    TriggerInvocation,
    TurnResult,
    WorkerMessage,
)
from perdure.host.user_errors import is_users
from perdure.host.worker_link import Run, SupervisorOptions, WorkerLink, least_loaded
from perdure.model.actions import CompleteOrchestration, ContinueAsNewWith
from perdure.model.execution import (
    ActivityFailed,
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
    TurnDecided,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.failure import FailureDetails
from perdure.model.operations import OperationAnswer

_WATCH_SECONDS = 1.0
_CREDIT_STEP = 64 * 1024
_LINE_OVERHEAD = 100
_STABLE_SECONDS = 10.0
_LONGEST_PAUSE = 30.0
_QUARANTINE_IDLE_SECONDS = 60.0
_ERROR, _WARNING = 40, 30

_FRAME = re.compile(r'\s+File "([^"]+)"')

CallOutcome = Union[HttpAnswer, InvocationDone, InvocationFailed]
Reply = Callable[[OperationAnswer], None]


class WorkerStartError(Exception):
    """No worker came up; the text says what the process said and what to do."""


class Supervisor:
    """Runs user code in worker processes. Implements `perdure.taskhub.interfaces.Executor`.

    `on_log` gets every line of user code and of workers, `on_executed` the start and end of every run (None: not
    told), `on_client_call` what durable clients ask; it calls `reply` once.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        *,
        on_log: Callable[[LogLine], None],
        on_client_call: Callable[[ClientCall, Reply], None],
        on_executed: Callable[[Execution], None] | None = None,
    ) -> None:
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._on_log = on_log
        self._on_client_call = on_client_call
        self._on_executed = on_executed
        self._ids = InvocationIds(os.urandom(10))
        self._links: list[WorkerLink] = []
        self._ready: list[WorkerLink] = []
        self._leaving: set[WorkerLink] = set()
        self._waiting: deque[Run] = deque()
        self._sessions: dict[int, tuple[WorkerLink, int, int]] = {}
        self._activities: dict[tuple[int, int, int], Run] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._async_functions: set[str] = set()
        self._suspects = blame.Suspects()
        self._quarantine: WorkerLink | None = None
        self._quarantine_idle: asyncio.TimerHandle | None = None
        self._confined: deque[Run] = deque()
        self._serial = 0
        self._turn_of = 0
        self._quick_deaths = 0
        self._stopping = False
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._first: asyncio.Future[AppIndexed] = self._loop.create_future()
        #: the workers one of which `start` or `reload` waits for
        self._awaited: set[WorkerLink] = set()
        self._looked = self._loop.time()
        self._owed: dict[WorkerLink, int] = {}
        self._logs_held = False

    # life --------------------------------------------------------------------------------------------------------

    async def start(self) -> AppIndexed:
        """Start all workers at once; what the first that is ready says of the app.

        A fatal error in it means that the app cannot run. Raises `WorkerStartError` when no worker comes up.
        """
        self._watch = self._loop.call_later(_WATCH_SECONDS, self._look_after)
        links = [self._new_link() for _ in range(self.options.processes)]
        self._awaited.update(links)
        for link in links:
            await self._launch(link)
        return await self._first

    async def reload(self, options: SupervisorOptions | None = None) -> AppIndexed:
        """Start anew with what the app's files hold now.

        The old workers go on until the new app is known to load; with a fatal error in it they stay. What runs in
        them may end within the grace for shutting down. Raises `WorkerStartError` as `start` does.
        """
        before = self.options
        if options is not None:
            self.options = options
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
                self._dismiss(fresh, 0.0)
            return app
        for link in old:
            self._dismiss(link, self.options.shutdown_grace)
        if self._quarantine is not None:
            self._dismiss(self._quarantine, self.options.shutdown_grace)
            self._quarantine = None
        for _ in range(self.options.processes - 1):
            await self._launch(self._new_link())
        return app

    async def stop(self, grace: float | None = None) -> None:
        """Let running functions end within `grace` seconds (default: the option), then end all workers.

        What did not end is given back uncounted.
        """
        self._stopping = True
        grace = self.options.shutdown_grace if grace is None else grace
        if self._watch is not None:
            self._watch.cancel()
        links = [*self._links, *self._leaving]
        if self._quarantine is not None:
            links.append(self._quarantine)
        for link in links:
            link.stop(grace)
        waiting = [*self._waiting, *self._confined]
        self._waiting.clear()
        self._confined.clear()
        for run in waiting:
            self._end(run, blame.given_back(run, "the host is shutting down"), "given back")
        if links:
            await asyncio.wait([self._loop.create_task(link.gone.wait()) for link in links], timeout=grace + 3.0)
        for link in links:
            if not link.gone.is_set():
                link.kill()
                await link.gone.wait()

    def kill(self) -> None:
        """End all workers at once."""
        self._stopping = True
        for link in [*self._links, *self._leaving, *([self._quarantine] if self._quarantine else [])]:
            link.kill()

    def hold_logs(self, held: bool) -> None:
        """While held, workers get no credit for more log lines: user code that logs waits at the window's end."""
        self._logs_held = held
        if not held:
            for link in list(self._owed):
                self._pay(link, at_once=True)

    @property
    def processes(self) -> list[int]:
        """Ids of the worker processes that are ready."""
        return [link.pid for link in self._ready]

    # the executor port -------------------------------------------------------------------------------------------

    def has_session(self, n: int, generation: int, turn: int) -> bool:
        held = self._sessions.get(n)
        return held is not None and held[1] == generation and held[2] == turn

    def run_turn(self, request: TurnRequest, done: Callable[[TurnOutcome], None]) -> None:
        begin = BeginTurn(self._ids.next(), request)
        function = self._names.get(("orchestrationtrigger", request.name.lower()), request.name)
        self._dispatch(Run(RunKind.TURN, begin, function, request.instance_id, False, done))

    def turn_applied(self, n: int, generation: int, turn: int) -> None:
        """Nothing to do: the session is counted on from its decision on, and dropped when that is not applied."""

    def drop_session(self, n: int) -> None:
        held = self._sessions.pop(n, None)
        if held is not None:
            held[0].channel.send(DropSession(n))

    def run_activity(self, request: ActivityRequest, done: Callable[[ActivityOutcome], None]) -> None:
        begin = BeginActivity(self._ids.next(), request)
        function = self._names.get(("activitytrigger", request.name.lower()), request.name)
        run = Run(RunKind.ACTIVITY, begin, function, request.instance_id, function in self._async_functions, done)
        self._activities[request.n, request.generation, request.task] = run
        self._dispatch(run)

    def cancel_activity(self, n: int, generation: int, task: int) -> None:
        run = self._activities.get((n, generation, task))
        if run is None:
            return
        for link in self._all_links():
            if run.invocation in link.inflight:
                link.channel.send(CancelActivity(n, generation, task))
                if not run.is_async and link.has_begun(run):
                    text = f"Activity function '{run.function}' runs on; its result will be discarded."
                    self._say(text, _WARNING, run)

    def run_entity(self, request: EntityRequest, done: Callable[[EntityOutcome], None]) -> None:
        begin = BeginEntity(self._ids.next(), request)
        function = self._names.get(("entitytrigger", request.name.lower()), request.name)
        self._dispatch(Run(RunKind.ENTITY, begin, function, request.entity_id, function in self._async_functions, done))

    def activity_room(self) -> int:
        if self._stopping or not any(not link.channel.congested for link in self._ready):
            return 0
        return max(0, self.options.max_activities - len(self._activities))

    # the front's calls -------------------------------------------------------------------------------------------

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
        begin = HttpInvocation(self._ids.next(), function, method, url, headers, params, route_params, body, trace)
        answer = await self._call(RunKind.HTTP, begin, function)
        assert isinstance(answer, (HttpAnswer, InvocationFailed))
        return answer

    async def invoke_trigger(
        self, function: str, payload: str | None, trace: str | None = None, reason: str = "", details: str = ""
    ) -> InvocationDone | InvocationFailed:
        """Run any other function with its trigger's JSON text. `reason` and `details` are for the log."""
        begin = TriggerInvocation(self._ids.next(), function, payload, trace)
        answer = await self._call(RunKind.TRIGGER, begin, function, reason, details)
        assert isinstance(answer, (InvocationDone, InvocationFailed))
        return answer

    async def _call(self, kind: RunKind, begin: Any, function: str, reason: str = "", details: str = "") -> CallOutcome:
        future: asyncio.Future[CallOutcome] = self._loop.create_future()

        def done(outcome: CallOutcome) -> None:
            if not future.done():
                future.set_result(outcome)

        self._dispatch(Run(kind, begin, function, "", function in self._async_functions, done, reason, details))
        return await future

    # who runs what -----------------------------------------------------------------------------------------------

    def _dispatch(self, run: Run) -> None:
        if self._stopping:
            self._loop.call_soon(self._end, run, blame.given_back(run, "the host is shutting down"), "given back")
        elif self._suspects and self._suspects.holds(run):
            self._confined.append(run)
            self._feed_quarantine()
        elif not self._ready:
            self._waiting.append(run)
        else:
            self._give(self._choose(run), run)

    def _choose(self, run: Run) -> WorkerLink:
        ready = self._ready
        if run.kind is RunKind.TURN:
            n: int = run.begin.request.n
            held = self._sessions.pop(n, None)
            if held is not None:
                link = held[0]
                if link.is_ready:
                    return link
                link.channel.send(DropSession(n))
            return ready[n % len(ready)]
        if len(ready) == 1:
            return ready[0]
        if run.kind is RunKind.HTTP:
            self._turn_of += 1
            return ready[self._turn_of % len(ready)]
        return least_loaded(ready)

    def _give(self, link: WorkerLink, run: Run) -> None:
        link.give(run)
        if self._on_executed is not None:
            self._on_executed(
                RunStarted(run.function, run.invocation, run.kind, run.instance_id, run.reason, run.details)
            )

    def _end(self, run: Run, outcome: Any, error: str = "") -> None:
        """Hand over the outcome of a run that is in no worker any more."""
        if run.kind is RunKind.ACTIVITY:
            request = run.begin.request
            self._activities.pop((request.n, request.generation, request.task), None)
        if self._on_executed is not None and run.sent:
            duration = self._loop.time() - run.sent
            self._on_executed(
                RunEnded(run.function, run.invocation, run.kind, duration, not error, run.instance_id, error)
            )
        run.done(outcome)

    def _feed_quarantine(self) -> None:
        """Suspects run alone: one at a time, in a worker of their own."""
        link = self._quarantine
        if not self._confined:
            if link is not None and not link.inflight and self._quarantine_idle is None:
                self._quarantine_idle = self._loop.call_later(_QUARANTINE_IDLE_SECONDS, self._close_quarantine)
            return
        if self._quarantine_idle is not None:
            self._quarantine_idle.cancel()
            self._quarantine_idle = None
        if link is None:
            self._spawn(self._launch(self._new_link(quarantine=True)))
        elif link.is_ready and not link.inflight:
            self._give(link, self._confined.popleft())

    def _close_quarantine(self) -> None:
        self._quarantine_idle = None
        link, self._quarantine = self._quarantine, None
        if link is not None:
            self._dismiss(link, 1.0)

    # workers -----------------------------------------------------------------------------------------------------

    def _new_link(self, *, quarantine: bool = False) -> WorkerLink:
        """A worker that is counted from now on; `_launch` starts its process."""
        self._serial += 1
        name = f"{'quarantine' if quarantine else 'worker'}-{self._serial}"
        link = WorkerLink(name, self.options, self._on_messages, self._on_line, self._on_link_end)
        if quarantine:
            self._quarantine = link
        else:
            self._links.append(link)
        return link

    async def _launch(self, link: WorkerLink) -> None:
        try:
            await link.start()
        except OSError as error:
            self._forget(link)
            raise WorkerStartError(
                f"The Python interpreter {self.options.interpreter or 'of this host'} could not be started: {error}. "
                "Check languageWorkers__python__defaultExecutablePath."
            ) from error

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)

        def finished(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._say(str(error), _ERROR)

        task.add_done_callback(finished)

    def _all_links(self) -> list[WorkerLink]:
        return [*self._links, *self._leaving, *([self._quarantine] if self._quarantine is not None else [])]

    def _forget(self, link: WorkerLink) -> None:
        for group in (self._links, self._ready):
            if link in group:
                group.remove(link)
        self._leaving.discard(link)
        self._owed.pop(link, None)
        if self._quarantine is link:
            self._quarantine = None

    def _retire(self, link: WorkerLink) -> None:
        """Give it nothing new; sessions in it are not used again."""
        link.retired = True
        self._forget(link)
        self._leaving.add(link)
        self._sessions = {n: held for n, held in self._sessions.items() if held[0] is not link}

    def _dismiss(self, link: WorkerLink, grace: float) -> None:
        self._retire(link)
        link.stop(grace)

    def _on_indexed(self, link: WorkerLink, app: AppIndexed) -> None:
        link.app = app
        self._awaited.discard(link)
        if not self._first.done():
            self._first.set_result(app)
        if is_broken(app):
            return
        link.threads = app.threads or 1
        self._names = {
            (function.trigger, function.durable_name.lower()): function.name
            for function in app.functions
            if function.durable_name
        }
        self._async_functions = {function.name for function in app.functions if function.is_async}
        if link is self._quarantine:
            self._feed_quarantine()
        elif not link.retired:
            self._ready.append(link)
            waiting, self._waiting = self._waiting, deque()
            for run in waiting:
                self._dispatch(run)

    def _look_after(self) -> None:
        """Once a second: workers that do not beat, runs past their limit."""
        self._watch = self._loop.call_later(_WATCH_SECONDS, self._look_after)
        now, options = self._loop.time(), self.options
        slept, self._looked = now - self._looked > 5 * _WATCH_SECONDS, now
        for link in self._all_links():
            if slept:
                # this process stood still: silence meanwhile says nothing about a worker
                link.heard = now
            if link.heartbeat.debugger:
                continue
            if options.heartbeat_limit and now - link.heard > options.heartbeat_limit and link.exit_code is None:
                self._say(
                    f"Worker {link.name} (process {link.pid}) has not answered for {now - link.heard:.0f} s "
                    "and is replaced.",
                    _ERROR,
                )
                link.kill_as_hung()
            elif options.function_timeout > 0:
                self._enforce_timeout(link, now - options.function_timeout)

    def _enforce_timeout(self, link: WorkerLink, limit: float) -> None:
        late: list[Run] = []
        for run in link.inflight.values():
            if run.sent > limit:
                break
            late.append(run)
        if not late:
            return
        begun = {id(run) for run in link.begun()}
        expired = [run for run in late if id(run) in begun]
        for run in late:
            if id(run) not in begun:
                # it waits for a thread and its time has not begun
                del link.inflight[run.invocation]
                run.sent = self._loop.time()
                link.inflight[run.invocation] = run
        if not expired:
            return
        stuck = any(run.kind is RunKind.TURN for run in expired)
        for run in expired:
            del link.inflight[run.invocation]
        if not link.retired:
            if link is self._quarantine:
                self._retire(link)
            else:
                self._retire(link)
                if not self._stopping:
                    self._spawn(self._launch(self._new_link()))
            link.stop(self.options.shutdown_grace)
        if stuck:
            # the turn thread does not come back: what waits for it goes elsewhere
            for run in [run for run in link.inflight.values() if run.kind is RunKind.TURN]:
                del link.inflight[run.invocation]
                self._end(run, blame.given_back(run, "its worker was retired"), "given back")
        for run in expired:
            text = blame.timeout_text(run, self.options.function_timeout)
            self._say(text, _ERROR, run)
            self._end(run, blame.timed_out(run, text), text)
        self._feed_quarantine()

    def _on_link_end(self, link: WorkerLink) -> None:
        """A process is gone. Whose fault was it, what runs again, who replaces it."""
        alone_by_design = link is self._quarantine
        was_ready = link.app is not None
        self._retire(link)
        self._leaving.discard(link)
        runs = list(link.inflight.values())
        begun = {id(run) for run in link.begun()}
        link.inflight.clear()
        reason = link.describe_end()
        if not link.dismissed and not self._stopping:
            if was_ready:
                self._say(f"{reason[0].upper()}{reason[1:]} and is replaced.", _ERROR)
            self._replace(link, was_ready, alone_by_design)
        again: list[Run] = []
        for run in runs:
            if link.dismissed or id(run) not in begun:
                if run.kind is RunKind.ENTITY or (run.kind in blame.CALLS and id(run) not in begun):
                    again.append(run)
                else:
                    self._end(run, blame.given_back(run, f"{reason} while it was retired"), "given back")
            else:
                self._suspects.add(run)
                self._end(run, blame.lost(run, reason, alone=len(begun) == 1), reason)
        for run in again:
            self._dispatch(run)
        self._feed_quarantine()

    def _replace(self, link: WorkerLink, was_ready: bool, quarantine: bool) -> None:
        if link in self._awaited:
            self._awaited.discard(link)
            if not self._awaited and not self._first.done():
                words = "\n".join(link.last_words)
                self._first.set_exception(WorkerStartError(_start_problem(link, words)))
            return
        if quarantine:
            return  # the next suspect starts another
        if was_ready and self._loop.time() - link.started >= _STABLE_SECONDS:
            self._quick_deaths = 0
        pause = min(_LONGEST_PAUSE, 0.25 * 2**self._quick_deaths) if self._quick_deaths else 0.0
        self._quick_deaths += 1
        self._loop.call_later(pause, self._add_after_pause)

    def _add_after_pause(self) -> None:
        if not self._stopping and len(self._links) < self.options.processes:
            self._spawn(self._launch(self._new_link()))

    # messages from workers ---------------------------------------------------------------------------------------

    def _on_messages(self, link: WorkerLink, messages: list[WorkerMessage]) -> None:
        link.heard = self._loop.time()
        for message in messages:
            if isinstance(message, TurnResult):
                self._on_turn(link, message)
            elif isinstance(message, ActivityResult):
                run = link.inflight.pop(message.invocation, None)
                if run is not None:
                    outcome = message.outcome
                    self._finish(
                        link, run, outcome, _activity_error(outcome) if type(outcome) is ActivityFailed else ""
                    )
            elif isinstance(message, LogLine):
                self._on_log(message)
                self._owed[link] = self._owed.get(link, 0) + len(message.text) + _LINE_OVERHEAD
            elif isinstance(message, ClientCall):
                self._on_client_call(message, _replier(link, message.call))
            else:
                self._on_other(link, message)
        if link in self._owed:
            self._pay(link)

    def _on_other(self, link: WorkerLink, message: WorkerMessage) -> None:
        if isinstance(message, EntityResult):
            run = link.inflight.pop(message.invocation, None)
            if run is not None:
                failed = next((result.reason for result in message.outcome.results if result.failure), "")
                self._finish(link, run, message.outcome, failed)
        elif isinstance(message, (HttpAnswer, InvocationDone, InvocationFailed)):
            run = link.inflight.pop(message.invocation, None)
            if run is not None:
                failure = message.failure if isinstance(message, InvocationFailed) else None
                self._finish(link, run, message, _shown(failure) if failure is not None else "")
        elif isinstance(message, SessionEvicted):
            held = self._sessions.get(message.n)
            if held is not None and held[0] is link:
                del self._sessions[message.n]
        elif isinstance(message, Heartbeat):
            link.heartbeat = message
        elif isinstance(message, AppIndexed):
            self._on_indexed(link, message)

    def _on_turn(self, link: WorkerLink, message: TurnResult) -> None:
        run = link.inflight.pop(message.invocation, None)
        outcome = message.outcome
        if run is None:
            # a turn that was abandoned: its session must not be used
            link.channel.send(DropSession(outcome.n))
            return
        error = ""
        if type(outcome) is TurnDecided:
            last = outcome.actions[-1] if outcome.actions else None
            if isinstance(last, CompleteOrchestration):
                error = _shown(last.failure) if last.failure is not None else ""
            elif isinstance(last, ContinueAsNewWith):
                pass
            elif link is self._quarantine:
                link.channel.send(DropSession(outcome.n))
            elif link.is_ready:
                self._sessions[outcome.n] = (link, outcome.generation, outcome.base_turn + 1)
        self._finish(link, run, outcome, error)

    def _finish(self, link: WorkerLink, run: Run, outcome: Any, error: str) -> None:
        if self._suspects:
            self._suspects.clear(run)
        self._end(run, outcome, error)
        if link is self._quarantine:
            self._feed_quarantine()

    def _pay(self, link: WorkerLink, at_once: bool = False) -> None:
        owed = self._owed.get(link, 0)
        if owed and not self._logs_held and (at_once or owed >= _CREDIT_STEP):
            del self._owed[link]
            link.channel.send(LogCredit(owed))

    def _on_line(self, link: WorkerLink, line: str) -> None:
        frame = _FRAME.match(line)
        if frame and not is_users(frame[1]):
            return
        if link.app is not None or self._first.done():
            self._on_log(LogLine(_wall_clock(), _ERROR, line, category="Worker", thread=link.name))

    def _say(self, text: str, level: int, run: Run | None = None) -> None:
        function, invocation, instance_id = (run.function, run.invocation, run.instance_id) if run else ("", "", "")
        self._on_log(LogLine(_wall_clock(), level, text, function, invocation, instance_id, "Worker", "host"))


def is_broken(app: AppIndexed) -> bool:
    """Whether an app cannot run at all."""
    return any(error.fatal for error in app.errors)


def _replier(link: WorkerLink, call: int) -> Reply:
    return lambda answer: link.channel.send(ClientReply(call, answer))


def _shown(failure: FailureDetails) -> str:
    """For the log: type, message, and where in the user's code it was raised."""
    said = f"{failure.error_type}: {failure.message}"
    return f"{said}\nStack: {failure.stack_trace.rstrip()}" if failure.stack_trace else said


def _activity_error(outcome: ActivityFailed) -> str:
    return _shown(outcome.failure) if outcome.failure is not None else outcome.reason


def _wall_clock() -> int:
    return time.time_ns() // 1000


def _start_problem(link: WorkerLink, words: str) -> str:
    """Why a worker did not come up."""
    interpreter = link.options.interpreter or "the interpreter of this host"
    if "No module named perdure" in words or "No module named 'perdure'" in words:
        return f"perdure is not installed for {interpreter}: {interpreter} -m pip install perdure"
    return f"The worker process did not start: {link.describe_end()}." + (f"\n{words}" if words else "")
