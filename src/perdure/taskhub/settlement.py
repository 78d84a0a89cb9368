"""What becomes of a decision: it is committed, its effects follow the verdict; or the instance is parked."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from perdure.engine.decide import Decision
from perdure.engine.runtime_state import marked
from perdure.model.commit_plan import Parking, TurnVerdict, Verdict
from perdure.model.execution import EntityOutcome, TurnOutcome
from perdure.storage.provider import StoreError
from perdure.taskhub.instance import Instance, Phase
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.shift import Shift


class Settlement:
    """Commits turns and acts on the verdicts."""

    def __init__(self, shift: Shift, parked: ParkedList) -> None:
        self._shift, self._parked = shift, parked
        #: an instance was created that nobody owns, to be started at this time (0: now)
        self.on_left_behind: Callable[[int], None] = lambda not_before: None

    def commit(self, instance: Instance, decision: Decision) -> None:
        """Commit a decision; its effects are released when it is durable."""
        if instance.backlog and (decision.state.status.is_terminal or decision.plan.next_generation):
            decision = _with_backlog(instance, decision)
        instance.phase = Phase.COMMITTING
        self._shift.activities.reserve(decision.plan.work)
        epoch = self._shift.epoch

        def judged(verdict: TurnVerdict | StoreError) -> None:
            if epoch != self._shift.epoch:
                return
            if isinstance(verdict, StoreError):
                self._shift.activities.unreserve(decision.plan.work)
                self._culprit(instance, verdict)
            elif verdict.verdict is Verdict.APPLIED:
                self._applied(instance, decision, verdict)
            else:
                self._shift.activities.unreserve(decision.plan.work)
                self.fenced(instance)

        self._shift.committer.turn(decision.plan, judged)

    def _applied(self, instance: Instance, decision: Decision, verdict: TurnVerdict) -> None:
        plan, state = decision.plan, decision.state
        before, instance.state = instance.state, state
        rows, instance.taken = instance.taken, []
        if state.generation == before.generation:
            self._shift.executor.turn_applied(state.n, state.generation, state.turn)
        else:
            self._shift.executor.drop_session(state.n)
        seconds = self._shift.clock.monotonic() - instance.used
        self._shift.telemetry.turn_applied(before, plan, verdict, rows, seconds)
        for row in rows:
            if row.ran is not None:
                self._shift.activities.rows.settled(row)
        if before.parked is not None and state.status.is_terminal:
            self._parked.remove(state.n)
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
            self._shift.registry.message_committed(message, judged)
        for new, made in zip(plan.creations, verdict.creations, strict=True):
            if made.verdict is Verdict.APPLIED:
                if new.owner == self._shift.token:
                    self._shift.registry.created(new)
                else:
                    self.on_left_behind(0)
            elif new.refusal is not None and made.refusal is not None:
                self._shift.registry.message_committed(new.refusal, made.refusal)
        if plan.work:
            self._shift.activities.scheduled(plan.work)
        if plan.close_work:
            self._shift.activities.cancel_all(state.n, running=self._shift.options.cancel_activities_on_terminate)
        instance.phase = Phase.IDLE
        self._shift.on_ready(instance)

    def end(self, instance: Instance) -> None:
        """A finished instance leaves memory; results that still wait for it are dropped with their work rows."""
        self._shift.executor.drop_session(instance.state.n)
        for row in instance.inbox:
            if row.seq == 0:
                self._shift.activities.rows.write(row, instance.state.n)
        self._shift.registry.forget(instance)

    def fenced(self, instance: Instance) -> None:
        """A turn was not applied: nothing of it counts, and the instance is loaded anew if it is still ours."""
        self._shift.telemetry.turn_fenced(instance.state.n, instance.state.instance_id)
        n = instance.state.n
        for row in [*instance.taken, *instance.inbox]:
            if row.seq == 0:
                self._shift.activities.rows.write(row, n)
        self._shift.registry.abandon(instance)
        self._shift.registry.load(n)

    def _culprit(self, instance: Instance, error: StoreError) -> None:
        """The store refuses this turn alone: park the instance, the others go on."""
        report = f"The store could not apply the turn of '{instance.state.instance_id}': {error}"
        self.park(instance, report, drop=True)

    def lost(self, instance: Instance, outcome: TurnOutcome | EntityOutcome) -> None:
        """A worker died under the turn: count it durably, then try again in quarantine, or park."""
        alone = bool(getattr(outcome, "alone", False))
        suspect = max(1, instance.state.suspect) + (1 if alone else 0)
        reason = getattr(outcome, "reason", "")
        if suspect > self._shift.options.max_worker_deaths:
            deaths = self._shift.options.max_worker_deaths
            self.park(instance, f"The worker died {deaths} times while it ran this instance alone: {reason}", drop=True)
            return
        self.park(instance, None, drop=True, suspect=suspect)

    def park(self, instance: Instance, report: str | None, *, drop: bool, suspect: int = 0) -> None:
        """Commit that the instance cannot go on (`report`), or may go on again; `drop`: its session is worthless."""
        instance.phase = Phase.COMMITTING
        if drop:
            self._shift.executor.drop_session(instance.state.n)
        epoch, ticket = self._shift.epoch, instance.ticket

        def listed() -> None:
            if epoch == self._shift.epoch and instance.ticket == ticket:
                self._mark(instance, report, suspect)

        if report is None:
            listed()
        else:
            self._parked.add(instance.state.n, listed)

    def _mark(self, instance: Instance, report: str | None, suspect: int) -> None:
        state, epoch, ticket = instance.state, self._shift.epoch, instance.ticket

        def judged(verdict: Verdict | StoreError) -> None:
            if epoch != self._shift.epoch or instance.ticket != ticket:
                return
            if isinstance(verdict, StoreError) or verdict is not Verdict.APPLIED:
                self.fenced(instance)
                return
            if report is not None:
                self._shift.telemetry.parked(state.instance_id, state.name, report)
            instance.state = marked(state, report, suspect)
            self._shift.requeue(instance)

        self._shift.committer.park(Parking(state.n, state.turn, report, suspect), judged)


def _with_backlog(instance: Instance, decision: Decision) -> Decision:
    """The generation ends before all its work rows are written: the rest goes with the end, unless it is forced."""
    plan, backlog = decision.plan, tuple(instance.backlog)
    instance.backlog.clear()
    if plan.close_work:
        return decision
    return replace(decision, plan=replace(plan, work=backlog + plan.work))
