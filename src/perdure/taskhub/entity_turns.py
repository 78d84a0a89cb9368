"""Turns of entities: batches of operations, and locks."""

from __future__ import annotations

from collections.abc import Callable

from perdure.engine import entities
from perdure.engine.entity_queue import EntityQueue
from perdure.engine.runtime_state import CONTROL
from perdure.engine.spans import operation_span
from perdure.model.execution import EntityDecided, EntityOutcome, EntityRequest, OperationResult
from perdure.model.failure import FailureDetails
from perdure.model.history import EntityLockRequested, EntityOperationRequested
from perdure.taskhub.instance import Instance, Phase, Row
from perdure.taskhub.settlement import Settlement
from perdure.taskhub.shift import Shift, spent


class EntityTurns:
    """Works off what waits for entities."""

    def __init__(self, shift: Shift, settle: Settlement) -> None:
        self._shift, self._settle = shift, settle

    def start(self, instance: Instance) -> None:
        """Do what comes next: run a batch, grant a lock, or give one back."""
        state, queue = instance.state, instance.inbox
        assert isinstance(queue, EntityQueue)
        step = entities.next_step(state, queue, self._shift.options.max_entity_batch)
        if step is None:
            instance.phase = Phase.IDLE
            if instance.more_after:
                self._shift.registry.read_more(instance)
            return
        if isinstance(step, entities.Operations):
            rows = instance.take_at(step.rows)
            self._batch(instance, rows)
            return
        if isinstance(step, entities.Unlock):
            rows = instance.take_at((step.row,))
            self._settle.commit(
                instance, entities.unlock(state, self._shift.turn_time(instance, rows), spent(rows, 0)[0])
            )
            return
        rows = instance.take_at((step.row,) if step.unlock < 0 else (step.row, step.unlock))
        request = rows[0].event
        assert isinstance(request, EntityLockRequested)
        time = self._shift.turn_time(instance, rows)
        cancelled = step.unlock >= 0
        self._settle.commit(
            instance, entities.lock(state, time, request, self._shift.new_number(), spent(rows, 0)[0], cancelled)
        )

    def clear(self, instance: Instance) -> None:
        """A purge of an entity in use. It reaches what was sent before it, window by window."""
        queue = instance.inbox
        control = next(row for row in queue if isinstance(row.event, CONTROL))
        dropped = [r for r in queue if isinstance(r.event, EntityOperationRequested) and r.seq < control.seq]
        ends = not 0 < instance.more_after < control.seq
        if not dropped and not ends:
            instance.phase = Phase.IDLE
            self._shift.registry.read_more(instance)
            return
        rows = instance.take_at((*(row.seq for row in dropped), *((control.seq,) if ends else ())))
        instance.controls -= ends
        time = self._shift.turn_time(instance, rows)
        operations = [row.event for row in dropped if isinstance(row.event, EntityOperationRequested)]
        self._settle.commit(instance, entities.clear(instance.state, time, operations, spent(rows, 0)[0], ends))

    def _batch(self, instance: Instance, rows: list[Row]) -> None:
        state = instance.state
        time = self._shift.turn_time(instance, rows)
        operations = [row.event for row in rows if isinstance(row.event, EntityOperationRequested)]
        traced = any(operation.trace is not None for operation in operations)
        asked = zip(rows, operations, strict=True) if traced else ()
        spans = [operation_span(state, row.seq, operation) for row, operation in asked]

        def decided(outcome: EntityOutcome) -> None:
            if not isinstance(outcome, EntityDecided):
                self._settle.lost(instance, outcome)
                return
            shift = self._shift
            if traced:
                for row, result in zip(rows, outcome.results, strict=True):
                    row.ran = result
            decision = entities.decide_batch(
                state,
                time,
                operations,
                spent(rows, 0)[0],
                outcome,
                shift.next_number(),
                shift.token,
                shift.catalog,
                spans,
            )
            shift.use_numbers(decision.numbers)
            self._settle.commit(instance, decision)

        if not self._shift.catalog.runs_here("entity", state.name):
            self._no_function(instance, operations, decided)
            return
        request = EntityRequest(
            state.n, state.turn, state.instance_id, state.name, time, state.state, operations, suspect=state.suspect
        )
        self._shift.executor.run_entity(request, self._shift.in_user_code(instance, decided))

    def _no_function(
        self,
        instance: Instance,
        operations: list[EntityOperationRequested],
        decided: Callable[[EntityOutcome], None],
    ) -> None:
        """The app here has no such entity: another host may; else who called is told, and signals are dropped."""
        state = instance.state
        unknown = self._shift.catalog.unknown("entity", state.name)
        if unknown is None:
            self._shift.refuse(instance, f"The app of this host has no entity function '{state.name}'.")
            return
        self._shift.telemetry.operations_failed(state.instance_id, len(operations), unknown)
        failed = OperationResult(reason=unknown, failure=FailureDetails("ValueError", unknown))
        decided(EntityDecided(state.n, state.turn, [failed] * len(operations), state.state))
