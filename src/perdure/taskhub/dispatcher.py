"""Turns: whose turn it is, how many run at once, and which kind of turn it is."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from perdure.engine.runtime_state import runs_code, wants_turn
from perdure.model.commit_plan import Release
from perdure.model.instance import InstanceKind
from perdure.taskhub.code_turns import CodeTurns
from perdure.taskhub.control_turns import ControlTurns
from perdure.taskhub.entity_turns import EntityTurns
from perdure.taskhub.instance import Instance, Phase
from perdure.taskhub.lanes import Lane
from perdure.taskhub.large_turns import LargeTurns
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.settlement import Settlement
from perdure.taskhub.shift import Shift

_event_of = attrgetter("event")
#: instances that wait for a turn, up to which there is time to fetch others before the host runs dry
_FEW = 100


class Dispatcher:
    """Starts the turns of the instances in memory, as many at once as the limit allows."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._parked = ParkedList(shift.store, shift.clock, shift.options.fingerprint)
        self._settle = Settlement(shift, self._parked)
        self._code_turns = CodeTurns(shift, self._settle)
        self._control_turns = ControlTurns(shift, self._settle, self._code_turns)
        self._entity_turns = EntityTurns(shift, self._settle)
        self._large = LargeTurns(shift, self._settle)
        self._scheduled = False
        self._draining = self._giving = False
        self._drained: Callable[[], None] | None = None
        self._unparking: set[int] = set()
        #: few instances wait for a turn
        self.on_starved: Callable[[], None] = lambda: None
        shift.on_ready, shift.on_room = self.ready, self._room

    def begin(self) -> None:
        """Start under a new token with nothing under way."""
        self._draining, self._giving, self._drained = False, False, None
        self._unparking = set()
        self._parked.others(self._unpark)

    def app_changed(self, fingerprint: str) -> None:
        """The app was loaded anew: what is parked by other code is tried again."""
        self._parked.fingerprint = fingerprint
        self._parked.others(self._unpark)

    def left_behind(self, call: Callable[[int], None]) -> None:
        """Call with the start time (0: now) when a turn creates an instance that nobody owns."""
        self._settle.on_left_behind = call

    def _unpark(self, numbers: list[int]) -> None:
        """Try again what other code could not go on with."""
        for n in numbers:
            self._unparking.add(n)
            warm = self._shift.registry.get(n)
            if warm is not None:
                self.ready(warm)
            else:
                self._shift.registry.load(n)

    @property
    def running(self) -> int:
        """Turns under way."""
        return self._shift.lanes.running

    @property
    def queued(self) -> int:
        """Instances that wait for a turn."""
        return self._shift.lanes.queued

    def drain(self, done: Callable[[], None]) -> None:
        """Start no more turns; call when those under way are committed."""
        self._draining, self._drained = True, done
        self._maybe_drained()

    def end_drain(self) -> None:
        """Start turns again."""
        self._draining, self._giving, self._drained = False, False, None
        self._schedule()

    def give_away(self) -> None:
        """While turns under way take their time, release what waits for one, and all that comes to wait."""
        self._giving = True
        for lane in self._shift.lanes.all:
            while lane.ready:
                instance = lane.ready.popleft()
                if instance.phase is Phase.QUEUED and self._shift.registry.get(instance.state.n) is instance:
                    self._release(instance)

    def _release(self, instance: Instance) -> None:
        """Let another host take the next turn of this instance."""
        n, registry = instance.state.n, self._shift.registry
        for row in instance.inbox:
            if row.seq == 0 and not row.writing:
                self._shift.activities.rows.write(row, n)
        registry.abandon(instance)
        self._shift.committer.release(Release(n), lambda answer: registry.pass_on(n))

    def _maybe_drained(self) -> None:
        if self._drained is not None and self._shift.lanes.running == 0:
            done, self._drained = self._drained, None
            self._shift.committer.when_idle(done)

    def ready(self, instance: Instance) -> None:
        """Something may wait for this instance; it is idle."""
        if instance.backlog:
            self._large.write(instance)
        if instance.phase is not Phase.IDLE:
            return
        if instance.state.n in self._unparking:
            self._unparking.discard(instance.state.n)
            self._parked.remove(instance.state.n)
            if instance.state.parked is not None:
                self._settle.park(instance, None, drop=False)
                return
        if instance.state.cursor and not instance.backlog:
            self._large.restore(instance)
            return
        if not wants_turn(instance.state, map(_event_of, instance.inbox)):
            if instance.state.status.is_terminal:
                self._settle.end(instance)
            elif instance.more_after:
                self._shift.registry.read_more(instance)
            else:
                self._shift.registry.warm.make_room()
            return
        if self._giving and not instance.backlog:
            self._release(instance)
            return
        instance.phase = Phase.QUEUED
        self._shift.lanes.of(instance).ready.append(instance)
        self._schedule()

    def _room(self) -> None:
        """A turn left user code: others may start, and a drain may be over."""
        self._schedule()
        self._maybe_drained()

    def _schedule(self) -> None:
        if not self._scheduled and not self._draining and self._shift.lanes.queued:
            self._scheduled = True
            self._shift.clock.soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        for lane in self._shift.lanes.all:
            self._start_from(lane)
        if self._shift.lanes.queued <= _FEW:
            self.on_starved()

    def _start_from(self, lane: Lane) -> None:
        ready = lane.ready
        while ready and not self._draining:
            if lane.running >= lane.limit:
                self._shift.telemetry.limit_reached(lane.name, lane.running, lane.limit)
                return
            instance = ready.popleft()
            if instance.phase is Phase.QUEUED and self._shift.registry.get(instance.state.n) is instance:
                self._start(instance)
        self._shift.telemetry.limit_cleared(lane.name)

    def _start(self, instance: Instance) -> None:
        instance.ticket += 1
        self._shift.registry.warm.touch(instance)
        state = instance.state
        if instance.controls and state.kind is InstanceKind.ENTITY:
            self._entity_turns.clear(instance)
        elif instance.controls:
            self._control_turns.start(instance)
        elif not runs_code(state):
            instance.phase = Phase.IDLE
        elif state.kind is InstanceKind.ENTITY:
            self._entity_turns.start(instance)
        else:
            self._code_turns.start(instance)

    def interrupt(self, instance: Instance) -> None:
        """A control message came while user code runs: terminate, suspend and purge never wait for it."""
        self._shift.executor.drop_session(instance.state.n)
        self._shift.requeue(instance)
