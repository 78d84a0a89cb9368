"""Who runs what in the worker processes: the executor port of the task hub, and the calls of the HTTP front.

Everything here happens on the loop's thread. Runs are made in `runs.py`; the processes are kept by `worker_set.py`;
whose fault a death was is said in `blame.py`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from perdure.host.protocol.executions import Execution, RunKind
from perdure.host.protocol.messages import (
    ActivityGivenBack,
    ActivityResult,
    AppIndexed,
    CancelActivity,
    ClientCall,
    ClientReply,
    DropSession,
    EntityResult,
    Heartbeat,
    HttpAnswer,
    InvocationDone,
    InvocationFailed,
    LogLine,
    Pong,
    RecallActivity,
    SessionEvicted,
    TurnResult,
    WorkerMessage,
)
from perdure.host.protocol.user_errors import is_users
from perdure.host.supervision import blame
from perdure.host.supervision.function_calls import FunctionCalls
from perdure.host.supervision.log_window import LogWindow
from perdure.host.supervision.quarantine import Quarantine
from perdure.host.supervision.run_errors import error_of
from perdure.host.supervision.runs import Run, Runs
from perdure.host.supervision.session_places import SessionPlaces
from perdure.host.supervision.worker_link import SupervisorOptions, WorkerLink
from perdure.host.supervision.worker_set import WorkerSet, WorkerStartError
from perdure.model.actions import CompleteOrchestration, ContinueAsNewWith
from perdure.model.execution import (
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
    SessionMissing,
    TurnDecided,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.operations import OperationAnswer
from perdure.taskhub.pace import Pace

#: seconds that a worker's answer and the next run are on their way
_TRIP = 0.002
#: an activity that was handed over ahead of a free thread is taken back after this time, in seconds
_PATIENCE = 0.25
_ERROR, _WARNING = 40, 30

_FRAME = re.compile(r'\s+File "([^"]+)"')

__all__ = ["Supervisor", "WorkerStartError"]

Reply = Callable[[OperationAnswer], None]


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
        self._loop = asyncio.get_running_loop()
        self._on_log = on_log
        self._on_client_call = on_client_call
        self._runs = Runs(on_executed)
        self._workers = WorkerSet(options, self)
        self._quarantine = Quarantine(self._workers, self._give)
        self._sessions = SessionPlaces()
        #: turns whose worker had lost the session: each goes on as the same run once its history is read
        self._unread: dict[int, Run] = {}
        self._waiting: deque[Run] = deque()
        self._activities: dict[tuple[int, int, int], Run] = {}
        self._pace = Pace()
        #: see `Executor`; called when there was none at the last look
        self.on_room: Callable[[], None] = lambda: None
        self._had_room = True
        self._turn_of = 0
        self._log_window = LogWindow()
        #: functions that are not a hub's
        self.calls = FunctionCalls(self._runs, self._dispatch)

    # life --------------------------------------------------------------------------------------------------------

    @property
    def options(self) -> SupervisorOptions:
        """How the workers of now were started."""
        return self._workers.options

    @property
    def workers(self) -> list[WorkerLink]:
        """Those that can be given work."""
        return list(self._workers.ready)

    @property
    def processes(self) -> list[int]:
        """Ids of their processes."""
        return [link.pid for link in self._workers.ready]

    @property
    def sessions(self) -> int:
        """Orchestrations whose code a worker keeps between turns."""
        return len(self._sessions)

    @property
    def threads(self) -> int:
        """Threads of all their pools together."""
        return sum(link.threads for link in self._workers.ready)

    @property
    def outstanding(self) -> int:
        """Runs of any kind that have not ended, those that wait for a worker included."""
        return len(self._waiting) + sum(len(link.inflight) for link in self._workers.all())

    async def start(self) -> AppIndexed:
        """Start all workers at once; what the first that is ready says of the app.

        A fatal error in it means that the app cannot run. Raises `WorkerStartError` when no worker comes up.
        """
        return await self._workers.start()

    async def reload(self, options: SupervisorOptions | None = None) -> AppIndexed:
        """Start anew with what the app's files hold now.

        The old workers go on until the new app is known to load; with a fatal error in it they stay. What runs in
        them may end within the grace for shutting down. Raises `WorkerStartError` as `start` does.
        """
        return await self._workers.reload(options or self.options)

    async def stop(self, grace: float | None = None) -> None:
        """Let running functions end within `grace` seconds (default: the option), then end all workers.

        What did not end is given back uncounted.
        """
        self._workers.stopping = True
        waiting = [*self._waiting, *self._quarantine.take_all()]
        self._waiting.clear()
        for run in waiting:
            self._end(run, blame.given_back(run, "the host is shutting down"), "given back")
        await self._workers.stop(self.options.shutdown_grace if grace is None else grace)

    def kill(self) -> None:
        """End all workers at once."""
        self._workers.kill()

    def hold_logs(self, held: bool) -> None:
        """While held, workers get no credit for more log lines: user code that logs waits at the window's end."""
        self._log_window.hold(held)

    # the executor port -------------------------------------------------------------------------------------------

    def has_session(self, n: int, generation: int, turn: int) -> bool:
        return self._sessions.holds(n, generation, turn)

    def run_turn(self, request: TurnRequest, done: Callable[[TurnOutcome], None]) -> None:
        unread = self._unread.pop(request.n, None)
        self._dispatch(self._runs.turn(request, unread, done))

    def turn_applied(self, n: int, generation: int, turn: int) -> None:
        """Nothing to do: the session is counted on from its decision on, and dropped when that is not applied."""

    def drop_session(self, n: int) -> None:
        self._sessions.drop(n)
        unread = self._unread.pop(n, None)
        if unread is not None:
            self._runs.ended(unread, "")

    def run_activity(self, request: ActivityRequest, done: Callable[[ActivityOutcome], None]) -> None:
        run = self._runs.activity(request, done)
        self._activities[request.n, request.generation, request.task] = run
        self._dispatch(run)

    def cancel_activity(self, n: int, generation: int, task: int, running: bool = True) -> None:
        run = self._activities.get((n, generation, task))
        if run is None:
            return
        for link in self._workers.all():
            if run.invocation in link.inflight:
                link.channel.send(CancelActivity(n, generation, task, running))
                if not (run.is_async and running) and link.has_begun(run):
                    text = f"Activity function '{run.function}' runs on; its result will be discarded."
                    self._say(text, _WARNING, run)

    def activity_runs(self, n: int, generation: int, task: int) -> tuple[str, float] | None:
        run = self._activities.get((n, generation, task))
        if run is not None:
            for link in self._workers.all():
                if run.invocation in link.inflight and link.has_begun(run):
                    return f"{link.name} (process {link.pid})", self._loop.time() - run.sent
        return None

    def run_entity(self, request: EntityRequest, done: Callable[[EntityOutcome], None]) -> None:
        self._dispatch(self._runs.entity(request, done))

    def activity_room(self) -> tuple[int, int]:
        threads, able = 0, False
        for link in self._workers.ready:
            if not link.channel.congested:
                able = True
                # so that a thread need not wait for the host after something short
                threads += max(0, link.free_threads + self._pace.ahead(link.threads, _TRIP))
        able = able and not self._workers.stopping
        room = max(0, self._workers.options.max_activities - len(self._activities)) if able else 0
        self._had_room = room > 0 and threads > 0
        return room, min(room, threads)

    # who runs what -----------------------------------------------------------------------------------------------

    def _dispatch(self, run: Run) -> None:
        if self._workers.stopping:
            self._loop.call_soon(self._end, run, blame.given_back(run, "the host is shutting down"), "given back")
        elif not self._quarantine.takes(run):
            if self._workers.ready:
                self._give(self._choose(run), run)
            else:
                self._waiting.append(run)

    def _choose(self, run: Run) -> WorkerLink:
        ready = self._workers.ready
        if run.kind is RunKind.TURN:
            n: int = run.begin.request.n
            return self._sessions.take(n) or ready[n % len(ready)]
        if len(ready) == 1:
            return ready[0]
        if run.kind is RunKind.HTTP:
            # in turn, but not to a process whose threads are all taken while another has a free one
            able = [link for link in ready if link.free_threads > 0] if run.needs_thread else ready
            self._turn_of += 1
            return (able or ready)[self._turn_of % len(able or ready)]
        if run.needs_thread:
            return max(ready, key=_free_threads)
        return min(ready, key=_runs)

    def _give(self, link: WorkerLink, run: Run) -> None:
        link.give(run)
        self._runs.started(run)

    def _end(self, run: Run, outcome: Any, error: str | None = "") -> None:
        """Hand over the outcome of a run that is in no worker any more. `error` "": it ended well; None: no word of
        it, it never began."""
        if run.kind is RunKind.ACTIVITY:
            request = run.begin.request
            self._activities.pop((request.n, request.generation, request.task), None)
        self._runs.ended(run, error)
        run.done(outcome)
        if run.needs_thread and run.kind is not RunKind.ACTIVITY and not self._had_room:
            self.on_room()

    # what the worker set tells -----------------------------------------------------------------------------------

    def on_ready(self, link: WorkerLink) -> None:
        assert link.app is not None
        self._runs.know(link.app)
        if link is self._workers.quarantine:
            self._quarantine.feed()
            return
        waiting, self._waiting = self._waiting, deque()
        for run in waiting:
            self._dispatch(run)
        self.on_room()

    def on_retired(self, link: WorkerLink) -> None:
        self._sessions.forget(link)

    def on_look(self, link: WorkerLink, now: float) -> None:
        if link.free_threads < 0:
            self._recall(link, now - _PATIENCE)
        if self.options.function_timeout > 0:
            self._enforce_timeout(link, now - self.options.function_timeout)

    def _recall(self, link: WorkerLink, before: float) -> None:
        """Take back activities that found no thread since: other hosts may have one."""
        for run in link.stranded(before):
            if run.kind is RunKind.ACTIVITY:
                link.channel.send(RecallActivity(run.invocation))
                self._pace.stalled(_PATIENCE)

    def on_trouble(self, text: str) -> None:
        self._say(text, _ERROR)

    def on_line(self, link: WorkerLink, line: str) -> None:
        frame = _FRAME.match(line)
        if not frame or is_users(frame[1]):
            self._on_log(LogLine(_wall_clock(), _ERROR, line, category="Worker", thread=link.name))

    def _enforce_timeout(self, link: WorkerLink, limit: float) -> None:
        expired = link.overdue(limit)
        if not expired:
            return
        stuck = any(run.kind is RunKind.TURN for run in expired)
        for run in expired:
            link.take(run.invocation)
        self._workers.exchange(link, self.options.shutdown_grace)
        if stuck:
            # the turn thread does not come back: what waits for it goes elsewhere
            for run in [run for run in link.inflight.values() if run.kind is RunKind.TURN]:
                link.take(run.invocation)
                self._end(run, blame.given_back(run, "its worker was retired"), "given back")
        for run in expired:
            text = blame.timeout_text(run, self.options.function_timeout)
            self._say(text, _ERROR, run)
            self._end(run, blame.timed_out(run, text), text)
        self._quarantine.feed()

    def on_gone(self, link: WorkerLink) -> None:
        """Whose fault was it, and what runs again."""
        self._log_window.forget(link)
        begun = {id(run) for run in link.begun()}
        runs = link.take_all()
        reason = link.describe_end()
        again: list[Run] = []
        for run in runs:
            if link.dismissed or id(run) not in begun:
                if run.kind is RunKind.ENTITY or (run.kind in blame.CALLS and id(run) not in begun):
                    again.append(run)
                else:
                    self._end(run, blame.given_back(run, f"{reason} while it was retired"), "given back")
            else:
                self._quarantine.add(run)
                self._end(run, blame.lost(run, reason, alone=len(begun) == 1), reason)
        for run in again:
            self._dispatch(run)
        self._quarantine.feed()

    # messages from workers ---------------------------------------------------------------------------------------

    def on_messages(self, link: WorkerLink, messages: list[WorkerMessage]) -> None:
        link.heard = self._loop.time()
        for message in messages:
            if isinstance(message, TurnResult):
                self._on_turn(link, message)
            elif isinstance(message, ActivityResult):
                run = link.take(message.invocation)
                if run is not None:
                    outcome = message.outcome
                    if run.needs_thread:
                        self._pace.ended((outcome.finished - outcome.started) / 1_000_000)
                    self._finish(link, run, outcome)
            elif isinstance(message, LogLine):
                self._on_log(message)
                self._log_window.took(link, message)
            elif isinstance(message, ClientCall):
                self._on_client_call(message, _replier(link, message.call))
            else:
                self._on_other(link, message)
        self._log_window.pay(link)

    def _on_other(self, link: WorkerLink, message: WorkerMessage) -> None:
        if isinstance(message, EntityResult):
            run = link.take(message.invocation)
            if run is not None:
                self._finish(link, run, message.outcome)
        elif isinstance(message, (HttpAnswer, InvocationDone, InvocationFailed)):
            run = link.take(message.invocation)
            if run is not None:
                self._finish(link, run, message)
        elif isinstance(message, ActivityGivenBack):
            run = link.take(message.invocation)
            if run is not None:
                self._end(run, blame.given_back(run, "it found no free thread"), None)
        elif isinstance(message, SessionEvicted):
            self._sessions.evicted(message.n, link)
        elif isinstance(message, Pong):
            link.pong(message.cpu)
        elif isinstance(message, Heartbeat):
            link.heartbeat = message
        elif isinstance(message, AppIndexed):
            self._workers.indexed(link, message)

    def _on_turn(self, link: WorkerLink, message: TurnResult) -> None:
        run = link.take(message.invocation)
        outcome = message.outcome
        if run is None:
            # a turn that was abandoned: its session must not be used
            link.channel.send(DropSession(outcome.n))
            return
        if type(outcome) is SessionMissing:
            self._unread[outcome.n] = run
            run.done(outcome)
            if link is self._workers.quarantine:
                self._quarantine.feed()
            return
        if type(outcome) is TurnDecided and not _ends_session(outcome):
            if link is self._workers.quarantine:
                link.channel.send(DropSession(outcome.n))
            elif link.is_ready:
                self._sessions.put(outcome.n, link, outcome.generation, outcome.base_turn + 1)
        self._finish(link, run, outcome)

    def _finish(self, link: WorkerLink, run: Run, outcome: Any) -> None:
        """An answer of a worker ends the run."""
        self._quarantine.clear(run)
        self._end(run, outcome, error_of(outcome))
        if link is self._workers.quarantine:
            self._quarantine.feed()

    def _say(self, text: str, level: int, run: Run | None = None) -> None:
        function, invocation, instance_id = (run.function, run.invocation, run.instance_id) if run else ("", "", "")
        self._on_log(LogLine(_wall_clock(), level, text, function, invocation, instance_id, "Worker", "host"))


def _free_threads(link: WorkerLink) -> int:
    return link.free_threads


def _runs(link: WorkerLink) -> int:
    return len(link.inflight)


def _ends_session(outcome: TurnDecided) -> bool:
    """Whether the code of this generation has come to its end."""
    return bool(outcome.actions) and isinstance(outcome.actions[-1], (CompleteOrchestration, ContinueAsNewWith))


def _replier(link: WorkerLink, call: int) -> Reply:
    return lambda answer: link.channel.send(ClientReply(call, answer))


def _wall_clock() -> int:
    return time.time_ns() // 1000
