"""Turns that act on an instance itself: suspend, resume, terminate, rewind. They never wait for user code."""

from __future__ import annotations

from perdure.engine import lifecycle
from perdure.engine.runtime_state import runs_code
from perdure.model.codec import decode_history
from perdure.model.history import ExecutionResumed, ExecutionRewound, ExecutionSuspended, ExecutionTerminated
from perdure.model.instance import RuntimeStatus
from perdure.taskhub.code_turns import CodeTurns
from perdure.taskhub.instance import Instance
from perdure.taskhub.settlement import Settlement
from perdure.taskhub.shift import Shift, spent


class ControlTurns:
    """Carries out control messages."""

    def __init__(self, shift: Shift, settle: Settlement, code: CodeTurns) -> None:
        self._shift, self._settle, self._code = shift, settle, code

    def start(self, instance: Instance) -> None:
        """Carry out the first control message that waits."""
        row = instance.take_control()
        state, event = instance.state, row.event
        time = self._shift.turn_time(instance, [row])
        consumed, done = spent([row], state.generation)
        if isinstance(event, ExecutionSuspended) and runs_code(state):
            self._settle.commit(instance, lifecycle.suspend(state, time, event, consumed))
        elif isinstance(event, ExecutionResumed) and state.status is RuntimeStatus.SUSPENDED:
            self._settle.commit(instance, lifecycle.resume(state, time, event, consumed))
        elif isinstance(event, ExecutionTerminated) and not state.status.is_terminal:
            self._terminate(instance, event, time, consumed)
        elif isinstance(event, ExecutionRewound) and state.status is RuntimeStatus.FAILED:
            self._shift.read_history(instance, lambda rows: self._rewind(instance, event, time, rows))
        else:
            self._settle.commit(instance, lifecycle.skip(state, time, consumed, done))

    def _terminate(self, instance: Instance, event: ExecutionTerminated, time: int, consumed: tuple[int, ...]) -> None:
        def end(rows: list[bytes]) -> None:
            tasks = lifecycle.open_tasks(e for row in rows for e in decode_history(row))
            number = self._shift.next_number()
            decision = lifecycle.terminate(instance.state, time, event, number, tasks)
            self._shift.use_numbers(decision.numbers)
            self._settle.commit(instance, decision)

        if instance.state.begun:
            self._shift.read_history(instance, end)
        else:
            end([])

    def _rewind(self, instance: Instance, event: ExecutionRewound, time: int, rows: list[bytes]) -> None:
        history = [decode_history(row) for row in rows]
        state = instance.state
        under_way = {row.task for row in instance.inbox if row.generation == state.generation}
        under_way |= self._shift.activities.tasks_of(state.n, state.generation)
        instance.rewinding = lifecycle.rewind(state, event, history, self._shift.catalog, under_way)
        self._code.run(instance, time, [instance.rewinding.event], rows)
