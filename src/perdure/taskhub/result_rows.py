"""Results that reach their instance by the store: a row of its inbox instead of a turn that takes them from memory."""

from __future__ import annotations

from perdure.model.commit_plan import ActivityResult, Message, MessageVerdict
from perdure.storage.provider import StoreError
from perdure.taskhub.committer import Committer
from perdure.taskhub.instance import Phase, Row
from perdure.taskhub.interfaces import Clock
from perdure.taskhub.options import HubOptions
from perdure.taskhub.registry import Registry
from perdure.taskhub.telemetry import Telemetry

_RETRY_SECONDS = 0.2


class ResultRows:
    """Writes results as rows, so that they survive this host (design 4.2)."""

    def __init__(
        self, clock: Clock, registry: Registry, committer: Committer, options: HubOptions, telemetry: Telemetry
    ) -> None:
        self._clock, self._registry, self._committer = clock, registry, committer
        self._seconds, self._telemetry = options.hold_results, telemetry
        self._held: list[tuple[int, Row]] = []
        self._held_timer = False
        self._token = self._epoch = 0

    def begin(self, token: int) -> None:
        """Start under a token with nothing held."""
        self._token, self._held, self._held_timer = token, [], False
        self._epoch += 1

    def hold(self, row: Row, n: int) -> None:
        """A result waits in memory behind a turn of instance `n`: it becomes a row unless the next turn comes soon."""
        self._held.append((n, row))
        if not self._held_timer:
            self._held_timer = True
            self._clock.later(self._seconds, self._write_held)

    def _write_held(self) -> None:
        self._held_timer = False
        held, self._held = self._held, []
        for n, row in held:
            instance = self._registry.get(n)
            if row.seq or row.writing or instance is None or row not in instance.inbox:
                continue
            self.write(row, n)

    def write(self, row: Row, n: int) -> None:
        """Commit a result as an inbox row; `row` may wait in the inbox of a warm instance meanwhile."""
        row.writing = True
        epoch = self._epoch
        message = Message(n, row.event, row.generation, row.task)

        def written(verdict: MessageVerdict | StoreError) -> None:
            if epoch != self._epoch:
                return
            if isinstance(verdict, StoreError):
                self._telemetry.store_failed(str(verdict))
                self._clock.later(_RETRY_SECONDS, lambda: self.write(row, n))
                return
            row.writing = False
            self._written(message, verdict, row)

        self._committer.result(ActivityResult(message, self._token), written)

    def _written(self, message: Message, verdict: MessageVerdict, row: Row) -> None:
        n = message.n
        instance = self._registry.get(n)
        waits = instance is not None and row in instance.inbox
        if verdict.seq:
            self.settled(row)
        if not verdict.seq:
            self._telemetry.result_dropped(n, row.task)
            if instance is not None and waits:
                instance.inbox.remove(row)
        elif instance is not None and waits and verdict.seq in instance.loaded:
            instance.inbox.remove(row)
        elif instance is not None and waits:
            row.seq = verdict.seq
            if instance.phase is Phase.IDLE:
                self._registry.on_ready(instance)
        else:
            self._registry.message_committed(message, verdict)

    def settled(self, row: Row) -> None:
        """The result in `row` is durable."""
        if isinstance(row.ran, tuple):
            (item, outcome), row.ran = row.ran, None
            self._telemetry.activity_settled(item, outcome)
