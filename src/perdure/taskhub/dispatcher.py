"""Turns: take what waits for an instance, run its code, commit the decision, release the effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from perdure.engine import entities, lifecycle
from perdure.engine.catalog import Catalog
from perdure.engine.decide import Decision, Intake, Room, begin, decide
from perdure.engine.entity_queue import EntityQueue
from perdure.engine.runtime_state import CONTROL, at_cursor, is_stale, marked, revived, runs_code, wants_turn
from perdure.model.actions import CompleteOrchestration
from perdure.model.codec import decode_history
from perdure.model.commit_plan import Parking, Release, TurnVerdict, Verdict, WorkChunk
from perdure.model.execution import (
    EntityDecided,
    EntityOutcome,
    EntityRequest,
    SessionMissing,
    TurnDecided,
    TurnMismatch,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityLockRequested,
    EntityOperationRequested,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import InstanceKind, RuntimeStatus, instance_number
from perdure.storage.provider import StoreError
from perdure.taskhub.activities import Activities
from perdure.taskhub.committer import Committer
from perdure.taskhub.instance import Instance, Phase, Row
from perdure.taskhub.interfaces import Clock, Executor, Store
from perdure.taskhub.options import HubOptions
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.registry import Registry
from perdure.taskhub.telemetry import Telemetry

_RETRY_SECONDS = 0.1
#: how long an instance that this host may not run is left alone by all
_REFUSED_MICROSECONDS = 2_000_000
#: work rows in one chunk of a large turn
_CHUNK = 500


class Dispatcher:
    """Runs the turns of the instances in memory, as many at once as the limit allows."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        executor: Executor,
        registry: Registry,
        committer: Committer,
        activities: Activities,
        options: HubOptions,
        telemetry: Telemetry,
    ) -> None:
        self._store, self._clock, self._executor = store, clock, executor
        self._registry, self._committer, self._activities = registry, committer, activities
        self._options, self._telemetry = options, telemetry
        self._ready: deque[Instance] = deque()
        self._scheduled = False
        self._running = 0
        self._counter = 0
        self._token = 0
        self._epoch = 0
        self._draining = False
        self._drained: Callable[[], None] | None = None
        self.catalog = Catalog({})
        self._parked = ParkedList(store, clock, options.fingerprint)
        self._unparking: set[int] = set()
        #: an instance was created that nobody owns, to be started at this time (0: now)
        self.on_left_behind: Callable[[int], None] = lambda not_before: None
        #: few instances wait for a turn
        self.on_starved: Callable[[], None] = lambda: None

    def begin(self, token: int) -> None:
        """Start under a token with nothing under way."""
        self._token, self._counter, self._running = token, 0, 0
        self._epoch += 1
        self._ready.clear()
        self._draining, self._drained = False, None
        self._unparking = set()
        self._parked.others(self._unpark)

    def _unpark(self, numbers: list[int]) -> None:
        """Try again what other code could not go on with."""
        for n in numbers:
            self._unparking.add(n)
            self._registry.load(n)

    @property
    def running(self) -> int:
        """Turns under way."""
        return self._running

    @property
    def queued(self) -> int:
        """Instances that wait for a turn."""
        return len(self._ready)

    def next_number(self) -> int:
        """The first of the numbers for new instances that are still free."""
        return instance_number(self._token, self._counter)

    def use_numbers(self, count: int) -> None:
        """So many of them are given away."""
        self._counter += count

    def new_number(self) -> int:
        """A number for a new instance."""
        self._counter += 1
        return instance_number(self._token, self._counter - 1)

    def drain(self, done: Callable[[], None]) -> None:
        """Start no more turns; call when those under way are committed."""
        self._draining, self._drained = True, done
        self._maybe_drained()

    def _maybe_drained(self) -> None:
        if self._drained is not None and self._running == 0:
            done, self._drained = self._drained, None
            self._committer.when_idle(done)

    def ready(self, instance: Instance) -> None:
        """Something may wait for this instance; it is idle."""
        if instance.backlog:
            self._write_chunk(instance)
        if instance.phase is not Phase.IDLE:
            return
        if instance.state.n in self._unparking:
            self._unparking.discard(instance.state.n)
            self._parked.remove(instance.state.n)
            if instance.state.parked is not None:
                self._park(instance, None, drop=False)
                return
        if instance.state.cursor and not instance.backlog:
            self._restore_backlog(instance)
            return
        if not wants_turn(instance.state, (row.event for row in instance.inbox)):
            if instance.state.status.is_terminal:
                self._end(instance)
            elif instance.more_after:
                self._registry.read_more(instance)
            else:
                self._registry.make_room()
            return
        instance.phase = Phase.QUEUED
        self._ready.append(instance)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._ready and not self._draining:
            self._scheduled = True
            self._clock.soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        ready, limit = self._ready, self._options.max_turns
        while ready and not self._draining:
            if self._running >= limit:
                self._telemetry.limit_reached("turns", self._running, limit)
                return
            instance = ready.popleft()
            if instance.phase is Phase.QUEUED and self._registry.get(instance.state.n) is instance:
                self._start(instance)
        self.on_starved()

    # -- starting a turn

    def _start(self, instance: Instance) -> None:
        instance.ticket += 1
        self._registry.touch(instance)
        state = instance.state
        if instance.controls:
            self._control(instance)
        elif not runs_code(state):
            instance.phase = Phase.IDLE
        elif state.kind is InstanceKind.ENTITY:
            self._entity_step(instance)
        else:
            self._code_turn(instance)

    def _turn_time(self, instance: Instance, rows: list[Row]) -> int:
        time = max(self._committer.time(), instance.state.time)
        for row in rows:
            if row.due > time:
                time = row.due
        return time

    def _code_turn(self, instance: Instance) -> None:
        state = instance.state
        rows = instance.take(self._options.turn_messages)
        events: list[HistoryEvent] = []
        for row in rows:
            if not is_stale(row.generation, state.generation):
                events.append(row.event)
            elif not row.seq:
                self._activities.write_result(row, state.n)
        time = self._turn_time(instance, rows)
        refusal = self._options.versions.refusal(state.version)
        if refusal is not None:
            self._wrong_version(instance, refusal)
            return
        if state.begun and not events:
            self._commit(instance, lifecycle.skip(state, time, *_spent(rows, state.generation)))
            return
        if not state.begun:
            events.insert(0, begin(state))
        self._run(instance, time, events, [] if not state.begun else None)

    def _wrong_version(self, instance: Instance, refusal: str) -> None:
        """host-json.md 2.1: Reject leaves the instance to a host of another version, Fail ends it."""
        if self._options.versions.fail:
            failure = FailureDetails("VersionMismatch", refusal)
            self._fail(instance, f"Orchestrator function '{instance.state.name}' failed: {refusal}", failure)
            return
        instance.give_back()
        state = instance.state
        self._telemetry.refused(state.instance_id, state.name, refusal)
        self._registry.forget(instance)
        wait = self._committer.time() + _REFUSED_MICROSECONDS
        self._committer.release(Release(state.n, wait), lambda answer: None)

    def _run(self, instance: Instance, time: int, events: list[HistoryEvent], history: list[bytes] | None) -> None:
        state = instance.state
        if instance.controls and instance.rewinding is None:
            self._requeue(instance)
            return
        if history is None and not self._executor.has_session(state.n, state.generation, state.turn):
            self._read_history(instance, lambda rows: self._run(instance, time, events, rows))
            return
        instance.phase = Phase.RUNNING
        self._running += 1
        request = TurnRequest(
            state.n,
            state.generation,
            state.turn,
            state.instance_id,
            state.name,
            time,
            events,
            history,
            suspect=state.suspect,
        )
        ticket, epoch = instance.ticket, self._epoch

        def decided(outcome: TurnOutcome) -> None:
            if epoch != self._epoch:
                return
            self._running -= 1
            if instance.ticket == ticket:
                self._decided(instance, time, events, outcome)
            self._schedule()
            self._maybe_drained()

        self._executor.run_turn(request, decided)

    def _read_history(self, instance: Instance, then: Callable[[list[bytes]], None]) -> None:
        instance.phase = Phase.READING
        ticket, epoch, state = instance.ticket, self._epoch, instance.state

        def read(answer: list[bytes] | StoreError) -> None:
            if epoch != self._epoch or instance.ticket != ticket:
                return
            if isinstance(answer, StoreError):
                self._telemetry.store_failed(str(answer))
                self._clock.later(_RETRY_SECONDS, lambda: self._retry(instance, ticket, epoch))
            else:
                then(answer)

        self._store.read_history(state.n, state.generation, read)

    def _retry(self, instance: Instance, ticket: int, epoch: int) -> None:
        """Begin the turn anew after the store failed to answer."""
        if epoch == self._epoch and instance.ticket == ticket:
            self._requeue(instance)

    def interrupt(self, instance: Instance) -> None:
        """A control message came while user code runs: terminate, suspend and purge never wait for it."""
        self._executor.drop_session(instance.state.n)
        self._requeue(instance)

    def _requeue(self, instance: Instance) -> None:
        instance.ticket += 1
        instance.give_back()
        instance.phase = Phase.IDLE
        self.ready(instance)

    # -- what came of it

    def _decided(self, instance: Instance, time: int, events: list[HistoryEvent], outcome: TurnOutcome) -> None:
        if isinstance(outcome, TurnDecided):
            state = instance.state
            consumed, done = _spent(instance.taken, state.generation)
            rewinding, instance.rewinding = instance.rewinding, None
            if rewinding is not None:
                state = revived(state)
            decision = decide(
                state,
                time,
                Intake(events, consumed, done),
                outcome,
                instance.timer_tasks,
                self._room(),
                self.catalog,
            )
            self._counter += decision.numbers
            if rewinding is not None:
                decision = lifecycle.with_rewinding(decision, rewinding)
            self._commit(instance, decision)
        elif isinstance(outcome, SessionMissing):
            self._read_history(instance, lambda rows: self._run(instance, time, events, rows))
        elif isinstance(outcome, TurnMismatch):
            self._mismatch(instance, outcome)
        else:
            self._lost(instance, outcome)

    def _room(self) -> Room:
        options = self._options
        return Room(
            self._token,
            self._activities.room(),
            self.next_number(),
            self._registry.has_room(),
            options.keep_generations,
            options.max_actions,
        )

    def _commit(self, instance: Instance, decision: Decision) -> None:
        instance.phase = Phase.COMMITTING
        self._activities.reserve(decision.plan.work)
        epoch = self._epoch

        def judged(verdict: TurnVerdict | StoreError) -> None:
            if epoch != self._epoch:
                return
            if isinstance(verdict, StoreError):
                self._activities.unreserve(decision.plan.work)
                self._culprit(instance, verdict)
            elif verdict.verdict is Verdict.APPLIED:
                self._applied(instance, decision, verdict)
            else:
                self._activities.unreserve(decision.plan.work)
                self._fenced(instance)

        self._committer.turn(decision.plan, judged)

    def _applied(self, instance: Instance, decision: Decision, verdict: TurnVerdict) -> None:
        plan, state = decision.plan, decision.state
        before, instance.state = instance.state, state
        instance.taken = []
        if state.generation == before.generation:
            self._executor.turn_applied(state.n, state.generation, state.turn)
        else:
            self._executor.drop_session(state.n)
        self._telemetry.turn_applied(plan, state.name, state.instance_id)
        if plan.close_all_timers or plan.close_inbox:
            instance.timers.clear()
            instance.timer_tasks.clear()
        for seq in plan.close_timers:
            instance.drop_timer(seq)
        if decision.backlog:
            instance.backlog.extend(decision.backlog)
        instance.phase = Phase.COMMITTING
        sent = list(zip(plan.messages, verdict.messages, strict=True))
        if plan.next_generation:
            # what goes ahead of the queue is put there last to first
            sent.sort(key=lambda pair: pair[0].ahead)
            ahead = sum(1 for message, _ in sent if message.ahead)
            sent[len(sent) - ahead :] = reversed(sent[len(sent) - ahead :])
        for message, judged in sent:
            self._registry.message_committed(message, judged)
        for new, made in zip(plan.creations, verdict.creations, strict=True):
            if made.verdict is Verdict.APPLIED:
                if new.owner == self._token:
                    self._registry.created(new)
                else:
                    self.on_left_behind(0)
            elif new.refusal is not None and made.refusal is not None:
                self._registry.message_committed(new.refusal, made.refusal)
        self._activities.scheduled(plan.work)
        if plan.close_work and self._options.cancel_activities_on_terminate:
            self._activities.cancel_all(state.n)
        instance.phase = Phase.IDLE
        self.ready(instance)

    def _end(self, instance: Instance) -> None:
        """A finished instance leaves memory; results that still wait for it are dropped with their work rows."""
        self._executor.drop_session(instance.state.n)
        for row in instance.inbox:
            if row.seq == 0:
                self._activities.write_result(row, instance.state.n)
        self._registry.forget(instance)

    def _fenced(self, instance: Instance) -> None:
        self._telemetry.turn_fenced(instance.state.n, instance.state.instance_id)
        n = instance.state.n
        for row in [*instance.taken, *instance.inbox]:
            if row.seq == 0:
                self._activities.write_result(row, n)
        self._registry.abandon(instance)
        self._registry.load(n)

    def _culprit(self, instance: Instance, error: StoreError) -> None:
        """The store refuses this turn alone: park the instance, the others go on."""
        report = f"The store could not apply the turn of '{instance.state.instance_id}': {error}"
        self._park(instance, report, drop=True)

    def _mismatch(self, instance: Instance, outcome: TurnMismatch) -> None:
        if not self._options.fail_on_mismatch:
            self._park(instance, outcome.report, drop=True)
            return
        failure = FailureDetails("NonDeterministicOrchestration", outcome.report)
        self._fail(instance, f"Orchestrator function '{instance.state.name}' failed: {outcome.report}", failure)

    def _fail(self, instance: Instance, text: str, failure: FailureDetails) -> None:
        """End an instance as failed without its code."""
        state = instance.state
        self._executor.drop_session(state.n)
        events = [row.event for row in instance.taken if not is_stale(row.generation, state.generation)]
        if not state.begun:
            events.insert(0, begin(state))
        failed = TurnDecided(state.n, state.generation, state.turn, [CompleteOrchestration(text, failure)])
        consumed, done = _spent(instance.taken, state.generation)
        time = self._turn_time(instance, instance.taken)
        intake = Intake(events, consumed, done)
        self._commit(instance, decide(state, time, intake, failed, instance.timer_tasks, self._room(), self.catalog))

    def _lost(self, instance: Instance, outcome: TurnOutcome | EntityOutcome) -> None:
        """A worker died under the turn: count it durably, then try again in quarantine, or park."""
        alone = bool(getattr(outcome, "alone", False))
        suspect = max(1, instance.state.suspect) + (1 if alone else 0)
        reason = getattr(outcome, "reason", "")
        if suspect > self._options.max_worker_deaths:
            deaths = self._options.max_worker_deaths
            self._park(
                instance, f"The worker died {deaths} times while it ran this instance alone: {reason}", drop=True
            )
            return
        self._park(instance, None, drop=True, suspect=suspect)

    def _park(self, instance: Instance, report: str | None, *, drop: bool, suspect: int = 0) -> None:
        instance.phase = Phase.COMMITTING
        if drop:
            self._executor.drop_session(instance.state.n)
        epoch, ticket = self._epoch, instance.ticket

        def listed() -> None:
            if epoch == self._epoch and instance.ticket == ticket:
                self._mark(instance, report, suspect)

        if report is None:
            listed()
        else:
            self._parked.add(instance.state.n, listed)

    def _mark(self, instance: Instance, report: str | None, suspect: int) -> None:
        state, epoch, ticket = instance.state, self._epoch, instance.ticket

        def judged(verdict: Verdict | StoreError) -> None:
            if epoch != self._epoch or instance.ticket != ticket:
                return
            if isinstance(verdict, StoreError) or verdict is not Verdict.APPLIED:
                self._fenced(instance)
                return
            if report is not None:
                self._telemetry.parked(state.instance_id, state.name, report)
            instance.state = marked(state, report, suspect)
            self._requeue(instance)

        self._committer.park(Parking(state.n, state.turn, report, suspect), judged)

    # -- turns without user code

    def _control(self, instance: Instance) -> None:
        if instance.state.kind is InstanceKind.ENTITY:
            self._clear_entity(instance)
            return
        row = instance.take_control()
        state, event = instance.state, row.event
        time = self._turn_time(instance, [row])
        consumed, done = _spent([row], state.generation)
        if isinstance(event, ExecutionSuspended) and runs_code(state):
            self._commit(instance, lifecycle.suspend(state, time, event, consumed))
        elif isinstance(event, ExecutionResumed) and state.status is RuntimeStatus.SUSPENDED:
            self._commit(instance, lifecycle.resume(state, time, event, consumed))
        elif isinstance(event, ExecutionTerminated) and not state.status.is_terminal:
            self._terminate(instance, event, time, consumed)
        elif isinstance(event, ExecutionRewound) and state.status is RuntimeStatus.FAILED:
            self._read_history(instance, lambda rows: self._rewind(instance, event, time, rows))
        else:
            self._commit(instance, lifecycle.skip(state, time, consumed, done))

    def _terminate(self, instance: Instance, event: ExecutionTerminated, time: int, consumed: tuple[int, ...]) -> None:
        def end(rows: list[bytes]) -> None:
            tasks = lifecycle.open_tasks(e for row in rows for e in decode_history(row))
            number = self.next_number()
            decision = lifecycle.terminate(instance.state, time, event, number, tasks)
            self._counter += decision.numbers
            self._commit(instance, decision)

        if instance.state.begun:
            self._read_history(instance, end)
        else:
            end([])

    def _rewind(self, instance: Instance, event: ExecutionRewound, time: int, rows: list[bytes]) -> None:
        history = [decode_history(row) for row in rows]
        state = instance.state
        under_way = {row.task for row in instance.inbox if row.generation == state.generation}
        under_way |= self._activities.tasks_of(state.n, state.generation)
        instance.rewinding = lifecycle.rewind(state, event, history, under_way)
        self._run(instance, time, [instance.rewinding.event], rows)

    # -- entities

    def _entity_step(self, instance: Instance) -> None:
        state, queue = instance.state, instance.inbox
        assert isinstance(queue, EntityQueue)
        step = entities.next_step(state, queue, self._options.max_entity_batch)
        if step is None:
            instance.phase = Phase.IDLE
            if instance.more_after:
                self._registry.read_more(instance)
            return
        if isinstance(step, entities.Operations):
            rows = instance.take_at(step.rows)
            self._entity_batch(instance, rows)
            return
        if isinstance(step, entities.Unlock):
            rows = instance.take_at((step.row,))
            self._commit(instance, entities.unlock(state, self._turn_time(instance, rows), _spent(rows, 0)[0]))
            return
        rows = instance.take_at((step.row,) if step.unlock < 0 else (step.row, step.unlock))
        request = rows[0].event
        assert isinstance(request, EntityLockRequested)
        time = self._turn_time(instance, rows)
        cancelled = step.unlock >= 0
        self._commit(instance, entities.lock(state, time, request, self.new_number(), _spent(rows, 0)[0], cancelled))

    def _clear_entity(self, instance: Instance) -> None:
        """A purge of an entity in use. It reaches what was sent before it, window by window."""
        queue = instance.inbox
        control = next(row for row in queue if isinstance(row.event, CONTROL))
        dropped = [r for r in queue if isinstance(r.event, EntityOperationRequested) and r.seq < control.seq]
        ends = not 0 < instance.more_after < control.seq
        if not dropped and not ends:
            instance.phase = Phase.IDLE
            self._registry.read_more(instance)
            return
        rows = instance.take_at((*(row.seq for row in dropped), *((control.seq,) if ends else ())))
        instance.controls -= ends
        time = self._turn_time(instance, rows)
        operations = [row.event for row in dropped if isinstance(row.event, EntityOperationRequested)]
        self._commit(instance, entities.clear(instance.state, time, operations, _spent(rows, 0)[0], ends))

    def _entity_batch(self, instance: Instance, rows: list[Row]) -> None:
        state = instance.state
        time = self._turn_time(instance, rows)
        operations = [row.event for row in rows if isinstance(row.event, EntityOperationRequested)]
        instance.phase = Phase.RUNNING
        self._running += 1
        ticket, epoch = instance.ticket, self._epoch

        def decided(outcome: EntityOutcome) -> None:
            if epoch != self._epoch:
                return
            self._running -= 1
            if instance.ticket == ticket:
                if isinstance(outcome, EntityDecided):
                    number = self.next_number()
                    decision = entities.decide_batch(
                        state,
                        time,
                        operations,
                        _spent(rows, 0)[0],
                        outcome,
                        number,
                        self._token,
                        self.catalog,
                    )
                    self._counter += decision.numbers
                    self._commit(instance, decision)
                else:
                    self._lost(instance, outcome)
            self._schedule()
            self._maybe_drained()

        request = EntityRequest(
            state.n, state.turn, state.instance_id, state.name, time, state.state, operations, suspect=state.suspect
        )
        self._executor.run_entity(request, decided)

    # -- large turns

    def _write_chunk(self, instance: Instance) -> None:
        """Write the next work rows of a large turn; others commit between the chunks."""
        if instance.phase is not Phase.IDLE:
            return
        backlog = instance.backlog
        work = tuple(backlog.popleft() for _ in range(min(_CHUNK, len(backlog))))
        state = instance.state
        following = backlog[0].task + 1 if backlog else 0
        epoch = self._epoch

        def judged(verdict: Verdict | StoreError) -> None:
            if epoch != self._epoch:
                return
            if isinstance(verdict, StoreError) or verdict is not Verdict.APPLIED:
                self._fenced(instance)
                return
            instance.state = at_cursor(instance.state, following)
            self._activities.scheduled(work)
            instance.phase = Phase.IDLE
            self.ready(instance)

        instance.phase = Phase.COMMITTING
        self._committer.chunk(WorkChunk(state.n, state.cursor, following, work), judged)

    def _restore_backlog(self, instance: Instance) -> None:
        """After a restart: the work rows still to be written are those scheduled from the cursor on."""
        instance.ticket += 1

        def restore(rows: list[bytes]) -> None:
            state = instance.state
            tasks = lifecycle.open_tasks(e for row in rows for e in decode_history(row))
            instance.backlog.extend(lifecycle.work_from(state, tasks, state.cursor - 1))
            if not instance.backlog:
                instance.state = at_cursor(state, 0)
            instance.phase = Phase.IDLE
            self.ready(instance)

        self._read_history(instance, restore)


def _spent(rows: list[Row], generation: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Inbox rows, and tasks of results that are only in memory, which a turn of this generation uses up."""
    consumed = tuple(row.seq for row in rows if row.seq)
    return consumed, tuple(row.task for row in rows if not row.seq and row.generation == generation)
