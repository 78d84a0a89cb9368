"""Turns of orchestrator code: what it is given, and what its answers lead to."""

from __future__ import annotations

from perdure.engine import lifecycle
from perdure.engine.decide import Intake, begin, decide
from perdure.engine.runtime_state import RuntimeState, is_stale, revived
from perdure.model.actions import CompleteOrchestration
from perdure.model.execution import SessionMissing, TurnDecided, TurnMismatch, TurnOutcome, TurnRequest
from perdure.model.failure import FailureDetails
from perdure.model.history import ExecutionStarted, HistoryEvent
from perdure.taskhub.instance import Instance
from perdure.taskhub.settlement import Settlement
from perdure.taskhub.shift import Shift, spent


class CodeTurns:
    """Runs orchestrator code turn by turn."""

    def __init__(self, shift: Shift, settle: Settlement) -> None:
        self._shift, self._settle = shift, settle

    def start(self, instance: Instance) -> None:
        """Run the code with what waits for the instance."""
        state = instance.state
        if not state.begun and state.not_before > self._shift.committer.time():
            # an event or a resume came before the time of the start: it waits in the store like the start itself
            self._shift.let_go(instance, state.not_before)
            return
        rows = instance.take(self._shift.options.turn_messages)
        events: list[HistoryEvent] = []
        for row in rows:
            if not is_stale(row.generation, state.generation):
                events.append(row.event)
            elif not row.seq:
                self._shift.activities.rows.write(row, state.n)
        time = self._shift.turn_time(instance, rows)
        refusal = self._shift.options.versions.refusal(state.version)
        if refusal is not None:
            self._wrong_version(instance, refusal)
            return
        if state.begun and not events:
            self._settle.commit(instance, lifecycle.skip(state, time, *spent(rows, state.generation)))
            return
        if not self._shift.catalog.runs_here("orchestration", state.name):
            self._no_function(instance)
            return
        if not state.begun:
            events.insert(0, self._begin(state))
        self.run(instance, time, events, [] if not state.begun else None)

    def _begin(self, state: RuntimeState) -> ExecutionStarted:
        return begin(state, self._shift.options.dialect, self._shift.options.fingerprint)

    def _wrong_version(self, instance: Instance, refusal: str) -> None:
        """host-json.md 2.1: Reject leaves the instance to a host of another version, Fail ends it."""
        if self._shift.options.versions.fail:
            failure = FailureDetails("VersionMismatch", refusal)
            self._fail(instance, f"Orchestrator function '{instance.state.name}' failed: {refusal}", failure)
            return
        self._shift.refuse(instance, refusal)

    def _no_function(self, instance: Instance) -> None:
        """The app here has no such function: another host may; else a new instance fails, and one that has begun waits
        for code that has it."""
        state = instance.state
        unknown = self._shift.catalog.unknown("orchestration", state.name)
        if unknown is None:
            self._shift.refuse(instance, f"The app of this host has no orchestrator function '{state.name}'.")
        elif state.begun or state.generation:
            self._mismatch(instance, unknown)
        else:
            failure = FailureDetails("LookupError", unknown, "builtins")
            self._fail(instance, f"Orchestrator function '{state.name}' failed: {unknown}", failure)

    def run(self, instance: Instance, time: int, events: list[HistoryEvent], history: list[bytes] | None) -> None:
        """Run the code with these events; `history` None: where no session stands, it is read first."""
        state = instance.state
        if instance.controls and instance.rewinding is None:
            self._shift.requeue(instance)
            return
        if history is None and not self._shift.executor.has_session(state.n, state.generation, state.turn):
            self._shift.read_history(instance, lambda rows: self.run(instance, time, events, rows))
            return
        if history is None and state.trace is not None and not state.began:
            # the span of a later generation that was loaded anew: only its history says when it began
            self._shift.read_history(instance, lambda rows: self.run(instance, time, events, None))
            return
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

        def decided(outcome: TurnOutcome) -> None:
            self._decided(instance, time, events, outcome)

        self._shift.executor.run_turn(request, self._shift.in_user_code(instance, decided))

    def _decided(self, instance: Instance, time: int, events: list[HistoryEvent], outcome: TurnOutcome) -> None:
        if isinstance(outcome, TurnDecided):
            state = instance.state
            if outcome.replayed:
                self._shift.telemetry.replayed(state.name)
            consumed, done = spent(instance.taken, state.generation)
            rewinding, instance.rewinding = instance.rewinding, None
            if rewinding is not None:
                state = revived(state)
            decision = decide(
                state,
                time,
                Intake(events, consumed, done),
                outcome,
                instance.timer_tasks,
                self._shift.room(),
                self._shift.catalog,
            )
            self._shift.use_numbers(decision.numbers)
            if rewinding is not None:
                decision = lifecycle.with_rewinding(decision, rewinding)
            self._settle.commit(instance, decision)
        elif isinstance(outcome, SessionMissing):
            self._shift.read_history(instance, lambda rows: self.run(instance, time, events, rows))
        elif isinstance(outcome, TurnMismatch):
            self._mismatch(instance, outcome.report)
        else:
            self._settle.lost(instance, outcome)

    def _mismatch(self, instance: Instance, report: str) -> None:
        if not self._shift.options.fail_on_mismatch:
            self._settle.park(instance, report, drop=True)
            return
        failure = FailureDetails("NonDeterministicOrchestration", report)
        self._fail(instance, f"Orchestrator function '{instance.state.name}' failed: {report}", failure)

    def _fail(self, instance: Instance, text: str, failure: FailureDetails) -> None:
        """End an instance as failed without its code."""
        state = instance.state
        self._shift.executor.drop_session(state.n)
        events = [row.event for row in instance.taken if not is_stale(row.generation, state.generation)]
        if not state.begun:
            events.insert(0, self._begin(state))
        failed = TurnDecided(state.n, state.generation, state.turn, [CompleteOrchestration(text, failure)])
        consumed, done = spent(instance.taken, state.generation)
        time = self._shift.turn_time(instance, instance.taken)
        intake = Intake(events, consumed, done)
        self._settle.commit(
            instance, decide(state, time, intake, failed, instance.timer_tasks, self._shift.room(), self._shift.catalog)
        )
