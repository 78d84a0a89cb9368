"""What all kinds of turns share under one token: the ports, the numbers it gives away, what is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.engine.rules import Room
from perdure.model.codec import decode_history
from perdure.model.commit_plan import Release
from perdure.model.history import OrchestratorStarted
from perdure.model.instance import instance_number
from perdure.storage.provider import StoreError
from perdure.taskhub.activities import Activities
from perdure.taskhub.committer import Committer
from perdure.taskhub.instance import Instance, Phase, Row
from perdure.taskhub.interfaces import Clock, Executor, Store
from perdure.taskhub.lanes import Lanes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.registry import Registry
from perdure.taskhub.telemetry import Telemetry

_RETRY_SECONDS = 0.1
#: how long an instance that this host may not run is left alone by all
_REFUSED_MICROSECONDS = 2_000_000

Outcome = TypeVar("Outcome")


class Shift:
    """The time under one token. `epoch` tells answers to earlier tokens apart; `lanes` count turns under way."""

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
        self.store, self.clock, self.executor = store, clock, executor
        self.registry, self.committer, self.activities = registry, committer, activities
        self.options, self.telemetry = options, telemetry
        self.catalog = Catalog({})
        self.token = self.epoch = 0
        self.lanes = Lanes(options.max_turns, options.max_entity_batches)
        self._counter = 0
        #: an idle instance may have something to do
        self.on_ready: Callable[[Instance], None] = lambda instance: None
        #: user code gave an answer: there is room for another turn
        self.on_room: Callable[[], None] = lambda: None

    def begin(self, token: int) -> None:
        """Start under a token with nothing under way."""
        self.token, self._counter = token, 0
        self.lanes.clear()
        self.epoch += 1

    def next_number(self) -> int:
        """The first of the numbers for new instances that are still free."""
        return instance_number(self.token, self._counter)

    def use_numbers(self, count: int) -> None:
        """So many of them are given away."""
        self._counter += count

    def new_number(self) -> int:
        """A number for a new instance."""
        self._counter += 1
        return instance_number(self.token, self._counter - 1)

    def room(self) -> Room:
        """What this host brings to a decision."""
        options = self.options
        return Room(
            self.token,
            *self.activities.room(),
            self.next_number(),
            self.registry.has_room(),
            options.keep_generations,
            options.max_actions,
        )

    def turn_time(self, instance: Instance, rows: list[Row]) -> int:
        """The time of a turn: it never goes back and never precedes a timer that it consumes."""
        time = max(self.committer.time(), instance.state.time)
        for row in rows:
            if row.due > time:
                time = row.due
        return time

    def in_user_code(self, instance: Instance, decided: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        """Count a turn in user code; gives the callback for its answer, which is dropped when it is out of date."""
        instance.phase = Phase.RUNNING
        lane = self.lanes.of(instance)
        lane.running += 1
        ticket, epoch = instance.ticket, self.epoch

        def answered(outcome: Outcome) -> None:
            if epoch != self.epoch:
                return
            lane.running -= 1
            if instance.ticket == ticket:
                decided(outcome)
            self.on_room()

        return answered

    def read_history(self, instance: Instance, then: Callable[[list[bytes]], None]) -> None:
        """Read the history of the current generation, and go on unless the instance has moved on meanwhile.

        It counts as a turn under way: else all that wait would be read at once, and run at once afterwards."""
        instance.phase = Phase.READING
        lane = self.lanes.of(instance)
        lane.running += 1
        ticket, epoch, state = instance.ticket, self.epoch, instance.state

        def retry() -> None:
            if epoch == self.epoch and instance.ticket == ticket:
                self.requeue(instance)

        def read(answer: list[bytes] | StoreError) -> None:
            if epoch != self.epoch:
                return
            lane.running -= 1
            if instance.ticket == ticket:
                if isinstance(answer, StoreError):
                    self.telemetry.store_failed(str(answer))
                    self.clock.later(_RETRY_SECONDS, retry)
                else:
                    if state.trace is not None and state.begun and not state.began:
                        instance.state = replace(state, began=began_at(answer) or max(state.time, 1))
                    then(answer)
            self.on_room()

        self.store.read_history(state.n, state.generation, read)

    def refuse(self, instance: Instance, reason: str) -> None:
        """This host may not run the instance: leave it, with what its turn took, to others."""
        instance.give_back()
        state = instance.state
        self.telemetry.refused(state.instance_id, state.name, reason)
        self.let_go(instance, self.committer.time() + _REFUSED_MICROSECONDS)

    def let_go(self, instance: Instance, not_before: int) -> None:
        """Leave an instance to whoever finds it ready after that time."""
        self.registry.forget(instance)
        self.committer.release(Release(instance.state.n, not_before), lambda answer: None)

    def requeue(self, instance: Instance) -> None:
        """Begin the turn anew: what it took goes back, answers to it are ignored."""
        instance.ticket += 1
        instance.give_back()
        instance.phase = Phase.IDLE
        self.on_ready(instance)


def began_at(history: list[bytes]) -> int:
    """When a generation began, by its history (0: no row tells)."""
    first = decode_history(history[0])[0] if history else None
    return first.timestamp if isinstance(first, OrchestratorStarted) else 0


def spent(rows: list[Row], generation: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Inbox rows, and tasks of results that are only in memory, which a turn of this generation uses up."""
    consumed = tuple(row.seq for row in rows if row.seq)
    return consumed, tuple(row.task for row in rows if not row.seq and row.generation == generation)
