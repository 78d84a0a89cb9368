"""Large turns: their work rows follow the decision in chunks, so that others commit between them (design 4.4)."""

from __future__ import annotations

from perdure.engine import lifecycle
from perdure.engine.runtime_state import at_cursor
from perdure.model.codec import decode_history
from perdure.model.commit_plan import Verdict, WorkChunk
from perdure.storage.provider import StoreError
from perdure.taskhub.instance import Instance, Phase
from perdure.taskhub.settlement import Settlement
from perdure.taskhub.shift import Shift

#: work rows in one chunk
_CHUNK = 500


class LargeTurns:
    """Writes the work rows that a turn left for later."""

    def __init__(self, shift: Shift, settle: Settlement) -> None:
        self._shift, self._settle = shift, settle

    def write(self, instance: Instance) -> None:
        """Write the next work rows of a large turn; others commit between the chunks."""
        if instance.phase is not Phase.IDLE:
            return
        backlog = instance.backlog
        work = tuple(backlog.popleft() for _ in range(min(_CHUNK, len(backlog))))
        state = instance.state
        following = backlog[0].task + 1 if backlog else 0
        epoch = self._shift.epoch

        def judged(verdict: Verdict | StoreError) -> None:
            if epoch != self._shift.epoch:
                return
            if isinstance(verdict, StoreError) or verdict is not Verdict.APPLIED:
                self._settle.fenced(instance)
                return
            instance.state = at_cursor(instance.state, following)
            self._shift.activities.scheduled(work)
            instance.phase = Phase.IDLE
            self._shift.on_ready(instance)

        instance.phase = Phase.COMMITTING
        self._shift.committer.chunk(WorkChunk(state.n, state.cursor, following, work), judged)

    def restore(self, instance: Instance) -> None:
        """After a restart: the work rows still to be written are those scheduled from the cursor on."""
        instance.ticket += 1

        def restore(rows: list[bytes]) -> None:
            state = instance.state
            tasks = lifecycle.open_tasks(e for row in rows for e in decode_history(row))
            instance.backlog.extend(lifecycle.work_from(state, tasks, state.cursor - 1))
            if not instance.backlog:
                instance.state = at_cursor(state, 0)
            instance.phase = Phase.IDLE
            self._shift.on_ready(instance)

        self._shift.read_history(instance, restore)
