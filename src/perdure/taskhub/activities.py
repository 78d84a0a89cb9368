"""Activities: claim them, run them, bring their results home, or give the claims back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from perdure.engine.runtime_state import runs_code
from perdure.engine.spans import activity_span
from perdure.model.commit_plan import Attempt, WorkItem, WorkReturn
from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityLost, ActivityOutcome, ActivityRequest
from perdure.model.failure import FailureDetails
from perdure.model.history import HistoryEvent, TaskCompleted, TaskFailed
from perdure.storage.provider import StoreError
from perdure.taskhub.committer import Committer
from perdure.taskhub.instance import Phase, Row
from perdure.taskhub.interfaces import Clock, Executor, Store
from perdure.taskhub.long_runs import Key, LongRuns
from perdure.taskhub.options import HubOptions
from perdure.taskhub.registry import Registry
from perdure.taskhub.result_rows import ResultRows
from perdure.taskhub.slots import Free, Kind, Slots
from perdure.taskhub.telemetry import Telemetry

_RETRY_SECONDS = 0.2
#: what was claimed ahead and found no slot for this long goes back, in seconds
_PATIENCE = 0.25
#: claims under way together: what comes free while the store answers one need not wait for it
_CLAIMS = 3


class Activities:
    """The activities that this host runs or is about to run."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        executor: Executor,
        registry: Registry,
        committer: Committer,
        options: HubOptions,
        telemetry: Telemetry,
    ) -> None:
        self._store, self._clock, self._executor = store, clock, executor
        self._registry, self._committer = registry, committer
        self._options, self._telemetry = options, telemetry
        self._slots = Slots(executor, options)
        self._running: dict[Key, WorkItem] = {}
        self._long_runs = LongRuns(clock, executor, committer)
        self._claims = 0
        self._starting = False
        self._patient = False
        #: results that go to the instance by the store
        self.rows = ResultRows(clock, registry, committer, options, telemetry)
        self._token = 0
        #: there is work in the store that any host may take
        self.on_left: Callable[[], None] = lambda: None
        self._epoch = 0
        self._draining = False
        self._drained: Callable[[], None] | None = None
        #: no other live host could take work that is left to others
        self.alone = True

    def app_changed(self, options: HubOptions) -> None:
        """Which activities this host runs, and how many at once."""
        self._slots.app_changed(options)

    def begin(self, token: int) -> None:
        """Start under a token with nothing claimed."""
        self._token = token
        self._epoch += 1
        self._slots.begin()
        self._running = {}
        self._long_runs.begin()
        self.rows.begin(token)
        self._claims, self._starting, self._patient = 0, False, False
        self._draining, self._drained = False, None

    @property
    def running(self) -> int:
        """Activities under way."""
        return len(self._running)

    def room(self) -> tuple[int, int]:
        """How many new activities this host may take in a commit, and how many of them may need a thread."""
        if self._draining:
            return 0, 0
        return self._slots.room(self._slots.free(), self._committer.latency)

    def reserve(self, work: Iterable[WorkItem]) -> None:
        """Slots for work that a commit is about to give to this host."""
        self._slots.reserve((item for item in work if item.owner == self._token), 1)

    def unreserve(self, work: Iterable[WorkItem]) -> None:
        """That commit was not applied."""
        self._slots.reserve((item for item in work if item.owner == self._token), -1)

    def scheduled(self, work: Iterable[WorkItem]) -> None:
        """Work rows are durable: start what is ours, look for the rest when there is room."""
        mine: list[WorkItem] = []
        left = False
        for item in work:
            if item.owner == self._token:
                mine.append(item)
            else:
                self._slots.kind_of(item).learn(waits=True)
                left = True
        self._slots.reserve(mine, -1)
        self._take_over(mine)
        if left and not self.alone:
            self.on_left()
        self._start_soon()

    def _take_over(self, items: list[WorkItem]) -> None:
        if items:
            self._slots.add(items, self._clock.monotonic())

    def look(self) -> None:
        """There may be unclaimed work in the store."""
        for kind in self._slots.kinds:
            kind.learn()
        self._start_claimed()

    def resume(self) -> None:
        """The store knows this host to be alive, or workers have room again: start what was held back meanwhile."""
        self._start_claimed()

    def _start_soon(self) -> None:
        """Start what may start, once for all that came together."""
        if not self._starting:
            self._starting = True
            self._clock.soon(self._start_claimed)

    def _start_claimed(self) -> None:
        self._starting = False
        if self._draining:
            for item in self._slots.take_stalled(self._clock.monotonic()):
                self._give_back(item)
            return
        if not self._committer.is_current():
            # others may have taken this host for dead, and its claims with it: nothing new before the next beat
            return
        if not (self._slots.is_waiting or self._slots.is_incomplete):
            self._telemetry.limit_cleared("activities")
            return
        slots, free = self._slots, self._slots.free()
        if slots.is_waiting:
            items, free = slots.take(free)
            for item in items:
                self._start(item)
        self._claim(free)
        self._tell_limit(free)
        if slots.is_waiting and not self._patient:
            self._patient = True
            self._clock.later(_PATIENCE, self._lose_patience)

    def _tell_limit(self, free: Free) -> None:
        """Whether work waits because there is no slot for it."""
        plain, coroutines = self._slots.kinds
        if not (plain.waits or coroutines.waits or self._slots.is_waiting):
            self._telemetry.limit_cleared("activities")
        elif self._running and not (free.threads if plain.waits or plain.claimed else free.slots):
            self._telemetry.limit_reached("activities", len(self._running), self._slots.limit)

    def _lose_patience(self) -> None:
        """What was claimed ahead and found no slot is others' to take."""
        self._patient = False
        if self._committer.is_current() and not self._draining:
            stalled = self._slots.take_stalled(self._clock.monotonic() - _PATIENCE)
            for item in stalled:
                self._give_back(item)
            if stalled:
                self._slots.pace.stalled(_PATIENCE)
        self._start_claimed()

    def _claim(self, free: Free) -> None:
        """Ask the store for as much as there is room for."""
        plain, coroutines = self._slots.kinds
        if self._claims >= _CLAIMS or not self._token or not (plain.unclaimed or coroutines.unclaimed):
            return
        room = self._slots.room(free, self._committer.latency)
        if plain.unclaimed and self._is_worth_it(room.threads, plain):
            self._claim_of(plain, room.threads)
        elif coroutines.unclaimed and self._is_worth_it(room.slots, coroutines):
            self._claim_of(coroutines, room.slots)

    @staticmethod
    def _is_worth_it(room: int, kind: Kind) -> bool:
        """Whether to ask the store for so many: not for a few while others wait here."""
        return room > len(kind.claimed)

    def _claim_of(self, kind: Kind, wanted: int) -> None:
        self._claims += 1
        kind.reserved += wanted
        epoch = self._epoch
        asked = [(one, one.news) for one in (self._slots.kinds if kind.plain else (kind,))]

        def claimed(answer: list[WorkItem] | StoreError) -> None:
            if epoch != self._epoch:
                return
            self._claims -= 1
            kind.reserved -= wanted
            if isinstance(answer, StoreError):
                self._telemetry.store_failed(str(answer))
                self._clock.later(_RETRY_SECONDS, self._start_claimed)
                return
            for one, news in asked:
                one.answered(len(answer) >= wanted, news)
            if self._draining:
                for item in answer:
                    self._give_back(item)
                return
            self._take_over(answer)
            self._start_claimed()

        self._store.claim_work(self._token, kind.names, wanted, claimed)

    def _start(self, item: WorkItem) -> None:
        key = (item.n, item.generation, item.task)
        began = self._clock.monotonic()
        self._running[key] = item
        self._long_runs.started(key, item)
        self._slots.running = len(self._running)
        epoch = self._epoch

        def done(outcome: ActivityOutcome) -> None:
            if epoch == self._epoch and self._running.pop(key, None) is not None:
                outcome = self._by_the_store(outcome)
                self._long_runs.ended(key)
                self._telemetry.activity_ran(item, outcome)
                self._slots.running = len(self._running)
                if not isinstance(outcome, ActivityLost):
                    # by the worker's clock; by this host's where the worker does not say
                    took = (outcome.finished - outcome.started) / 1_000_000
                    self._slots.pace.ended(took if took > 0 else self._clock.monotonic() - began)
                self._done(item, outcome)

        self._executor.run_activity(
            ActivityRequest(
                item.n,
                item.generation,
                item.task,
                item.instance_id,
                item.name,
                item.input,
                item.attempt,
                activity_span(item),
                item.suspect,
            ),
            done,
        )

    def _by_the_store(self, outcome: ActivityOutcome) -> ActivityOutcome:
        """With times by the store's clock instead of this machine's, which may be wrong by minutes."""
        if isinstance(outcome, ActivityLost) or not outcome.finished:
            return outcome
        ahead = self._clock.now() - self._committer.time()
        return replace(outcome, started=outcome.started - ahead, finished=outcome.finished - ahead)

    def _done(self, item: WorkItem, outcome: ActivityOutcome) -> None:
        if isinstance(outcome, ActivityLost):
            self._lost(item, outcome)
        else:
            event: HistoryEvent
            # by the store's clock, so that no turn is older than what it consumes
            time = self._committer.time()
            if isinstance(outcome, ActivityCompleted):
                event = TaskCompleted(item.task, outcome.result, time)
            else:
                event = TaskFailed(item.task, outcome.reason, outcome.details, outcome.failure, time)
            failure = None if isinstance(outcome, ActivityCompleted) else outcome.reason
            self._committer.attempt(
                Attempt(
                    item.n,
                    item.generation,
                    item.task,
                    item.attempt,
                    item.scheduled,
                    outcome.started,
                    outcome.finished,
                    self._token,
                    outcome.worker,
                    failure,
                )
            )
            self._bring_home(item, event, outcome)
        self._start_soon()
        self._maybe_drained()

    def _bring_home(
        self, item: WorkItem, event: HistoryEvent, outcome: ActivityCompleted | ActivityFailed | None = None
    ) -> None:
        """To the instance through memory when a turn can take it, else by a row."""
        row = Row(0, event, item.generation, item.task)
        if item.trace is not None and outcome is not None:
            row.ran = item, outcome
        instance = self._registry.get(item.n)
        generation = None if instance is None else instance.state.generation
        if self._draining or instance is None or generation != item.generation or not runs_code(instance.state):
            self.rows.write(row, item.n)
            return
        instance.add(row)
        if instance.phase is Phase.IDLE:
            self._registry.on_ready(instance)
        elif instance.phase is not Phase.QUEUED:
            self.rows.hold(row, item.n)

    def _lost(self, item: WorkItem, outcome: ActivityLost) -> None:
        """A worker died under an activity (or never began it): count it durably and give the claim back."""
        if not outcome.began:
            self._give_back(item)
            return
        suspect = max(1, item.suspect) + (1 if outcome.alone else 0)
        if suspect > self._options.max_worker_deaths:
            deaths = self._options.max_worker_deaths
            text = f"The worker died {deaths} times while it ran activity '{item.name}' alone: {outcome.reason}"
            reason = f"Activity function '{item.name}' failed:  WorkerDied: {text}"
            self._bring_home(item, TaskFailed(item.task, reason, None, FailureDetails("WorkerDied", text)))
            return
        self._give_back(item, suspect)

    def _give_back(self, item: WorkItem, suspect: int = -1) -> None:
        given = WorkReturn(item.n, item.generation, item.task, item.suspect if suspect < 0 else suspect)
        epoch = self._epoch

        def returned(answer: StoreError | None) -> None:
            if epoch != self._epoch:
                return
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._give_back(item, suspect))
            else:
                self._slots.kind_of(item).learn()
                self.on_left()
                self._start_claimed()

        self._committer.give_back(given, returned)

    def tasks_of(self, n: int, generation: int) -> set[int]:
        """The activities of an instance that this host runs or is about to run."""
        running = {key[2] for key in self._running if key[:2] == (n, generation)}
        return running | {i.task for i in self._slots.claimed() if (i.n, i.generation) == (n, generation)}

    def cancel_all(self, n: int, *, running: bool = True) -> None:
        """The instance was terminated: drop what has not begun and, if `running`, cancel coroutines that run."""
        self._slots.drop(n)
        for key in [key for key in self._running if key[0] == n]:
            self._executor.cancel_activity(*key, running)

    def retire(self) -> None:
        """Start nothing more: what was claimed and has not begun goes back."""
        self._draining = True
        self._start_claimed()

    def drain(self, done: Callable[[], None]) -> None:
        """Start nothing more; call when all that runs has ended and its results are durable."""
        self._drained = done
        self.retire()
        self._maybe_drained()

    def end_drain(self) -> None:
        """Start again what waits."""
        self._draining, self._drained = False, None
        self.look()

    def give_back_running(self) -> None:
        """The grace is over: give the claims of what still runs back at once; late results are refused."""
        running, self._running = self._running, {}
        self._long_runs.begin()
        self._slots.running = 0
        for item in running.values():
            self._give_back(item)
        self._maybe_drained()

    def _maybe_drained(self) -> None:
        if self._drained is not None and not self._running:
            done, self._drained = self._drained, None
            self._committer.when_idle(done)
